"""The layers between pixels and the network's branches: stems that see cells, heads that predict the change.

They exist once for each size of cells (`model.network.autoencoder`). For grey pages the colour weights are
folded over the three channels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS = 3


class Ends(nn.Module):
    """The layers between pixels and branches, for cells of one size."""

    def __init__(self, cell: int, detail: int, context: int) -> None:
        super().__init__()
        planes = CHANNELS * cell**2
        self.cell = cell
        self.stem = nn.Conv2d(planes, detail, 3, padding=1)
        self.context = nn.Conv2d(4 * planes, context, 3, padding=1)
        self.gain = nn.Conv2d(detail, CHANNELS, 3, padding=1)
        self.correction = nn.Conv2d(detail, planes, 3, padding=1)
        # An untrained network must change nothing.
        for head in (self.gain, self.correction):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(bias_of(head))

    def enter(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The stems' results from (N, 1 or 3, H, W) pages: for the detail branch, and for the context."""
        grey = x.shape[1] == 1
        # Ink is what the network looks for: paper is 0, and so are the borders that convolutions pad with.
        ink = 1 - x
        detail = _stem(self.stem, F.pixel_unshuffle(ink, self.cell), grey=grey)
        return detail, _stem(self.context, F.pixel_unshuffle(ink, 2 * self.cell), grey=grey)

    def leave(self, h: Tensor, *, grey: bool) -> tuple[Tensor, Tensor]:
        """Gain and correction of every pixel from the detail branch's result."""
        gain = _head(self.gain, h, grey=grey)
        correction = _head(self.correction, h, grey=grey)
        return F.interpolate(gain, scale_factor=float(self.cell)), F.pixel_shuffle(correction, self.cell)


def grey_stem(weight: Tensor) -> Tensor:
    """A stem's weights (out, 3 cells, 3, 3) for one channel instead of three equal ones."""
    return torch.stack(weight.chunk(CHANNELS, 1)).sum(0)


def grey_head(layer: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """A head's weights and bias for the mean of its three channels."""
    weight, bias = (torch.stack(part.chunk(CHANNELS)).mean(0) for part in (layer.weight, bias_of(layer)))
    return weight, bias


def _stem(layer: nn.Conv2d, x: Tensor, *, grey: bool) -> Tensor:
    weight = grey_stem(layer.weight) if grey else layer.weight
    return F.conv2d(x, weight, layer.bias, padding=1)


def _head(layer: nn.Conv2d, h: Tensor, *, grey: bool) -> Tensor:
    weight, bias = grey_head(layer) if grey else (layer.weight, bias_of(layer))
    return F.conv2d(h, weight, bias, padding=1)


def bias_of(layer: nn.Conv2d) -> Tensor:
    """The bias of a layer that has one."""
    assert layer.bias is not None
    return layer.bias
