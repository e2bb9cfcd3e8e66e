"""The guard's network: does the cleaned page lack a stroke of the scan, or have one that the scan doesn't?

It sees both pages, at 150 dpi, and predicts for every cell of 4 x 4 pixels how likely ink was lost or added
there. A full stop and a speck of dust are both small dark dots: only their surroundings tell them apart. So
the network is a small U-Net (Ronneberger et al. 2015, arXiv:1505.04597) that sees half an inch far.
"""

from pathlib import Path

import cv2
import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from model.network.autoencoder import Block
from model.network.convolve import convolve
from model.network.weights import WeightsError, load_module, save_module
from model.page import Grey

ARCHITECTURE = "pumice-guard-1"
"""The name in the weights' file; the number goes up when old weights no longer fit."""

CELL = 4
_WIDTHS = (32, 48, 64)
_AT_FIRST = -3.5  # the log odds of 3 in 100, about as many cells as are wrong in training
_AROUND, _CLEARLY = 23, 12  # pixels; of 255
STRIDE = CELL << (len(_WIDTHS) - 1)


class GuardNetwork(nn.Module):
    """Scores cells; see the module's text."""

    def __init__(self) -> None:
        super().__init__()
        fine, middle, coarse = _WIDTHS
        self.stem = nn.Conv2d(2 * CELL**2, fine, 3, padding=1)
        self.fine = nn.ModuleList([Block(fine), Block(fine)])
        self.middle = nn.ModuleList([Block(middle), Block(middle)])
        self.coarse = nn.Sequential(Block(coarse), Block(coarse))
        self.down = nn.ModuleList([nn.Conv2d(fine, middle, 2, 2), nn.Conv2d(middle, coarse, 2, 2)])
        self.up = nn.ModuleList(
            [nn.ConvTranspose2d(middle, fine, 2, 2), nn.ConvTranspose2d(coarse, middle, 2, 2)]
        )
        self.head = nn.Conv2d(fine, 2, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, _AT_FIRST)

    def forward(self, pages: Tensor) -> Tensor:
        """Judge pages.

        Args:
            pages: (N, 2, H, W), the scan and the cleaned page, 0 black to 1 white; sides multiples of STRIDE.

        Returns:
            (N, 2, H / CELL, W / CELL): log odds that a cell has lost ink, and that ink was added.
        """
        return self.of_cells(F.pixel_unshuffle(1 - pages, CELL))

    def of_cells(self, ink: Tensor) -> Tensor:
        """The same for (N, 2 * CELL ** 2, H / CELL, W / CELL), the darkness of each cell's pixels, 0..1."""
        fine = self.fine[0](convolve(self.stem, ink, relu=True))
        middle = self.middle[0](self.down[0](fine))
        coarse = self.coarse(self.down[1](middle))
        middle = self.middle[1](middle + self.up[1](coarse))
        fine = self.fine[1](fine + self.up[0](middle))
        scores: Tensor = self.head(fine)
        return scores


def strokes(page: Grey) -> Grey:
    """How much darker each pixel of a page is than its surroundings, a square of 0.15 inch at 150 dpi.

    This is the black-hat transform, the closing minus the page (Serra 1982).
    """
    kernel = np.ones((_AROUND, _AROUND), np.uint8)
    return np.asarray(cv2.morphologyEx(page, cv2.MORPH_BLACKHAT, kernel), np.uint8)


def strokes_changed(before: Grey, after: Grey) -> NDArray[np.bool_]:
    """Where ink can have been lost or added at all: a stroke is darker than its surroundings.

    A shade that was removed, however dark, is no stroke; only its rim looks like one.

    Args:
        before: (H, W), of any size, the scan's `strokes`.
        after: of the same shape, the cleaned page's.

    Returns:
        (2, h, w), h and w the cells that STRIDE makes of the page: whether a cell has a pixel whose strokes
        are clearly less dark than before, and clearly darker.
    """
    differences = cv2.subtract(before, after), cv2.subtract(after, before)  # no less than 0
    return np.stack([cells_most(np.asarray(one, np.uint8)) > _CLEARLY for one in differences])


def cells_most(page: Grey) -> Grey:
    """(h, w): the largest value of each cell of a page (H, W) of any size; beyond its borders it is 0."""
    most = cv2.dilate(whole_cells(page), np.ones((CELL, CELL), np.uint8), anchor=(0, 0))
    return np.asarray(most[::CELL, ::CELL], np.uint8)


def whole_cells(page: Grey) -> Grey:
    """A page with rows and columns of 0 added, so that STRIDE divides its sides."""
    height, width = page.shape
    border = (0, -height % STRIDE, 0, -width % STRIDE)
    return np.asarray(cv2.copyMakeBorder(page, *border, cv2.BORDER_CONSTANT, value=0), np.uint8)


def save_guard(network: GuardNetwork, path: Path) -> Path:
    """Write the weights; see `model.network.weights.save_weights`."""
    return save_module(network, path, ARCHITECTURE)


def load_guard(path: Path) -> GuardNetwork:
    """Read the weights, in evaluation mode.

    Raises:
        WeightsError: the file holds no guard.
    """

    def build(metadata: dict[str, str]) -> GuardNetwork:
        if metadata.get("architecture") != ARCHITECTURE:
            raise WeightsError(f"weights {path} are no guard's: this version runs {ARCHITECTURE!r}")
        return GuardNetwork()

    return load_module(path, build)
