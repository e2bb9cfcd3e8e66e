"""A page at half its size, and the change that cleaning made there, carried back to the page.

The change is enlarged smoothly and added to the page. So parts that cleaning left as they were keep their
fine detail, and edges of strokes stay as sharp as they were. Paper that became white at half size becomes
white on the page, too: the rest would be grain.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from model.page import Pixels

_WHITE = 0.99
"""A share of white: lighter pixels have no ink."""

_SAMPLES = 1 << 18
"""About how many samples of the half page are carried at once: their changes take many times their memory."""


def halved(page: Pixels) -> Pixels:
    """The mean of each square of 2 x 2 pixels of (H, W) or (H, W, 3): half as many a side, rounded up."""
    height, width = page.shape[:2]
    whole = cv2.copyMakeBorder(page, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    half = np.empty_like(page[::2, ::2], order="C")
    cv2.resize(whole, (half.shape[1], half.shape[0]), dst=half, interpolation=cv2.INTER_AREA)
    return half


def carried(page: Pixels, half: Pixels, cleaned: Pixels) -> Pixels:
    """Clean a page as its half was cleaned.

    Args:
        page: (H, W) or (H, W, 3) uint8 or uint16.
        half: the page, `halved`.
        cleaned: what cleaning made of `half`, of the same shape and dtype.

    Returns:
        The cleaned page, of the shape and dtype of `page`; equal to it where `cleaned` equals `half`.
    """
    white = int(np.iinfo(page.dtype).max)
    result = np.empty_like(page)
    step = max(1, _SAMPLES // half[0].size)
    for top in range(0, len(half), step):
        rows = slice(2 * top, 2 * (top + step))
        before, after = (_doubled(part, top, page[rows].shape) for part in (half, cleaned))
        change = after - before
        changed = np.clip(np.rint(page[rows] + change), 0, white)
        paper = (after > _WHITE * white) & (change > 0)
        result[rows] = np.where(paper, np.maximum(changed, np.rint(after)), changed)
    return result


def _doubled(half: Pixels, top: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The rows of half a page from `top` on, twice as large, cut to the shape of the page's rows."""
    first = max(0, top - 1)  # a pixel is made of those next to it
    part = half[first : top + shape[0] // 2 + 2].astype(np.float32)
    large = cv2.resize(part, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    return np.asarray(large[2 * (top - first) :][: shape[0], : shape[1]], np.float32)
