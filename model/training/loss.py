"""What training makes small: the error to the truth, with care for ink."""

from dataclasses import dataclass
from enum import IntEnum

import torch
import torch.nn.functional as F
from torch import Tensor

DARK, LIGHT = 0.3, 0.7
"""What is clearly ink and clearly paper, where the truth is 1-bit and results are cut in the middle."""

_SPECK, _FAR, _DARKER = 4, 4, 0.25
"""How far paper is from a speck, in pixels, at most; how far ink is, at least; how much darker it is."""


class Truth(IntEnum):
    """What a sample's truth is worth."""

    PAGE = 0
    """A clean page that code damaged."""
    BITONAL = 1
    """Black and white: where ink is, and not how dark."""
    TONES = 2
    """A real scan's, in grey: exact to the tone, and there are few."""
    CLEAN = 3
    """The page itself, which needs no cleaning."""


@dataclass(frozen=True)
class LossConfig:
    """The weights of the loss; see `restoration_loss`."""

    ink: float = 3.0
    lost: float = 1.5
    squared: float = 20.0
    tones: float = 13.0
    clean: float = 3.0
    bitonal: float = 1.0
    bitonal_squared: float = 5.0
    missed: float = 4.5
    thick: float = 3.0
    specks: float = 20.0


def restoration_loss(
    predicted: Tensor, noisy: Tensor, clean: Tensor, ink: Tensor, truth: Tensor, config: LossConfig
) -> Tensor:
    """How wrong a cleaned batch is, 0 or more.

    Absolute plus squared error. Pixels at ink count `1 + config.ink` times; ink that came out lighter than
    the truth counts `config.lost` on top, by its darkness: a stain that stays is a blemish, a stroke that
    goes is a loss. No adversarial term: those invent strokes.

    A truth of black and white is no measure of how dark ink should be: there ink may have any darkness that
    is clearly ink, and the paper at its edge any lightness that is clearly paper. What is wrong even so
    counts `config.bitonal` times, and `1 + config.missed` times that at ink: faint ink on dark paper is what
    gets lost. The paper at its edge counts nearly as much (`config.thick`), or strokes would come out too
    thick. The errors are large ones, and squares of them less telling (`config.bitonal_squared`).

    What kinds of truths count says `_weight`, what specks cost besides `_specks_left`.

    Args:
        predicted: (N, C, H, W), what cut to 0..1 is the cleaned page.
        noisy: the damaged page, 0..1, alike.
        clean: the truth, alike.
        ink: (N, 1, H, W), 0..1, see `model.training.cleaner_samples.Batch`.
        truth: (N,) uint8, a `Truth` each.
        config: the weights.
    """
    truth = truth[:, None, None, None]
    bitonal = truth == Truth.BITONAL
    output = predicted.clamp(0, 1)
    error = output - clean
    light = output.mean(1, keepdim=True)  # ink keeps its hue
    is_ink, at_ink = clean < 0.5, (ink > 0) & (clean >= 0.5)  # noqa: PLR2004
    undecided = is_ink * F.relu(light - DARK) - at_ink * F.relu(LIGHT - light) + ~(is_ink | at_ink) * error
    error = torch.where(bitonal, undecided, error)
    lost = torch.where(bitonal, 0, F.relu(error) * (1 - clean).square())
    squared = torch.where(bitonal, config.bitonal_squared, config.squared)
    weighted = (1 + config.ink * ink) * (error.abs() + squared * error.square())
    left = _specks_left(predicted, noisy, clean, config) * (truth == Truth.PAGE)
    return ((weighted + config.lost * lost) * _weight(truth, is_ink, at_ink, config) + left).mean()


def _weight(truth: Tensor, is_ink: Tensor, at_ink: Tensor, config: LossConfig) -> Tensor:
    """How many times a pixel's error counts, by its truth.

    The tones of real scans count `config.tones` times, those of pages that should stay as they are
    `config.clean` times: their errors are a tenth of those of the others, whose gradients would drown theirs.
    """
    weight = torch.where(truth == Truth.TONES, config.tones, 1.0)
    weight = torch.where(truth == Truth.CLEAN, config.clean, weight)
    bitonal = config.bitonal * (1 + config.missed * is_ink + config.thick * at_ink)
    return torch.where(truth == Truth.BITONAL, bitonal, weight)


def _specks_left(predicted: Tensor, noisy: Tensor, clean: Tensor, config: LossConfig) -> Tensor:
    """What specks cost that stay on pages which code damaged: they count `config.specks` times more.

    They are so few of a page's pixels that nothing was learnt of them otherwise. A network that takes them
    for ink makes them darker than black, where a clamp has no gradient; so what was predicted is judged.
    """
    left = F.relu(clean - predicted) * specks(noisy, clean)
    return config.specks * (left + config.squared * left.square())


def specks(noisy: Tensor, clean: Tensor) -> Tensor:
    """Where something small is dark that is far from any ink of the truth; (N, 1, H, W) bool.

    Args:
        noisy: (N, C, H, W), 0..1.
        clean: the truth, alike.
    """
    light, truth = (page.mean(1, keepdim=True) for page in (noisy, clean))
    around = F.max_pool2d(light, 2 * _SPECK + 1, 1, _SPECK)
    darkest = -F.max_pool2d(-truth, 2 * _FAR + 1, 1, _FAR)
    return (around - light > _DARKER) & (darkest > LIGHT)
