"""Samples for the guard: cleaned pages, some with planted faults, and labels that say where ink was lost.

The pages are samples of the cleaner's training (`model.training.cleaner_samples`), cleaned, with faults from
`model.training.faults`. Their truth tells which of the removed marks were ink.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from model.cleaning.cleaner import Cleaner
from model.guard.network import CELL, STRIDE, strokes, strokes_changed
from model.page import Grey, Page, as_grey, as_written, crop
from model.training.cleaner_samples import Patches
from model.training.faults import plant
from model.training.loss import Truth

Mask = NDArray[np.bool_]

_INK, _GONE, _KEPT = 0.25, 0.5, 0.6
"""Ink is darker than the first; it is lost below the second share of its darkness, kept above the third."""
_STROKE = 0.1  # paler ink counts, too, if it is so much darker than its surroundings: a thin grey rule
_HARDLY, _CLEARLY = 0.12, 0.4  # a doubtful stroke is paler than this in the scan, darker in the result
_GONE_BITONAL = 0.3  # a black and white truth doesn't tell how dark ink was
_INVENTED = 0.3
_LEAST_PIXELS = 2  # of a cell
_FAULTS = 6  # of one kind at once: more of them teach faster
NEW_EVERY, KEPT = 4, 300
SCANS_SHARE = 0.25


@dataclass(frozen=True)
class GuardBatch:
    """Samples of one size.

    Attributes:
        pages: (N, 2, S, S) uint8, the scan and the cleaned page.
        wrong: (N, 2, S / CELL, S / CELL) bool, the cells that lost ink, and those that gained ink.
        sure: of the same shape, bool, whether `wrong` is known for a cell.
    """

    pages: NDArray[np.uint8]
    wrong: Mask
    sure: Mask


@dataclass(frozen=True)
class _Cleaned:
    """Cleaned pages to plant faults in: lists of grey pages, all of one size; `known` if the truth is."""

    scans: list[Grey]
    cleaned: list[Grey]
    truths: list[Grey]
    kinds: list[Truth]
    known: bool


@dataclass(frozen=True)
class GuardSamples:
    """Draws seeded batches; a cleaned page is used several times, each time with other faults.

    Attributes:
        patches: sources of pages with a truth, each used equally often.
        cleaner: the cleaner whose results the guard judges.
        scans: real scans without a truth; the cleaner's results on them are assumed to be right.
        seed: of all random numbers.
    """

    patches: Sequence[Patches]
    cleaner: Cleaner
    scans: Sequence[Page]
    seed: int
    _kept: dict[int, _Cleaned] = field(default_factory=dict)

    def batches(self, first: int, last: int) -> Iterator[GuardBatch]:
        """The batches of steps first..last-1."""
        for step in range(first, last):
            rng = np.random.default_rng((self.seed, step))
            newest = step // NEW_EVERY
            oldest = max(0, newest - KEPT + 1)
            self._kept.pop(oldest - 1, None)
            yield _batch(rng, self._pages(int(rng.integers(oldest, newest + 1))))

    def _pages(self, number: int) -> _Cleaned:
        if number not in self._kept:
            self._kept[number] = self._clean(np.random.default_rng((self.seed, number, 1)))
        return self._kept[number]

    def _clean(self, rng: Generator) -> _Cleaned:
        if self.scans and rng.random() < SCANS_SHARE:
            return self._clean_scans(rng)
        batch = self.patches[int(rng.integers(0, len(self.patches)))].batch(rng)
        scans, truths = (
            [np.ascontiguousarray(page.transpose(1, 2, 0).squeeze()) for page in pages]
            for pages in (batch.noisy, batch.clean)
        )
        scans, cleaned, truths = (
            [as_grey(np.asarray(page, np.uint8)) for page in pages]
            for pages in (scans, self.cleaner.clean_parts(scans, batch.large), truths)
        )
        cleaned = [as_written(*pages) for pages in zip(scans, cleaned, strict=True)]
        return _Cleaned(scans, cleaned, truths, [Truth(int(kind)) for kind in batch.truth], known=True)

    def _clean_scans(self, rng: Generator) -> _Cleaned:
        count, size = (8, 256) if rng.random() < 0.5 else (4, 416)
        pages = [self.scans[int(i)] for i in rng.integers(0, len(self.scans), count)]
        scans = [np.ascontiguousarray(as_grey(crop(rng, size, page)[0])) for page in pages]
        cleaned = [np.asarray(page, np.uint8) for page in self.cleaner.clean(scans)]
        cleaned = [as_written(*pages) for pages in zip(scans, cleaned, strict=True)]
        return _Cleaned(scans, cleaned, cleaned, [Truth.PAGE] * count, known=False)


def _batch(rng: Generator, source: _Cleaned) -> GuardBatch:
    size = round(source.scans[0].shape[0] / float(rng.choice([1, 1.5, 2])) / STRIDE) * STRIDE
    pages = zip(source.scans, source.cleaned, source.truths, source.kinds, strict=True)
    samples = zip(*(_sample(rng, *one, size, known=source.known) for one in pages), strict=True)
    return GuardBatch(*(np.stack(part) for part in samples))


def _sample(
    rng: Generator, scan: Grey, cleaned: Grey, truth: Grey, kind: Truth, size: int, *, known: bool
) -> tuple[Grey, Mask, Mask]:
    taken, added = np.zeros(scan.shape, bool), np.zeros(scan.shape, bool)
    for _ in range(int(rng.integers(1, 4)) if rng.random() < 0.6 else 0):
        fault = plant(rng, cleaned, truth, float(rng.uniform(90, 300)), most=_FAULTS)
        if fault:
            cleaned = fault[0]
            (added if fault[2] == "added" else taken)[fault[1]] = True
    scan, cleaned, truth = (_resized(page, size) for page in (scan, cleaned, truth))
    taken, added = (_resized(mask.astype(np.uint8) * 255, size) > 127 for mask in (taken, added))
    wrong, sure = labels(scan, cleaned, truth, taken, added, bitonal=kind is Truth.BITONAL)
    if not known:
        sure[1] &= ~revived(scan, cleaned) | (_cells(added) > 0)
    # The guard never judges other cells.
    return np.stack([scan, cleaned]), wrong, sure & strokes_changed(strokes(scan), strokes(cleaned))


def labels(
    scan: Grey, cleaned: Grey, truth: Grey, taken: Mask, added: Mask, *, bitonal: bool
) -> tuple[Mask, Mask]:
    """Which cells lost ink or gained ink that never was, and for which cells this is known.

    Ink that is lost at the edge of kept ink doesn't count: edges come out a little sharper or softer.

    Args:
        scan: (H, W) uint8, H and W multiples of CELL.
        cleaned: the result to judge, of the same shape.
        truth: the clean page, of the same shape.
        taken: where a fault removed ink.
        added: where a fault added ink.
        bitonal: whether the truth is black and white.

    Returns:
        Two masks (2, H / CELL, W / CELL): the wrong cells, and the cells for which that is known.
    """
    before, after, ink = (1 - np.divide(page, 255, dtype=np.float32) for page in (scan, cleaned, truth))
    is_ink = (ink > _INK) | (strokes(truth) > 255 * _STROKE)
    there = _near(is_ink & (after >= _KEPT * ink), 3)
    gone = is_ink & (after < (_GONE_BITONAL if bitonal else _GONE) * ink)
    lost = gone & (~there | taken)
    doubtful = is_ink & (after < _KEPT * ink) & ~there
    extra = (after > _INVENTED) & (ink < _INVENTED * after) & ~_near(ink > 0.1, 5)  # noqa: PLR2004
    invented = extra & (added | (after - before > _INVENTED))
    wrong = np.stack([_cells(mask) >= _LEAST_PIXELS for mask in (lost, invented)])
    wrong[0] |= _cells(lost & taken) > 0
    unclear = np.stack([_cells(doubtful | lost) > 0, _cells((extra & added) | invented) > 0])
    return wrong, wrong | ~unclear


def revived(scan: Grey, cleaned: Grey) -> Mask:
    """Cells with strokes that the scan hardly has: faint ink made darker, or dirt made to look like ink.

    Only a truth can tell which of the two it is.

    Args:
        scan: (H, W) uint8, H and W multiples of CELL.
        cleaned: the result, of the same shape.

    Returns:
        A mask (H / CELL, W / CELL).
    """
    return _cells((strokes(scan) < 255 * _HARDLY) & (strokes(cleaned) > 255 * _CLEARLY)) >= _LEAST_PIXELS


def _near(mask: Mask, size: int) -> Mask:
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8)) > 0)


def _cells(mask: Mask) -> NDArray[np.int64]:
    """(H / CELL, W / CELL): the number of pixels in each cell."""
    height, width = mask.shape
    return np.asarray(mask.reshape(height // CELL, CELL, width // CELL, CELL).sum((1, 3)), np.int64)


def _resized(page: Grey, size: int) -> Grey:
    return (
        page
        if page.shape[0] == size
        else np.asarray(cv2.resize(page, (size, size), interpolation=cv2.INTER_AREA))
    )
