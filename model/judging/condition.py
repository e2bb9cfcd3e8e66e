"""The condition of a page, judged without a truth: seven figures, measured before and after cleaning.

All are measured at 150 dpi, so that a page scanned at 300 and at 600 dpi gets the same figures; scans below
150 dpi are measured as they are. A page without a resolution is taken to be A4.

The figures are computed in torch, on the network's device. All sums are of integers, so that they don't
depend on the number of threads.
"""

import math

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from model.judging.figures import Condition
from model.judging.paper_map import beside_paper, cell_of, paper_of, strips, window
from model.page import Grey

DPI = 150.0
_A4_INCHES = 11.7
_SANE_DPI = (50.0, 2400.0)
_INK = 0.2  # fainter marks may as well be dirt
_LEAST_INK = 1e-4
_EDGE = 0.1
_MASK = 3  # pixels a side, Immerkaer's
_NEAR_INK = 5
_CPU = torch.device("cpu")
_WHITE_16 = 257  # 65535 / 255


def condition(grey: Grey, dpi: float = DPI, device: torch.device = _CPU) -> Condition:
    """Measure a page.

    Args:
        grey: the page as `at_scale` gives it.
        dpi: its resolution.
        device: where to compute.
    """
    with torch.inference_mode():
        return _condition(torch.tensor(grey, device=device), dpi)


def _condition(grey: Tensor, dpi: float) -> Condition:
    cell = cell_of(dpi)
    paper = paper_of(grey, cell)
    low, level, high = (float(value) / 255 for value in np.percentile(paper.cpu().numpy(), (5, 50, 95)))
    share = beside_paper(grey, paper, cell)
    contrast = _contrast(share)
    # The threshold is an integer: with a float torch would turn the whole page into floats first.
    ink = share < (math.ceil(255 * (1 - contrast / 2)) if contrast else 0)
    return Condition(
        paper_level=level,
        unevenness=high - low,
        noise=_noise(grey, share),
        contrast=contrast,
        sharpness=_sharpness(grey, 255 * contrast * level),
        ink_coverage=_count(ink) / ink.numel(),
        dirt=_dirt(grey, ink, high),
    )


def at_scale(
    page: NDArray[np.uint8] | NDArray[np.uint16], dpi: tuple[float, float] | None
) -> tuple[Grey, float]:
    """A page in grey at 150 dpi or, below that, at the lower one of its resolutions; and that resolution.

    Args:
        page: (H, W) or (H, W, 3) RGB, uint8 or uint16.
        dpi: across and down; None if unknown.
    """
    height, width = page.shape[:2]
    across, down = (_sane(one, max(height, width)) for one in dpi or (0.0, 0.0))
    target = min(DPI, across, down)
    size = (max(1, round(width * target / across)), max(1, round(height * target / down)))
    small = page if size == (width, height) else cv2.resize(page, size, interpolation=cv2.INTER_AREA)
    if small.ndim == 3:  # noqa: PLR2004
        small = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    if small.dtype == np.uint16:
        small = small // _WHITE_16
    return np.asarray(small, np.uint8), target


def _sane(dpi: float, longer_side: int) -> float:
    low, high = _SANE_DPI
    return dpi if low <= dpi <= high else float(np.clip(longer_side / _A4_INCHES, low, high))


def _contrast(share: Tensor) -> float:
    counts = _histogram(share)[: round(255 * (1 - _INK))]
    dark = int(counts.sum())
    if dark < max(1, _LEAST_INK * share.numel()):
        return 0.0
    quarter = int(np.searchsorted(np.cumsum(counts), dark / 4))
    return 1 - quarter / 255


def _noise(grey: Tensor, share: Tensor) -> float:
    if min(grey.shape) < _MASK:
        return 0.0
    grain = [_grain(*rows) for rows in strips(grey, share, overlap=_MASK - 1)]
    total, pixels = (sum(each) for each in zip(*grain, strict=True))
    return float(np.sqrt(np.pi / 2) / 6 * total / pixels / 255) if pixels else 0.0


def _grain(grey: Tensor, share: Tensor) -> tuple[int, int]:
    """The sum of Immerkaer's differences over pixels with only paper around them; the number of these."""
    paper = window(share, _MASK, torch.minimum) > round(255 * (1 - _INK))
    wide = grey.short()
    across = (wide[:, :-2] + wide[:, 2:]).sub_(wide[:, 1:-1], alpha=2)
    grain = (across[:-2] + across[2:]).sub_(across[1:-1], alpha=2).abs_().mul_(paper)
    return int(grain.sum(1, dtype=torch.int32).sum()), _count(paper)


def _sharpness(grey: Tensor, depth: float) -> float | None:
    """Of a page whose ink is darker than its paper by about `depth` grey levels."""
    if depth < 1 or min(grey.shape) < 2:  # noqa: PLR2004
        return None
    counts = np.zeros(256, np.int64)
    for (rows,) in strips(grey, overlap=1):
        here, right, below = rows[:-1, :-1], rows[:-1, 1:], rows[1:, :-1]
        counts += _histogram(torch.maximum(_apart(here, right), _apart(here, below)))
    counts[: int(_EDGE * depth) + 1] = 0
    edges = int(counts.sum())
    if not edges:
        return None
    steep = int(np.searchsorted(np.cumsum(counts), 0.9 * edges))
    return float(min(1.0, steep / depth))


def _dirt(grey: Tensor, ink: Tensor, white: float) -> float:
    near_ink = window(F.pad(ink.view(torch.uint8), (_NEAR_INK // 2,) * 4), _NEAR_INK, torch.maximum)
    counts = _histogram(torch.maximum(grey, near_ink * 255))
    counts[255] -= _count(near_ink)
    if not counts.any() or not white:
        return 0.0
    darkness = np.clip(1 - np.arange(256) / (255 * white), 0, 1)
    return float(counts @ darkness / counts.sum())


def _apart(one: Tensor, other: Tensor) -> Tensor:
    """The absolute difference of levels; uint8 has no sign."""
    return torch.maximum(one, other).sub_(torch.minimum(one, other))


def _count(mask: Tensor) -> int:
    return int(torch.count_nonzero(mask))


def _histogram(levels: Tensor) -> NDArray[np.int64]:
    counts: NDArray[np.int64] = torch.bincount(levels.flatten(), minlength=256).cpu().numpy()
    return counts
