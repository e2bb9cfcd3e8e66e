"""Batches to learn from: pairs, clean pages damaged by code, and strokes laid on other papers.

Every batch is drawn from a generator seeded by (seed, step): a training that is continued sees what it would
have seen, and two runs of one seed see the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from model.damage import damage, damage_bitonal
from model.images import DataFault
from model.loss import Truth
from model.page import Page, as_grey, crop
from model.paper import fractal_noise
from model.papers import Pair, Sheet, draw_cover, draw_paper, lay_on, print_on, shine_through, take_apart

COLOUR_SHARE = 0.3
_BITONAL = 0.08
_COVERS = 0.1
_PAIRS = {"as they are": 0.34, "on other paper": 0.2}
"""Shares of samples drawn from pairs' strokes and papers, where there are pairs; damage takes the rest."""
_GREY_TRUTHS = {False: 0.75, True: 0.2}
"""The share of grey truths among pairs in grey and in colour batches, where there are both kinds: their
pixels teach exact tones, those with 1-bit truths are mostly colour scans of old pages."""


@dataclass(frozen=True)
class Batch:
    """Samples of one size and mode.

    Attributes:
        noisy: (N, C, S, S) uint8, C 1 or 3.
        clean: the truth, same shape.
        ink: (N, 1, S, S) uint8, how much a pixel or its neighbours are ink or edge.
        truth: (N,) uint8, a `model.loss.Truth` each.
    """

    noisy: NDArray[np.uint8]
    clean: NDArray[np.uint8]
    ink: NDArray[np.uint8]
    truth: NDArray[np.uint8]


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
        pages: clean ones, to damage.
        seed: all randomness.
        spared: the share of samples of clean pages that get no damage at all.
    """

    pairs: Sequence[Pair]
    pages: Sequence[Page]
    seed: int
    spared: float = 0.3
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
        """One batch: small or large patches (detail or stains), grey or colour."""
        colour = rng.random() < COLOUR_SHARE
        count, size = (8, 256) if rng.random() < 0.7 else (4, 416)
        samples = [self._sample(rng, size, colour) for _ in range(count)]
        noisy, clean = (
            np.stack([_planes(page, colour) for page in pages])
            for pages in zip(*((s.noisy, s.clean) for s in samples), strict=True)
        )
        ink = np.stack([_ink_map(as_grey(s.clean))[None] for s in samples])
        return Batch(noisy, clean, ink, np.asarray([s.truth for s in samples], np.uint8))

    def _sample(self, rng: Generator, size: int, colour: bool) -> _Sample:
        kind = rng.random()
        if self._sheets and (kind < _PAIRS["as they are"] or not self.pages):
            return self._pair(rng, size, colour)
        if self._sheets and kind < sum(_PAIRS.values()):
            return self._on_other_paper(rng, size, colour)
        return self._damaged(rng, size, colour)

    def _sheet(self, rng: Generator, colour: bool) -> Sheet:
        """Any sheet; how many pairs there are of either kind of truth makes no difference."""
        kind = self._sheets[0 if rng.random() < _GREY_TRUTHS[colour] else -1]
        return kind[int(rng.integers(0, len(kind)))]

    def _pair(self, rng: Generator, size: int, colour: bool) -> _Sample:
        pair = self._sheet(rng, colour).pair
        noisy, clean = _cut(rng, pair, _in_mode(pair.noisy, colour), size)
        if rng.random() < (0.5 if pair.bitonal else 0.15):
            noisy = _other_light(rng, noisy)
        return self._finish(rng, noisy, clean, Truth.BITONAL if pair.bitonal else Truth.TONES, colour)

    def _on_other_paper(self, rng: Generator, size: int, colour: bool) -> _Sample:
        """The strokes of a pair or of a clean page on the paper of another pair."""
        sheet = self._sheet(rng, colour)
        papers = [s.paper for s in self._sheets[int(rng.integers(0, len(self._sheets)))]]
        is_cover = rng.random() < _COVERS
        light = draw_cover(rng, size, colour) if is_cover else draw_paper(rng, papers, size, colour)
        if rng.random() < 0.5:
            light = _marked(rng, light)
        bitonal = sheet.pair.bitonal
        if self.pages and not bitonal and rng.random() < 0.25:
            clean = self._patch(rng, size, colour)
            return self._finish(rng, print_on(rng, light, clean), clean, Truth.PAGE, colour)
        share, clean = _cut(rng, sheet.pair, _in_mode(sheet.ink, colour), size)
        strength = _strength_of_ink(rng, colour) if bitonal or rng.random() < 0.2 else np.ones(1)
        if bitonal and rng.random() < 0.6:
            other = self._sheets[-1][int(rng.integers(0, len(self._sheets[-1])))]
            back = _cut(rng, other.pair, _in_mode(other.ink, colour), size)[0]
            light = shine_through(rng, light, back, float(strength.mean()))
        noisy = lay_on(rng, light, (share / 255) ** strength, toner=not bitonal)
        return self._finish(rng, noisy, clean, Truth.BITONAL if bitonal else Truth.PAGE, colour)

    @staticmethod
    def _finish(rng: Generator, noisy: Page, clean: Page, truth: Truth, colour: bool) -> _Sample:
        if truth is Truth.BITONAL:
            clean = np.where(clean < 128, 0, 255).astype(np.uint8)  # what scaling made grey
        if rng.random() < 0.3:
            noisy, clean = noisy[:, ::-1], clean[:, ::-1]
        if rng.random() < 0.3:
            noisy, clean = noisy[::-1], clean[::-1]
        return _Sample(noisy, _in_mode(clean, colour), truth)

    def _damaged(self, rng: Generator, size: int, colour: bool) -> _Sample:
        page = self._patch(rng, size, colour)
        if rng.random() < 0.3:
            page = _with_plate(rng, page)
        kind = rng.random()
        if kind < self.spared:  # highlights, shades and photographs are no dirt
            return _Sample(page, page, Truth.CLEAN)
        if kind < self.spared + _BITONAL and not colour:
            return _Sample(*damage_bitonal(page, rng))
        other = self._patch(rng, size, False)
        return _Sample(damage(page, rng, other, strength=float(rng.uniform(0.2, 1.0))), page)

    def _patch(self, rng: Generator, size: int, colour: bool) -> Page:
        page = self.pages[int(rng.integers(0, len(self.pages)))]
        scale = _scale(rng, 0.5, 1.8, 0.3)
        return _resized(_in_mode(crop(rng, max(8, round(size / scale)), page)[0], colour), size)


def _cut(rng: Generator, pair: Pair, page: Page, size: int) -> tuple[Page, Page]:
    """A patch of a pair's page and the same one of its truth, sometimes scaled.

    Where the truth says how dark ink is, a scan mostly stays what it was: that is what it teaches.
    """
    scale = _scale(rng, 0.5, 2.5, 0.6) if pair.bitonal else _scale(rng, 0.65, 1.6, 0.15)
    noisy, clean = crop(rng, max(8, round(size / scale)), page, as_grey(pair.clean))
    return _resized(noisy, size), _resized(clean, size)


def _with_plate(rng: Generator, page: Page) -> Page:
    """A page with a shaded field or a photograph on it: straight edges are what tells them from stains."""
    height, width = page.shape[:2]
    light = np.full(page.shape, rng.uniform(0.4, 0.97, page.shape[2:]))
    if rng.random() < 0.5:
        tones = 0.5 + rng.uniform(0.4, 1.0) * fractal_noise(rng, height, width, rng.uniform(8, height / 2), 6)
        light = np.clip(light * tones.reshape(height, width, *[1] * (page.ndim - 2)), 0, 1)
    (top, bottom), (left, right) = (
        np.clip(np.sort(rng.integers(-side // 4, side * 5 // 4, 2)), 0, side) for side in (height, width)
    )
    plate = page.copy()
    field = (slice(top, bottom), slice(left, right))
    plate[field] = (page[field] * light[field]).astype(np.uint8)
    return plate


def _strength_of_ink(rng: Generator, colour: bool) -> NDArray[np.float64]:
    """An exponent for the light that ink lets through: faint to heavy, and in colour of any hue."""
    strength = np.exp(rng.uniform(np.log(0.22), np.log(1.4)))
    hue = rng.uniform(0.6, 1.5, 3 if colour and rng.random() < 0.5 else 1)
    return np.asarray(strength * hue, np.float64)


def _scale(rng: Generator, low: float, high: float, odds: float) -> float:
    """How much larger to show a patch: 1, or with these odds something between low and high."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high)))) if rng.random() < odds else 1.0


def _resized(patch: Page, size: int) -> Page:
    if patch.shape[0] == size:
        return patch
    how = cv2.INTER_AREA if patch.shape[0] > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(patch, (size, size), interpolation=how), np.uint8)


def _marked(rng: Generator, light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Paper with stains and folds of our own on it."""
    blank = np.full(light.shape, 255, np.uint8)
    marks = damage(blank, rng, None, strength=float(rng.uniform(0.2, 1.0)))
    return light * np.divide(marks, 255, dtype=np.float32)


def _other_light(rng: Generator, noisy: Page) -> Page:
    """The light of another scanner: pairs are few, scanners are not."""
    bent = (noisy.astype(np.float32) / 255) ** rng.uniform(0.8, 1.25)
    return np.clip((bent * rng.uniform(0.85, 1.08) + rng.uniform(-0.04, 0.04)) * 255, 0, 255).astype(np.uint8)


def _ink_map(clean: Page) -> NDArray[np.uint8]:
    """Ink and edges: half the darkest neighbour's ink, half the contrast among the 3x3 neighbours."""
    around = np.ones((3, 3), np.uint8)
    darkest, lightest = cv2.erode(clean, around), cv2.dilate(clean, around)
    return np.asarray((255 - darkest) // 2 + (lightest - darkest) // 2, np.uint8)


def _in_mode(page: Page, colour: bool) -> Page:
    if not colour:
        return as_grey(page)
    return page if page.ndim == 3 else np.repeat(page[..., None], 3, axis=2)


def _planes(page: Page, colour: bool) -> Page:
    return np.ascontiguousarray(page.transpose(2, 0, 1) if colour else page[None])
