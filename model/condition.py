"""What state a page is in, without a truth to compare with: seven figures, taken before and after cleaning.

All are taken at 150 dpi, so that one page scanned at 300 and at 600 dpi gets the same figures; scans below
that are taken as they are. A page without a resolution is judged as A4.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
"""(H, W), 0 black, 255 white."""

DPI = 150.0
_A4_INCHES = 11.7
_SANE_DPI = (50.0, 2400.0)
_CELL_INCHES, _BRIDGED_CELLS = 0.1, 5
_INK = 0.2  # fainter marks are as likely dirt
_LEAST_INK = 1e-4
_EDGE = 0.1
_LAPLACIAN = np.asarray([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_WHITE_16 = 257  # 65535 / 255


@dataclass(frozen=True)
class Condition:
    """A page's state; every figure lies in 0..1.

    Attributes:
        paper_level: how light the paper is, 1 is white: the median of the paper map. That is the lightest
            3x3 mean in each cell of 0.1 inch, with dark spots of up to half an inch closed (grey closing).
        unevenness: the 95th less the 5th percentile of the paper map. Photographs wider than half an inch
            count as dark paper.
        noise: standard deviation of the paper's grain, 1 is white, by Immerkaer's operator (1996, "Fast noise
            variance estimation"): sqrt(pi / 2) / 6 times the mean of |3x3 Laplacian difference| over what is
            darker than the paper map by less than a fifth, with all neighbours.
        contrast: how much of the paper's light ink takes: the 75th percentile of the darkness
            1 - grey / paper map where that is above 0.2; 0 where less than 1 of 10,000 pixels is.
        sharpness: how steep edges of ink are: the 90th percentile of the larger difference to the right or
            lower neighbour, as a share of contrast * paper_level, where that share is above 0.1. A step edge
            has 1, one blurred by s pixels 1 / (s * sqrt(2 * pi)). None without ink.
        ink_coverage: the share of pixels with a darkness above half the contrast.
        dirt: what is dark and no ink: the mean of 1 - grey / (95th percentile of the paper map), at
            least 0, over all pixels that are not within 2 pixels of ink.
    """

    paper_level: float
    unevenness: float
    noise: float
    contrast: float
    sharpness: float | None
    ink_coverage: float
    dirt: float


def condition(grey: Grey, dpi: float = DPI) -> Condition:
    """Judge a page.

    Args:
        grey: the page as `at_scale` gives it.
        dpi: its resolution.
    """
    paper = paper_map(grey, dpi)
    low, level, high = (float(value) / 255 for value in np.percentile(paper, (5, 50, 95)))
    local = cv2.resize(paper, grey.shape[::-1], interpolation=cv2.INTER_LINEAR)
    # 255 is as light as the paper or lighter, 0 is black
    share = np.asarray(cv2.divide(np.maximum(grey, 1), np.maximum(local, 1), scale=255), np.uint8)
    contrast = _contrast(share)
    ink = np.asarray(share < 255 * (1 - contrast / 2), np.uint8) if contrast else np.zeros_like(share)
    return Condition(
        paper_level=level,
        unevenness=high - low,
        noise=_noise(grey, share),
        contrast=contrast,
        sharpness=_sharpness(grey, 255 * contrast * level),
        ink_coverage=float(cv2.countNonZero(ink)) / ink.size,
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


def paper_map(grey: Grey, dpi: float) -> Grey:
    """One value for each cell of a tenth of an inch; at least 2x2 of them."""
    cell = max(2, round(dpi * _CELL_INCHES))
    lightest = cv2.dilate(cv2.blur(grey, (3, 3)), np.ones((cell, cell), np.uint8))
    cells = lightest[cell // 2 :: cell, cell // 2 :: cell]
    if min(cells.shape) < 2:  # noqa: PLR2004
        return np.full((2, 2), lightest.max(), np.uint8)
    closed = cv2.morphologyEx(cells, cv2.MORPH_CLOSE, np.ones((_BRIDGED_CELLS, _BRIDGED_CELLS), np.uint8))
    return np.asarray(closed, np.uint8)


def _contrast(share: Grey) -> float:
    counts = _histogram(share)[: round(255 * (1 - _INK))]
    dark = int(counts.sum())
    if dark < max(1, _LEAST_INK * share.size):
        return 0.0
    quarter = int(np.searchsorted(np.cumsum(counts), dark / 4))
    return 1 - quarter / 255


def _noise(grey: Grey, share: Grey) -> float:
    darkest_near = cv2.erode(share, np.ones((3, 3), np.uint8))
    paper = np.asarray(darkest_near > 255 * (1 - _INK), np.uint8)
    if not paper.any():
        return 0.0
    grain = np.abs(cv2.filter2D(grey, cv2.CV_16S, _LAPLACIAN))
    return float(np.sqrt(np.pi / 2) / 6 * cv2.mean(grain, paper)[0] / 255)


def _sharpness(grey: Grey, depth: float) -> float | None:
    """Of a page whose ink is darker than its paper by about `depth` grey levels."""
    if depth < 1 or min(grey.shape) < 2:  # noqa: PLR2004
        return None
    right = cv2.absdiff(grey[:-1, 1:], grey[:-1, :-1])
    down = cv2.absdiff(grey[1:, :-1], grey[:-1, :-1])
    counts = _histogram(np.asarray(cv2.max(right, down), np.uint8))
    counts[: int(_EDGE * depth) + 1] = 0
    edges = int(counts.sum())
    if not edges:
        return None
    steep = int(np.searchsorted(np.cumsum(counts), 0.9 * edges))
    return float(min(1.0, steep / depth))


def _dirt(grey: Grey, ink: Grey, white: float) -> float:
    near_ink = cv2.dilate(ink, np.ones((5, 5), np.uint8))
    counts = np.asarray(cv2.calcHist([grey], [0], 1 - near_ink, [256], [0, 256])).ravel()
    if not counts.any() or not white:
        return 0.0
    darkness = np.clip(1 - np.arange(256) / (255 * white), 0, 1)
    return float(counts @ darkness / counts.sum())


def _histogram(values: Grey) -> NDArray[np.float32]:
    return np.asarray(cv2.calcHist([values], [0], None, [256], [0, 256]), np.float32).ravel()
