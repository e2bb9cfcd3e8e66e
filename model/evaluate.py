"""Score a cleaner on pairs and on clean pages, as `pumice evaluate` and a card's scores do."""

import fnmatch
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model.cleaner import Cleaner
from model.damage import Page
from model.data import Pair

INK = 128
"""A pixel darker than this, of 255, is ink."""


@dataclass(frozen=True)
class PairScore:
    """One pair: root mean square error to the truth over all pixels, 0..1, before and after cleaning."""

    name: str
    rmse_before: float
    rmse_after: float

    @property
    def psnr_before(self) -> float:
        """Peak signal-to-noise ratio in dB, before."""
        return _psnr(self.rmse_before)

    @property
    def psnr_after(self) -> float:
        """Peak signal-to-noise ratio in dB, after."""
        return _psnr(self.rmse_after)


@dataclass(frozen=True)
class CleanScore:
    """One clean page: mean absolute change in grey levels (of 255), and strokes that cleaning lost."""

    mean_change: float
    strokes: int
    strokes_lost: int


def rmse(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Root mean square difference of two pages of equal shape, on the scale 0..1."""
    difference = (a.astype(np.float32) - b.astype(np.float32)) / 255
    return float(np.sqrt(np.mean(np.square(difference), dtype=np.float64)))


def _psnr(error: float) -> float:
    return float("inf") if error == 0 else -20 * float(np.log10(error))


def score_pairs(
    cleaner: Cleaner, pairs: Iterable[Pair], progress: Callable[[PairScore], None] | None = None
) -> list[PairScore]:
    """Clean each pair's damaged page and compare it with the truth."""
    scores = []
    for pair in pairs:
        cleaned = np.asarray(cleaner.clean([pair.noisy])[0], np.uint8)
        scores.append(PairScore(pair.name, rmse(pair.noisy, pair.clean), rmse(cleaned, pair.clean)))
        if progress:
            progress(scores[-1])
    return scores


def total(scores: Sequence[PairScore], name: str = "all") -> PairScore:
    """The mean of the pages' errors (each page counts the same, as NoisyOffice's literature does).

    Raises:
        ValueError: there are no scores.
    """
    if not scores:
        raise ValueError(f"no pages to take the mean of in {name!r}")
    before, after = ([getattr(s, field) for s in scores] for field in ("rmse_before", "rmse_after"))
    return PairScore(name, float(np.mean(before)), float(np.mean(after)))


def by_pattern(scores: Sequence[PairScore], patterns: Sequence[str]) -> list[PairScore]:
    """The total of each glob pattern that matches the names of some pages, named after it."""
    groups = {p: [s for s in scores if fnmatch.fnmatch(s.name, p)] for p in patterns}
    return [total(group, pattern) for pattern, group in groups.items() if group]


def score_clean(cleaner: Cleaner, pages: Iterable[Page]) -> list[CleanScore]:
    """Clean pages that need no cleaning and see what that did to them."""
    return [compare_clean(page, np.asarray(cleaner.clean([page])[0], np.uint8)) for page in pages]


def compare_clean(page: Page, cleaned: Page) -> CleanScore:
    """What changed between a clean page and its cleaned version.

    A stroke is a connected component (8-neighbourhood) of at least 3 pixels darker than `INK`; it is lost
    where no pixel of it is darker than halfway between `INK` and white any more.
    """
    before, after = (p if p.ndim == 2 else p.min(axis=2) for p in (page, cleaned))  # noqa: PLR2004
    count, labels, facts, _ = cv2.connectedComponentsWithStats(
        (before < INK).astype(np.uint8), connectivity=8
    )
    kept = np.zeros(count, bool)
    kept[np.unique(labels[after < (INK + 255) // 2])] = True
    strokes = facts[:, cv2.CC_STAT_AREA] >= 3  # noqa: PLR2004
    strokes[0] = False  # label 0 is the paper
    change = float(np.abs(page.astype(np.int16) - cleaned).mean())
    return CleanScore(change, int(strokes.sum()), int((strokes & ~kept).sum()))
