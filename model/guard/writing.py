"""What went from a page, measured by the page's writing: what was as dark, and beside it, is hardly dirt.

The guard's network sees half an inch far and is sure of an erased word; of an i's dot it is less so. But
folds, stains and show-through are paler than a page's ink, and a dot isn't; and specks of dust lie anywhere,
dots right beside letters. So where the network suspects a loss beside writing, it is taken to be the surer
of it the nearer what went comes to the writing's darkness; but of what is no larger than a speck the less so
the more of these may have lain there by chance, by how many have gone elsewhere. What is pale counts as
before: faint ink is for the network to tell from dirt. So does what is far from any writing.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model.guard.network import CELL, cells_most, whole_cells
from model.page import Grey

PALE, CERTAIN = 0.4, 1.3
"""Shares of the writing's darkness: what went and was paler makes the guard no surer, what was darker no more
so than that."""

_SURER = 8.0  # how much the odds' logarithm gains for each writing's darkness above PALE
_BY_CHANCE = 0.6  # how much less for each e times as many specks to expect beside writing
_POWER = 4
_AROUND, _COVERED = 5, 0.05  # cells a side, an eighth of an inch; what share of them writing covers at least
_SPECK, _DARK = 9, 0.5  # cells that a speck lies in, at most; the share of the writing's darkness it has
_UNIT = 100  # the writing's darkness, in bytes
_BLACK = 20.0  # pixels of black that every page is taken to have: a blank one has nothing to measure by


def darkness(page: Grey, strokes: Grey) -> Grey:
    """How much of their paper's light strokes take, 0 to 255.

    Args:
        page: (H, W).
        strokes: how much darker they are than their paper, alike; see `model.guard.network.strokes`.
    """
    return np.asarray(cv2.divide(strokes, cv2.add(page, strokes), scale=255), np.uint8)


@dataclass(frozen=True)
class Gone:
    """What went from a page.

    Attributes:
        shares: (h, w), 0 to 2.55, how dark it was, as a share of how dark the page's writing was, at each
            cell's darkest pixel; h and w the cells that `model.guard.network.STRIDE` makes of the page.
        beside: (h, w), whether there is writing beside a cell.
    """

    shares: NDArray[np.float32]
    beside: NDArray[np.bool_]

    def dust(self) -> tuple[NDArray[np.bool_], float]:
        """Where what went is larger than specks of dust, and how many of these to expect beside writing.

        Returns:
            (h, w), and 0 or more: as many to the area as went where no writing is.
        """
        dark = np.asarray(self.shares > _DARK, np.uint8)
        _, found, boxes, middles = cv2.connectedComponentsWithStats(dark, connectivity=8)
        large = np.asarray(boxes[:, cv2.CC_STAT_AREA] > _SPECK)
        large[0] = False  # what is around them all
        columns, rows = np.asarray(middles, np.float32)[1:][~large[1:]].round().astype(np.intp).T
        far, near = (int(np.count_nonzero(places)) for places in (~self.beside[rows, columns], self.beside))
        return large[np.asarray(found, np.int32)], far * near / max(1, self.beside.size - near)


def went(before: Grey, after: Grey) -> Gone:
    """What went, and where.

    The writing is what is dark when a page is cleaned, its darkness a mean with the fourth power as weights.

    Args:
        before: (H, W), the scan's `darkness`.
        after: the cleaned page's.
    """
    counts = cv2.calcHist([before, after], [0, 1], None, [256, 256], [0, 256, 0, 256])
    levels = np.arange(256) / 255
    weights = np.asarray(counts) * levels**_POWER  # by what the pixels became
    total = weights.sum() + _BLACK
    was = ((weights * levels[:, None]).sum() + _BLACK) / total
    became = ((weights * levels).sum() + _BLACK) / total
    lost = cv2.addWeighted(before, _UNIT / 255 / was, after, -_UNIT / 255 / became, 0)  # no less than 0
    shares = np.divide(cells_most(np.asarray(lost, np.uint8)), _UNIT, dtype=np.float32)
    return Gone(shares, np.asarray(_covered(after) >= 255 * _COVERED * became))


def _covered(after: Grey) -> NDArray[np.float32]:
    """How dark the writing around each cell is in the mean, 0 to 255."""
    whole = whole_cells(after)
    size = (whole.shape[1] // CELL, whole.shape[0] // CELL)
    cells = np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.float32)
    return np.asarray(cv2.blur(cells, (_AROUND, _AROUND)), np.float32)


def surer(chances: NDArray[np.float32], gone: Gone) -> NDArray[np.float32]:
    """Chances of a loss where so dark a thing went.

    Args:
        chances: (h, w), 0..1.
        gone: what went.

    Returns:
        No less than the chances.
    """
    large, specks = gone.dust()
    gain = _SURER * (np.clip(gone.shares, PALE, CERTAIN) - PALE)
    gain -= np.where(large, 0, _BY_CHANCE * np.log1p(specks)).astype(np.float32)
    factor = np.exp(np.where(gone.beside, np.maximum(gain, 0), 0))
    return np.asarray(chances * factor / (1 - chances + chances * factor), np.float32)
