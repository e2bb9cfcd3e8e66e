"""The loss of the cleaner's training: the error against the truth, with more weight on ink."""

from dataclasses import dataclass
from enum import IntEnum

import torch
import torch.nn.functional as F
from torch import Tensor

DARK, LIGHT = 0.3, 0.7
"""Darker than the first is clearly ink, lighter than the second clearly paper; for 1-bit truths."""

_SPECK, _FAR, _DARKER = 4, 4, 0.25
"""Of a speck: paper is at most so many pixels away, ink at least so many; it is so much darker than paper."""


class Truth(IntEnum):
    """Where the truth of a sample comes from, and so what it tells."""

    PAGE = 0
    """A clean page, which code damaged."""
    BITONAL = 1
    """A black and white page: it tells where ink is, but not how dark."""
    TONES = 2
    """The truth of a real scan, in grey: its tones are exact, but there are few."""
    CLEAN = 3
    """The sample itself, which needs no cleaning."""


@dataclass(frozen=True)
class LossConfig:
    """The weights of the loss's terms; see `restoration_loss`."""

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
    """The loss of a cleaned batch, 0 or more.

    It is the absolute plus the squared error. Pixels at ink count `1 + config.ink` times. Ink that came out
    lighter than the truth costs `config.lost` more, in proportion to its darkness: a lost stroke is worse
    than a stain that stays. There is no adversarial term: such terms invent strokes.

    A black and white truth doesn't tell how dark ink should be. There, any darkness that is clearly ink is
    right for ink, and any lightness that is clearly paper is right for the paper at its edge. Other errors
    count `config.bitonal` times, and at ink `1 + config.missed` times that, as faint ink on dark paper is
    lost most often. The paper at the edge of ink counts nearly as much (`config.thick`): else strokes come
    out too thick. These errors are large, so their squares count less (`config.bitonal_squared`).

    `_weight` gives the weight of each kind of truth, `_specks_left` the further cost of specks.

    Args:
        predicted: (N, C, H, W) float; clipped to 0..1 it is the cleaned page.
        noisy: the damaged page, of the same shape, 0..1.
        clean: the truth, of the same shape, 0..1.
        ink: (N, 1, H, W), 0..1, see `model.training.cleaner_samples.Batch`.
        truth: (N,) uint8, values of `Truth`.
        config: the weights of the terms.
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
    """The weight of each pixel's error, by the kind of truth.

    Real scans in grey count `config.tones` times, pages that should stay as they are `config.clean` times.
    Their errors are a tenth of the others', so without a weight their gradients would have no effect.
    """
    weight = torch.where(truth == Truth.TONES, config.tones, 1.0)
    weight = torch.where(truth == Truth.CLEAN, config.clean, weight)
    bitonal = config.bitonal * (1 + config.missed * is_ink + config.thick * at_ink)
    return torch.where(truth == Truth.BITONAL, bitonal, weight)


def _specks_left(predicted: Tensor, noisy: Tensor, clean: Tensor, config: LossConfig) -> Tensor:
    """The cost of specks that stay on pages which code damaged, `config.specks` times the plain error.

    Specks have so few pixels that the network learnt nothing about them otherwise. A network that takes them
    for ink makes them darker than black, where a clamp has no gradient. So this judges unclamped values.
    """
    left = F.relu(clean - predicted) * specks(noisy, clean)
    return config.specks * (left + config.squared * left.square())


def specks(noisy: Tensor, clean: Tensor) -> Tensor:
    """Small dark spots that are far from all ink of the truth; (N, 1, H, W) bool.

    Args:
        noisy: (N, C, H, W), 0..1.
        clean: the truth, of the same shape, 0..1.
    """
    light, truth = (page.mean(1, keepdim=True) for page in (noisy, clean))
    around = F.max_pool2d(light, 2 * _SPECK + 1, 1, _SPECK)
    darkest = -F.max_pool2d(-truth, 2 * _FAR + 1, 1, _FAR)
    return (around - light > _DARKER) & (darkest > LIGHT)
