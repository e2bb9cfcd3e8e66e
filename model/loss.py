"""What training makes small: the error to the truth, with care for ink."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

DARK, LIGHT = 0.3, 0.7
"""What is clearly ink and clearly paper, where the truth is 1-bit and results are cut in the middle."""


@dataclass(frozen=True)
class LossConfig:
    """The weights of the loss; see `restoration_loss`."""

    ink: float = 3.0
    lost: float = 1.5
    squared: float = 10.0
    bitonal: float = 0.25
    missed: float = 2.0


def restoration_loss(
    output: Tensor, clean: Tensor, ink: Tensor, bitonal: Tensor, config: LossConfig
) -> Tensor:
    """How wrong a cleaned batch is, 0 or more.

    Absolute plus squared error. Pixels at ink count `1 + config.ink` times; ink that came out lighter than
    the truth counts `config.lost` on top, by its darkness: a stain that stays is a blemish, a stroke that
    goes is a loss. No adversarial term: those invent strokes.

    A truth of black and white is no measure of how dark ink should be: there ink may have any darkness that
    is clearly ink, and the paper at its edge any lightness that is clearly paper. What is wrong even so
    counts `config.bitonal` times, and `1 + config.missed` times that where it is ink: faint ink on dark paper
    is what gets lost.

    Args:
        output: (N, C, H, W), 0..1.
        clean: the truth, alike.
        ink: (N, 1, H, W), 0..1, see `model.samples.Batch`.
        bitonal: (N,) bool, whose truths are black and white.
        config: the weights.
    """
    bitonal = bitonal[:, None, None, None]
    error = output - clean
    light = output.mean(1, keepdim=True)  # ink keeps its hue
    is_ink, at_ink = clean < 0.5, (ink > 0) & (clean >= 0.5)  # noqa: PLR2004
    undecided = is_ink * F.relu(light - DARK) - at_ink * F.relu(LIGHT - light) + ~(is_ink | at_ink) * error
    error = torch.where(bitonal, undecided, error)
    lost = torch.where(bitonal, 0, F.relu(error) * (1 - clean).square())
    weighted = (1 + config.ink * ink) * (error.abs() + config.squared * error.square())
    weight = torch.where(bitonal, config.bitonal * (1 + config.missed * is_ink), 1.0)
    return ((weighted + config.lost * lost) * weight).mean()
