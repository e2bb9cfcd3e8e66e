"""Pages unlike any that the network learned from: a cleaner of text would ruin a photograph.

Three simple figures tell them from text on paper, however dirty: the share of the page that is as light as
its paper, the share between paper and ink, and the number of hues. The thresholds lie between the figures of
scans of text and those of pictures; `scripts/run guard` shows both.
"""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from model.judging.paper_map import paper_map
from model.page import Grey

Kind = Literal["inverted", "picture", "colour_plate"]

_DARK = 0.35  # of white: paper is lighter, however old
_LIGHT, _MIDDLE = 0.75, (0.25, 0.7)
_TONES = 0.6
_HUE, _HUES = 4.0, 0.2  # CIELAB units; the share of the page that is that far off
_BLOCK, _BLOCKS = 8, 110  # pixels a side; blocks along the longer side, for hues


def unlike_text(page: NDArray[np.uint8] | NDArray[np.uint16], grey: Grey, dpi: float) -> Kind | None:
    """What a page is if it is not text; None for text, drawings and blank paper.

    Args:
        page: (H, W) or (H, W, 3) RGB.
        grey: the page as `model.judging.condition.at_scale` returns it.
        dpi: of `grey`.

    Returns:
        `inverted`: half the page is darker than paper can be, as in white on black.
        `picture`: too little of it is as light as its lightest parts, or too much is neither paper nor ink.
        `colour_plate`: it has areas of several hues; paper and its stains have one.
    """
    if float(np.median(grey)) < _DARK * 255:
        return "inverted"
    if _tones(grey, dpi) > _TONES:
        return "picture"
    return "colour_plate" if page.ndim > 2 and _hues(page) > _HUES else None  # noqa: PLR2004


def _tones(grey: Grey, dpi: float) -> float:
    """The share that is darker than paper plus the share between paper and ink."""
    paper = paper_map(grey, dpi)
    white = max(1.0, float(np.percentile(paper, 95)))
    height, width = (max(1, side // _BLOCK) for side in grey.shape)
    blocks = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    low, high = (share * white for share in _MIDDLE)
    return float(np.mean(paper <= _LIGHT * white) + np.mean((blocks > low) & (blocks < high)))


def _hues(page: NDArray[np.uint8] | NDArray[np.uint16]) -> float:
    """The share of an RGB page whose hue lies off the line from paper to stain.

    That line is the first principal axis of the blocks' a and b in CIELAB, through their medians.
    """
    height, width = page.shape[:2]
    block = max(1, round(max(height, width) / _BLOCKS))
    size = (max(2, width // block), max(2, height // block))
    blocks = cv2.resize(page, size, interpolation=cv2.INTER_AREA) / np.float32(np.iinfo(page.dtype).max)
    hues = cv2.cvtColor(blocks, cv2.COLOR_RGB2LAB)[..., 1:].reshape(-1, 2).astype(np.float64)
    away = hues - np.median(hues, axis=0)
    _, axes = np.linalg.eigh(np.cov(away.T))
    return float(np.mean(np.abs(away @ axes[:, 0]) > _HUE))
