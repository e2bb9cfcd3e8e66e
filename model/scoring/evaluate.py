"""Scores of a cleaner: on scans whose truth or text is known, and on clean pages."""

import fnmatch
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from model.cleaning.cleaner import Cleaner
from model.judging.ssim import ssim
from model.page import INK, Page, Pair, is_bitonal
from model.scoring.cases import Case
from model.scoring.measures import BitonalScore, psnr, rmse, score_bitonal
from model.scoring.reading import TextScore, score_text, total_text


@dataclass(frozen=True)
class ImageScore:
    """A page compared with its truth.

    Attributes:
        rmse: see `model.scoring.measures.rmse`; 0..1.
        ssim: see `model.judging.ssim.ssim`; -1..1.
        bitonal: see `model.scoring.measures.score_bitonal`; None where the truth is not 1-bit.
    """

    rmse: float
    ssim: float
    bitonal: BitonalScore | None = None

    @property
    def psnr(self) -> float:
        """Peak signal-to-noise ratio in dB."""
        return psnr(self.rmse)


@dataclass(frozen=True)
class PairScore:
    """The scores of one pair, before and after cleaning."""

    name: str
    before: ImageScore
    after: ImageScore


@dataclass(frozen=True)
class PageScore:
    """All scores of one page; `pair` is None without a truth, `text` where no text was scored."""

    name: str
    pair: PairScore | None
    text: TextScore | None


@dataclass(frozen=True)
class Scored:
    """One page of an evaluation: its scores and its pixels."""

    score: PageScore
    scan: Page
    cleaned: Page
    truth: Page | None


@dataclass(frozen=True)
class CleanScore:
    """One clean page: the mean absolute change in grey levels (of 255), its strokes and the lost ones."""

    mean_change: float
    strokes: int
    strokes_lost: int


def evaluate(cleaner: Cleaner, cases: Iterable[Case], languages: str | None = None) -> Iterator[Scored]:
    """Clean and score scans one after another; only one at a time is in memory.

    Args:
        cleaner: the cleaner to score.
        cases: scans with truths or texts.
        languages: languages of the text, as Tesseract names them; None to score no text.

    Raises:
        DataFault: an image can't be read, or the sizes of a pair differ.
        OcrFault: Tesseract doesn't run.
    """
    for case in cases:
        scan, truth = case.read()
        cleaned = _clean(cleaner, scan)
        pair = score_pair(case.name, scan, cleaned, truth) if truth is not None else None
        text = score_text(case, scan, cleaned, truth, languages) if languages else None
        yield Scored(PageScore(case.name, pair, text), scan, cleaned, truth)


def _clean(cleaner: Cleaner, page: Page) -> Page:
    return np.asarray(cleaner.clean([page])[0], np.uint8)


def score_pair(name: str, scan: Page, cleaned: Page, truth: Page) -> PairScore:
    """Compare a scan and its cleaned version with the truth; all have the same height and width."""
    bitonal = is_bitonal(truth)
    before, after = (
        ImageScore(rmse(page, truth), ssim(page, truth), score_bitonal(page, truth) if bitonal else None)
        for page in (scan, cleaned)
    )
    return PairScore(name, before, after)


def score_pairs(cleaner: Cleaner, pairs: Iterable[Pair]) -> list[PairScore]:
    """Clean each pair's damaged page and compare it with the truth."""
    return [score_pair(p.name, p.noisy, _clean(cleaner, p.noisy), p.clean) for p in pairs]


def total(scores: Sequence[PairScore], name: str = "all") -> PairScore:
    """The mean of each measure over the pages; every page counts the same, as in the literature.

    The PSNR is that of the mean error. DIBCO's PSNR is the mean over all pages with 1-bit truths that are not
    perfect.

    Raises:
        ValueError: there are no scores.
    """
    if not scores:
        raise ValueError(f"no pages to take the mean of in {name!r}")
    return PairScore(name, _mean([s.before for s in scores]), _mean([s.after for s in scores]))


def total_of_pages(scores: Sequence[PageScore], name: str = "all") -> PageScore:
    """The totals of images and of text, each over the pages that have such a score."""
    pairs = [score.pair for score in scores if score.pair]
    texts = [score.text for score in scores if score.text]
    return PageScore(name, total(pairs, name) if pairs else None, total_text(texts, name) if texts else None)


def _mean(pages: Sequence[ImageScore]) -> ImageScore:
    bitonal = [page.bitonal for page in pages if page.bitonal is not None]
    return ImageScore(
        rmse=float(np.mean([page.rmse for page in pages])),
        ssim=float(np.mean([page.ssim for page in pages])),
        bitonal=_mean_bitonal(bitonal) if bitonal else None,
    )


def _mean_bitonal(pages: Sequence[BitonalScore]) -> BitonalScore:
    finite = [page.psnr for page in pages if math.isfinite(page.psnr)]
    return BitonalScore(
        f_measure=float(np.mean([page.f_measure for page in pages])),
        pseudo_f=float(np.mean([page.pseudo_f for page in pages])),
        psnr=float(np.mean(finite)) if finite else math.inf,
        drd=float(np.mean([page.drd for page in pages])),
    )


def by_pattern(scores: Sequence[PairScore], patterns: Sequence[str]) -> list[PairScore]:
    """The total over the pages that each glob pattern matches by name; the pattern becomes its name."""
    groups = {p: [s for s in scores if fnmatch.fnmatch(s.name, p)] for p in patterns}
    return [total(group, pattern) for pattern, group in groups.items() if group]


def score_clean(cleaner: Cleaner, pages: Iterable[Page]) -> list[CleanScore]:
    """Clean pages that need no cleaning, and score what changed."""
    return [compare_clean(page, _clean(cleaner, page)) for page in pages]


def compare_clean(page: Page, cleaned: Page) -> CleanScore:
    """What changed between a clean page and its cleaned version.

    A stroke is a connected component (8-neighbourhood) of at least 3 pixels darker than `INK`. It is lost if
    none of its pixels is still darker than halfway between `INK` and white.
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
