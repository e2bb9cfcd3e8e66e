"""The pages that the guard is trained on, that its thresholds are chosen by, and that it is measured on.

It is not trained on every third PDF, on every second scan without a truth, and on the pairs that are held out
from the cleaner's training. Every second of these pairs and scans serves to choose thresholds, the others to
measure. From the PDFs other pages are drawn and damaged for each of the two.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from model.cleaning.cleaner import Cleaner
from model.drawing.damage import damage, damage_bitonal
from model.guard.network import CELL
from model.images import read_page
from model.judging.condition import at_scale
from model.page import Grey, Page, Pair, as_grey, as_written
from model.training.cleaner_samples import Patches
from model.training.data import pdf_page, read_pairs, render_pages
from model.training.guard_samples import GuardSamples, labels, revived
from scripts.quality.data import folders_in, image_files
from scripts.quality.pages import Sheet, draw, pdf_files

DRAWN_PAGES = 100
SEED = 30_000
ROUNDS = 2
"""How many pages of each PDF are drawn to choose thresholds by, and as many again to measure on."""

_HELD_PDF, _HELD_SCAN = 3, 2
_CLEAN, _BITONAL = 0.25, 0.35  # shares of PDF pages, cumulated
_RMSE = 0.06
_SPARED = 0.25


@dataclass(frozen=True)
class Cleaned:
    """A scan and its cleaned page, in grey at full resolution.

    Attributes:
        honest: whether the cleaner did nothing wrong, as far as is known.
        ink: a page that shows where ink is: the truth, or the result where there is no truth.
    """

    name: str
    group: str
    scan: Page
    result: Page
    dpi: float | None
    honest: bool
    ink: Page

    def at_scale(self, page: Page) -> Grey:
        """The page as the guard sees it."""
        return at_scale(page, (self.dpi, self.dpi) if self.dpi else None)[0]


def training_samples(data: Path, held: Sequence[str], cleaner: Cleaner, seed: int) -> GuardSamples:
    """What the guard learns from."""
    known, _ = _pairs(data, held)
    rng = np.random.default_rng(seed)
    pdfs = [path for index, path in enumerate(pdf_files(data)) if index % _HELD_PDF]
    pages = [*(pdf_page(path, rng) for path in pdfs), *render_pages(rng, DRAWN_PAGES)]
    scans = [read_page(path) for index, path in enumerate(_scans(data)) if index % _HELD_SCAN]
    patches = [Patches(known, pages, seed), Patches([], pages, seed, spared=_SPARED)]
    return GuardSamples(patches, cleaner, scans, seed)


def unseen_pages(data: Path, held: Sequence[str], cleaner: Cleaner, *, measured: bool) -> Iterator[Cleaned]:
    """Cleaned pages that the guard didn't learn from: to measure on, or to choose thresholds by."""
    for pair in islice(_pairs(data, held)[1], int(measured), None, 2):
        yield _cleaned(cleaner, pair.name, "pairs", pair.noisy, None, as_grey(pair.clean))
    for path in islice(_scans(data)[::_HELD_SCAN], int(measured), None, 2):
        yield _cleaned(cleaner, path.name, "scans", read_page(path), None, None)
    for which in range(ROUNDS * measured, ROUNDS * (1 + measured)):
        for index, path in enumerate(pdf_files(data)[::_HELD_PDF]):
            sheet = draw(path, SEED + 1000 * which + index)
            yield _of_pdf(cleaner, sheet, np.random.default_rng((SEED, which, index)))


def _of_pdf(cleaner: Cleaner, sheet: Sheet, rng: np.random.Generator) -> Cleaned:
    kind = rng.random()
    if kind < _CLEAN:
        return _cleaned(cleaner, sheet.name, "clean PDFs", sheet.page, sheet.dpi, sheet.page)
    if kind < _BITONAL:
        noisy, truth = damage_bitonal(sheet.page, rng)
        return _cleaned(cleaner, sheet.name, "1-bit PDFs", noisy, sheet.dpi, truth)
    noisy = damage(sheet.page, rng, sheet.back, strength=float(rng.uniform(0.1, 1)))
    return _cleaned(cleaner, sheet.name, "damaged PDFs", noisy, sheet.dpi, sheet.page)


def _cleaned(
    cleaner: Cleaner, name: str, group: str, page: Page, dpi: float | None, truth: Page | None
) -> Cleaned:
    scan = as_grey(page)
    result = as_written(scan, as_grey(np.asarray(cleaner.clean([page])[0], np.uint8)))
    ink = result if truth is None else as_grey(truth)
    done = Cleaned(name, group, scan, result, dpi, True, ink)
    return replace(done, honest=_is_honest(done, known=truth is not None))


def _is_honest(done: Cleaned, *, known: bool) -> bool:
    """Whether no cell lost or gained ink, and the result is close to the truth.

    If no truth is known: whether nothing became a stroke that hardly was one in the scan.
    """
    pages = [done.at_scale(page) for page in (done.scan, done.result, done.ink)]
    height, width = (side // CELL * CELL for side in pages[0].shape)
    scan, result, clean = (page[:height, :width] for page in pages)
    if not known:
        return not revived(scan, result).any()
    nothing = np.zeros(scan.shape, bool)
    bitonal = not np.any((done.ink > 0) & (done.ink < 255))
    wrong, _ = labels(scan, result, clean, nothing, nothing, bitonal=bitonal)
    error = np.square((result.astype(np.float32) - clean) / 255).mean()
    return not wrong.any() and float(error) < _RMSE**2


def _pairs(data: Path, held: Sequence[str]) -> tuple[list[Pair], list[Pair]]:
    """Those to learn from, and those held out."""
    return read_pairs([data / "noisyoffice", *folders_in(data / "dibco")], held)


def _scans(data: Path) -> list[Path]:
    return [path for name in ("office-scans", "old-books") for path in image_files(data / name)]
