"""Pages as arrays: the types and functions that all rooms share."""

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Page: TypeAlias = NDArray[np.uint8]
"""(H, W) grey or (H, W, 3) RGB, 0 black to 255 white."""

Pixels: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
"""A page of any depth: the dtype's largest value is white."""

Grey: TypeAlias = NDArray[np.uint8]
"""(H, W), 0 black to 255 white."""

Plane: TypeAlias = NDArray[np.float32]
"""(H, W) float32, of any range."""

INK = 128
"""Half grey: a pixel darker than this, of 255, is ink where a page is cut to black and white."""


@dataclass(frozen=True)
class Pair:
    """A damaged page and its truth, of the same height and width; the truth may be 1-bit."""

    name: str
    noisy: Page
    clean: Page

    @property
    def bitonal(self) -> bool:
        """Whether the truth has only black and white."""
        return is_bitonal(self.clean)


def as_grey(page: Page) -> Page:
    """(H, W): grey as it is, RGB by its luma."""
    return page if page.ndim == 2 else np.asarray(cv2.cvtColor(page, cv2.COLOR_RGB2GRAY), np.uint8)  # noqa: PLR2004


def is_bitonal(page: Page) -> bool:
    """Whether all pixels are black or white."""
    return bool(((page == 0) | (page == 255)).all())  # noqa: PLR2004


def black_and_white(page: Pixels) -> Page:
    """Cut a page of uint8 at half grey: pixels darker than `INK` become 0, others 255; of the same shape."""
    return np.where(page < INK, np.uint8(0), np.uint8(255))


def as_written(scan: Page, cleaned: Page) -> Page:
    """A cleaned page as its file will have it: black and white if the scan is."""
    return black_and_white(cleaned) if is_bitonal(scan) else cleaned


def crop(rng: Generator, size: int, *pages: Page) -> list[Page]:
    """The same random square of each page; pages that are too small are mirrored outwards first."""
    height, width = pages[0].shape[:2]
    short_y, short_x = max(0, size - height), max(0, size - width)
    grown = pages
    if short_y or short_x:
        grown = tuple(
            np.asarray(cv2.copyMakeBorder(p, 0, short_y, 0, short_x, cv2.BORDER_REFLECT), np.uint8)
            for p in pages
        )
    y = int(rng.integers(0, grown[0].shape[0] - size + 1))
    x = int(rng.integers(0, grown[0].shape[1] - size + 1))
    return [page[y : y + size, x : x + size] for page in grown]
