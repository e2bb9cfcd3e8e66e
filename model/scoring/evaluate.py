"""Score a cleaner: on scans of known truth or text for `pumice evaluate`, on clean pages for a card."""

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
    """A page against its truth; the attributes are those of `model.scoring.measures`.

    Attributes:
        rmse: 0..1.
        ssim: -1..1.
        bitonal: None where the truth is not 1-bit.
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
    """One pair, before and after cleaning."""

    name: str
    before: ImageScore
    after: ImageScore


@dataclass(frozen=True)
class PageScore:
    """All scores of one page; None where there is no truth, or its text was not scored."""

    name: str
    pair: PairScore | None
    text: TextScore | None


@dataclass(frozen=True)
class Scored:
    """One page of an evaluation: its scores, and its pixels for whoever wants to show them."""

    score: PageScore
    scan: Page
    cleaned: Page
    truth: Page | None


@dataclass(frozen=True)
class CleanScore:
    """One clean page: mean absolute change in grey levels (of 255), and strokes that cleaning lost."""

    mean_change: float
    strokes: int
    strokes_lost: int


def evaluate(cleaner: Cleaner, cases: Iterable[Case], languages: str | None = None) -> Iterator[Scored]:
    """Clean and score scans one after another, never more than one in memory.

    Args:
        cleaner: what is scored.
        cases: scans with truths or texts.
        languages: of the text, as Tesseract names them; None leaves text alone.

    Raises:
        DataFault: an image can't be read, or a pair's sizes differ.
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
    """Compare a scan and its cleaned version, of the truth's height and width, with the truth."""
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
    """The mean of each measure over the pages, each of which counts the same, as the literature does.

    PSNR is that of the mean error; DIBCO's is the mean over the pages with 1-bit truths, without those that
    are perfect.

    Raises:
        ValueError: there are no scores.
    """
    if not scores:
        raise ValueError(f"no pages to take the mean of in {name!r}")
    return PairScore(name, _mean([s.before for s in scores]), _mean([s.after for s in scores]))


def total_of_pages(scores: Sequence[PageScore], name: str = "all") -> PageScore:
    """The totals of images and of text, each over the pages that have a score of it."""
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
    """The total of each glob pattern that matches the names of some pages, named after it."""
    groups = {p: [s for s in scores if fnmatch.fnmatch(s.name, p)] for p in patterns}
    return [total(group, pattern) for pattern, group in groups.items() if group]


def score_clean(cleaner: Cleaner, pages: Iterable[Page]) -> list[CleanScore]:
    """Clean pages that need no cleaning and see what that did to them."""
    return [compare_clean(page, _clean(cleaner, page)) for page in pages]


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
