"""Samples for the cleaner: pairs, clean pages damaged by code, and strokes laid on other papers.

Every batch is drawn from a generator that is seeded by (seed, step). So a continued training sees the same
batches as one that was never interrupted, and so do two trainings with one seed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from model.drawing.damage import damage, damage_bitonal
from model.drawing.real_paper import (
    Sheet,
    draw_cover,
    draw_paper,
    lay_on,
    print_on,
    shine_through,
    take_apart,
)
from model.drawing.variations import (
    fainter,
    marked,
    other_light,
    resized,
    scale_by,
    strength_of_ink,
    with_plate,
)
from model.images import DataFault
from model.page import Page, Pair, as_grey, black_and_white, crop
from model.training.loss import Truth

COLOUR_SHARE = 0.3
LARGE_SHARE = 0.4
"""The share of batches that look like parts of large pages (`model.network.autoencoder.LARGE`)."""

_BITONAL = 0.08
_COVERS = 0.12
_PLATES = 0.3
_BLANK = 0.2
_FAINT = 0.12
_WHOLE_PAGE = 2000
"""About the side, in pixels, of the pages that patches come from: stains may be larger than a patch."""


@dataclass(frozen=True)
class _View:
    """How batches of small or of large pages are drawn.

    Attributes:
        sizes: number and side in pixels of a batch's patches: many small ones for detail, few for stains.
        as_they_are: the share of samples that are patches of pairs.
        on_other_paper: the share of samples with strokes of a pair on other paper; the rest are damaged.
        enlarged: the factor by which pairs and papers are enlarged.
        scaled: the smallest and the largest factor by which half of the clean pages are scaled.
    """

    sizes: tuple[tuple[int, int], tuple[int, int]]
    as_they_are: float
    on_other_paper: float
    enlarged: float
    scaled: tuple[float, float]


_SMALL = _View(((8, 256), (2, 576)), 0.32, 0.24, 1.0, (0.4, 1.3))
_LARGE = _View(((3, 640), (1, 1088)), 0.1, 0.22, 2.0, (0.8, 1.8))
_GREY_TRUTHS = {False: 0.5, True: 0.2}
"""The share of grey truths among the pairs of grey (False) and of colour (True) batches.

Grey truths teach exact tones; most pairs with 1-bit truths are colour scans of old pages."""


@dataclass(frozen=True)
class Batch:
    """Samples of one size and mode.

    Attributes:
        noisy: (N, C, S, S) uint8, C 1 or 3.
        clean: the truth, of the same shape.
        ink: (N, 1, S, S) uint8, how much of a pixel's neighbourhood is ink or edge.
        truth: (N,) uint8, values of `model.training.loss.Truth`.
        large: whether the samples are parts of large pages.
    """

    noisy: NDArray[np.uint8]
    clean: NDArray[np.uint8]
    ink: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    large: bool = False


@dataclass(frozen=True)
class _Sample:
    noisy: Page
    clean: Page
    truth: Truth = Truth.PAGE


@dataclass(frozen=True)
class Patches:
    """Draws batches from pairs and clean pages; either may be empty, but not both.

    Attributes:
        pairs: scans with their truths.
        pages: clean pages, which are damaged.
        seed: of all random numbers.
        spared: the share of clean pages' samples that get no damage.
    """

    pairs: Sequence[Pair]
    pages: Sequence[Page]
    seed: int
    spared: float = 0.22
    _sheets: list[list[Sheet]] = field(init=False)

    def __post_init__(self) -> None:
        if not self.pairs and not self.pages:
            raise DataFault("there is nothing to train on: neither pairs nor clean pages")
        sheets = take_apart(self.pairs)
        kinds = ([s for s in sheets if s.pair.bitonal == bitonal] for bitonal in (False, True))
        object.__setattr__(self, "_sheets", [kind for kind in kinds if kind])

    def batches(self, first: int, last: int) -> Iterator[Batch]:
        """The batches of steps first..last-1."""
        for step in range(first, last):
            yield self.batch(np.random.default_rng((self.seed, step)))

    def batch(self, rng: Generator) -> Batch:
        """One batch: of small or large pages, with small or large patches, in grey or colour."""
        colour = rng.random() < COLOUR_SHARE
        view = _LARGE if rng.random() < LARGE_SHARE else _SMALL
        count, size = view.sizes[0 if rng.random() < 0.6 else 1]
        samples = [self._sample(rng, size, colour, view) for _ in range(count)]
        noisy, clean = (
            np.stack([_planes(page, colour) for page in pages])
            for pages in zip(*((s.noisy, s.clean) for s in samples), strict=True)
        )
        ink = np.stack([_ink_map(as_grey(s.clean))[None] for s in samples])
        return Batch(noisy, clean, ink, np.asarray([s.truth for s in samples], np.uint8), view is _LARGE)

    def _sample(self, rng: Generator, size: int, colour: bool, view: _View) -> _Sample:
        kind = rng.random()
        if self._sheets and (kind < view.as_they_are or not self.pages):
            return self._pair(rng, size, colour, view)
        if self._sheets and kind < view.as_they_are + view.on_other_paper:
            return self._on_other_paper(rng, size, colour, view)
        return self._damaged(rng, size, colour, view)

    def _sheet(self, rng: Generator, grey_truths: float) -> Sheet:
        """A random sheet; `grey_truths` is the chance of a grey truth, however many pairs have one."""
        kind = self._sheets[0 if rng.random() < grey_truths else -1]
        return kind[int(rng.integers(0, len(kind)))]

    def _pair(self, rng: Generator, size: int, colour: bool, view: _View) -> _Sample:
        # The tones of enlarged pages are not exact.
        pair = self._sheet(rng, _GREY_TRUTHS[colour] if view.enlarged == 1 else 0).pair
        noisy, clean = _cut(rng, pair, _in_mode(pair.noisy, colour), size, view)
        if rng.random() < (0.5 if pair.bitonal else 0.15):
            noisy = other_light(rng, noisy)
        exact = Truth.TONES if view.enlarged == 1 else Truth.PAGE
        return self._finish(rng, noisy, clean, Truth.BITONAL if pair.bitonal else exact, colour)

    def _on_other_paper(self, rng: Generator, size: int, colour: bool, view: _View) -> _Sample:
        """The strokes of a pair or of a clean page on the paper of another pair."""
        sheet = self._sheet(rng, _GREY_TRUTHS[colour])
        papers = [s.paper for s in self._sheets[int(rng.integers(0, len(self._sheets)))]]
        if rng.random() < _COVERS:
            light = draw_cover(rng, size, colour)
        else:
            light = draw_paper(rng, papers, size, colour, view.enlarged)
        if rng.random() < 0.5:
            light = marked(rng, light)
        bitonal = sheet.pair.bitonal
        if self.pages and not bitonal and rng.random() < 0.25:
            clean = self._patch(rng, size, colour, view)
            return self._finish(rng, print_on(rng, light, clean), clean, Truth.PAGE, colour)
        share, clean = _cut(rng, sheet.pair, _in_mode(sheet.ink, colour), size, view)
        strength = strength_of_ink(rng, colour) if bitonal or rng.random() < 0.2 else np.ones(1)
        if bitonal and rng.random() < 0.6:
            other = self._sheets[-1][int(rng.integers(0, len(self._sheets[-1])))]
            back = _cut(rng, other.pair, _in_mode(other.ink, colour), size, view)[0]
            light = shine_through(rng, light, back, float(strength.mean()))
        noisy = lay_on(rng, light, (share / 255) ** strength, toner=not bitonal)
        return self._finish(rng, noisy, clean, Truth.BITONAL if bitonal else Truth.PAGE, colour)

    @staticmethod
    def _finish(rng: Generator, noisy: Page, clean: Page, truth: Truth, colour: bool) -> _Sample:
        """A sample, sometimes upside down; never mirrored: mirrored writing is that of the other side."""
        if truth is Truth.BITONAL:
            clean = black_and_white(clean)  # what scaling made grey
        if rng.random() < 0.3:
            noisy, clean = noisy[::-1, ::-1], clean[::-1, ::-1]
        return _Sample(noisy, _in_mode(clean, colour), truth)

    def _damaged(self, rng: Generator, size: int, colour: bool, view: _View) -> _Sample:
        kind = rng.random()
        if kind < self.spared:  # teaches that highlights, shades and photographs are no dirt
            page = self._patch(rng, size, colour, view)
            page = with_plate(rng, page) if rng.random() < _PLATES else page
            return _Sample(page, page, Truth.CLEAN)
        page = self._patch(rng, size, colour, view)
        if kind < self.spared + _BITONAL and not colour:
            return _Sample(*damage_bitonal(page, rng))
        if rng.random() < _BLANK:  # with no writing near, dirt is harder to tell from faint ink
            page = np.full_like(page, 255)
        other = self._patch(rng, size, False, view)
        strength = 1 - 0.7 * float(rng.random()) ** 2
        # Faint ink is as pale as ink that shines through, so a sample has only one of both.
        written, back = (fainter(rng, page), None) if rng.random() < _FAINT else (page, other)
        return _Sample(damage(written, rng, back, strength, int(_WHOLE_PAGE * view.enlarged)), page)

    def _patch(self, rng: Generator, size: int, colour: bool, view: _View) -> Page:
        page = self.pages[int(rng.integers(0, len(self.pages)))]
        scale = scale_by(rng, *view.scaled, 0.5)
        return resized(_in_mode(crop(rng, max(8, round(size / scale)), page)[0], colour), size)


def _cut(rng: Generator, pair: Pair, page: Page, size: int, view: _View) -> tuple[Page, Page]:
    """A patch of a pair's page and the same patch of its truth, sometimes scaled.

    Pairs with grey truths are rarely scaled: they teach exact tones.
    """
    scale = scale_by(rng, 0.5, 2.5, 0.6) if pair.bitonal else scale_by(rng, 0.65, 1.6, 0.15)
    side = max(8, round(size / (scale * view.enlarged)))
    noisy, clean = crop(rng, side, page, as_grey(pair.clean))
    return resized(noisy, size), resized(clean, size)


def _ink_map(clean: Page) -> NDArray[np.uint8]:
    """Ink and edges: half the darkness of the darkest of the 3x3 neighbours, half their contrast."""
    around = np.ones((3, 3), np.uint8)
    darkest, lightest = cv2.erode(clean, around), cv2.dilate(clean, around)
    return np.asarray((255 - darkest) // 2 + (lightest - darkest) // 2, np.uint8)


def _in_mode(page: Page, colour: bool) -> Page:
    if not colour:
        return as_grey(page)
    return page if page.ndim == 3 else np.repeat(page[..., None], 3, axis=2)


def _planes(page: Page, colour: bool) -> Page:
    return np.ascontiguousarray(page.transpose(2, 0, 1) if colour else page[None])
