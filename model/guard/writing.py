"""What cleaning removed from a page, compared with its writing: dark marks beside writing are hardly dirt.

The guard's network sees half an inch far. It is sure about an erased word, and less sure about the dot of an
i. But folds, stains and show-through are paler than a page's ink, and a dot isn't; specks of dust lie
anywhere, dots only beside letters. So where the network suspects a loss beside writing, its chance is raised:
the more, the nearer the darkness of the removed mark comes to that of the writing. For marks no larger than a
speck it is raised less, the more specks are to be expected there by chance, judged by how many were removed
elsewhere. Chances of pale marks stay: faint ink is for the network to tell from dirt. So do those far from
any writing.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model.guard.network import CELL, cells_most, whole_cells
from model.page import Grey

PALE, CERTAIN = 0.4, 1.3
"""Shares of the writing's darkness: removed marks paler than the first don't raise the guard's chances; those
darker than the second raise them no further."""

_SURER = 8.0  # times the share above PALE is added to the log odds
_BY_CHANCE = 0.6  # times log(1 + specks expected beside writing) is subtracted
_POWER = 4
_AROUND, _COVERED = 5, 0.05  # cells a side, an eighth of an inch; the share that writing covers at least
_SPECK, _DARK = 9, 0.5  # cells that a speck lies in, at most; its share of the writing's darkness, at least
_UNIT = 100  # the writing's darkness, in bytes
_BLACK = 20.0  # pixels of black added to every page: a blank one has no writing to compare with


def darkness(page: Grey, strokes: Grey) -> Grey:
    """How much of their paper's light strokes take, 0 to 255.

    Args:
        page: (H, W).
        strokes: of the same shape, how much darker they are than their paper, `model.guard.network.strokes`.
    """
    return np.asarray(cv2.divide(strokes, cv2.add(page, strokes), scale=255), np.uint8)


@dataclass(frozen=True)
class Gone:
    """What was removed from a page.

    Attributes:
        shares: (h, w), 0 to 2.55, how dark it was at each cell's darkest pixel, as a share of the darkness of
            the page's writing; h and w are the page's cells, padded to `model.guard.network.STRIDE`.
        beside: (h, w), whether there is writing beside a cell.
    """

    shares: NDArray[np.float32]
    beside: NDArray[np.bool_]

    def dust(self) -> tuple[NDArray[np.bool_], float]:
        """Where removed marks are larger than specks of dust, and how many specks to expect beside writing.

        Returns:
            (h, w), and 0 or more: as many for the area as were removed where no writing is.
        """
        dark = np.asarray(self.shares > _DARK, np.uint8)
        _, found, boxes, middles = cv2.connectedComponentsWithStats(dark, connectivity=8)
        large = np.asarray(boxes[:, cv2.CC_STAT_AREA] > _SPECK)
        large[0] = False  # the background
        columns, rows = np.asarray(middles, np.float32)[1:][~large[1:]].round().astype(np.intp).T
        far, near = (int(np.count_nonzero(places)) for places in (~self.beside[rows, columns], self.beside))
        return large[np.asarray(found, np.int32)], far * near / max(1, self.beside.size - near)


def went(before: Grey, after: Grey) -> Gone:
    """What was removed, and where.

    Writing is what is dark on the cleaned page; its darkness is a mean with the fourth power as weights.

    Args:
        before: (H, W), the scan's `darkness`.
        after: the cleaned page's.
    """
    counts = cv2.calcHist([before, after], [0, 1], None, [256, 256], [0, 256, 0, 256])
    levels = np.arange(256) / 255
    weights = np.asarray(counts) * levels**_POWER  # of the cleaned page's darkness
    total = weights.sum() + _BLACK
    was = ((weights * levels[:, None]).sum() + _BLACK) / total
    became = ((weights * levels).sum() + _BLACK) / total
    lost = cv2.addWeighted(before, _UNIT / 255 / was, after, -_UNIT / 255 / became, 0)  # no less than 0
    shares = np.divide(cells_most(np.asarray(lost, np.uint8)), _UNIT, dtype=np.float32)
    return Gone(shares, np.asarray(_covered(after) >= 255 * _COVERED * became))


def _covered(after: Grey) -> NDArray[np.float32]:
    """The mean darkness of the writing around each cell, 0 to 255."""
    whole = whole_cells(after)
    size = (whole.shape[1] // CELL, whole.shape[0] // CELL)
    cells = np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.float32)
    return np.asarray(cv2.blur(cells, (_AROUND, _AROUND)), np.float32)


def surer(chances: NDArray[np.float32], gone: Gone) -> NDArray[np.float32]:
    """Chances of a loss, raised where dark marks beside writing were removed.

    Args:
        chances: (h, w), 0..1.
        gone: what was removed.

    Returns:
        (h, w), nowhere less than `chances`.
    """
    large, specks = gone.dust()
    gain = _SURER * (np.clip(gone.shares, PALE, CERTAIN) - PALE)
    gain -= np.where(large, 0, _BY_CHANCE * np.log1p(specks)).astype(np.float32)
    factor = np.exp(np.where(gone.beside, np.maximum(gain, 0), 0))
    return np.asarray(chances * factor / (1 - chances + chances * factor), np.float32)
