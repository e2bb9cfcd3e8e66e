"""3x3 convolutions with the shortcut and the ReLU that follow them.

On a CPU oneDNN does all of it while results are still in registers; `torch.compile` uses the same operators.
"""

import torch
from torch import Tensor, nn


def convolve(layer: nn.Conv2d, x: Tensor, relu: bool = False, shortcut: Tensor | None = None) -> Tensor:
    """A 3x3 convolution padded by 1, plus the shortcut, through the ReLU.

    Fused in inference mode on a CPU; elsewhere operator by operator, which autograd and autocast understand.

    Args:
        layer: its weights.
        x: (N, C, H, W) of the weights' dtype; of any float under autocast.
        relu: whether negative results become 0.
        shortcut: what to add before that, of the result's shape.
    """
    alone = torch.is_inference_mode_enabled() and not torch.is_autocast_enabled(x.device.type)
    if alone and x.device.type == "cpu" and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return _fused(layer, x, relu, shortcut)
    out: Tensor = layer(x)
    if shortcut is not None:
        out = out + shortcut
    return torch.relu(out) if relu else out


def _fused(layer: nn.Conv2d, x: Tensor, relu: bool, shortcut: Tensor | None) -> Tensor:
    rest = (layer.weight, layer.bias, (1, 1), (1, 1), (1, 1), 1)
    then = "relu" if relu else "none"
    fused: Tensor
    if shortcut is None:
        fused = torch.ops.mkldnn._convolution_pointwise(x, *rest, then, [], "")
    else:
        binary = torch.ops.mkldnn._convolution_pointwise.binary
        fused = binary(x, shortcut, *rest, "add", 1.0, then if relu else None, [], "")
    return fused
