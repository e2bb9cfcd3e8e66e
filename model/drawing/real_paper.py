"""Real paper, taken from pairs, with other strokes laid on it.

A pair shows its paper wherever the truth is white. Pairs made of one sheet show the paper under each other's
text. What no pair shows is filled in from its surroundings (normalised convolution, Knutsson & Westin 1993)
and gets grain from elsewhere. No trace of a stroke may stay, or networks would learn that faint strokes are
dirt. So every sheet can carry every text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from model.drawing.textures import fractal_noise, grain, hide, weave, wrinkles
from model.drawing.variations import scale_by
from model.page import Page, Pair, Plane, as_grey, crop

_WHITE = 250
_SCALES = (1, 4, 16, 64)
"""How far away known paper is searched for, in units of five pixels."""
_SAME = 2.0
"""The largest median difference, in grey levels, of two scans of one sheet."""


@dataclass(frozen=True)
class Sheet:
    """A pair taken apart: `pair.noisy` is about `paper` times `ink`.

    Attributes:
        pair: the pair.
        paper: the sheet without its text, of the shape of `pair.noisy`.
        ink: the share of light that the text lets through, of the same shape, uint8; 255 without text.
    """

    pair: Pair
    paper: Page
    ink: Page


def take_apart(pairs: Sequence[Pair]) -> list[Sheet]:
    """The paper and the ink of each pair; pairs on one sheet of paper complete each other."""
    groups: list[list[Pair]] = []
    for pair in pairs:
        group = next((g for g in groups if _same_sheet(g[0], pair)), None)
        if group is None:
            groups.append([pair])
        else:
            group.append(pair)
    sheets = []
    for group in groups:
        paper = _paper_of(group)
        sheets += [Sheet(pair, paper, _ink_of(pair, paper)) for pair in group]
    return sheets


def _same_sheet(a: Pair, b: Pair) -> bool:
    if a.noisy.shape != b.noisy.shape:
        return False
    blank = _blank(a) & _blank(b)
    differences = np.abs(a.noisy.astype(np.int16) - b.noisy)[blank]
    return bool(blank.mean() > 0.05) and float(np.median(differences)) <= _SAME


def _blank(pair: Pair) -> NDArray[np.bool_]:
    """(H, W): where no text is near; ink bleeds beyond the ink of a 1-bit truth."""
    near = 13 if pair.bitonal else 5
    light = np.asarray(cv2.erode(as_grey(pair.clean), np.ones((near, near), np.uint8)), np.uint8)
    return light >= _WHITE


def _paper_of(group: Sequence[Pair]) -> Page:
    blanks = [_blank(pair) for pair in group]
    counts = np.sum(blanks, axis=0)
    total = np.zeros(group[0].noisy.shape, np.float32)
    for pair, blank in zip(group, blanks, strict=True):
        total += pair.noisy * (blank if pair.noisy.ndim == 2 else blank[..., None])
    shown = np.maximum(counts, 1) if total.ndim == 2 else np.maximum(counts, 1)[..., None]
    return _filled(total / shown, counts > 0)


def _filled(paper: Plane, known: NDArray[np.bool_]) -> Page:
    """Paper whose unknown places are filled in from the nearest known ones, where there are enough."""
    weight = known.astype(np.float32)
    planes = paper.reshape(*known.shape, -1) * weight[..., None]
    filled, todo = planes.copy(), ~known
    fibres = (planes - _blurred(planes, 1) / (_blurred(weight, 1)[..., None] + 1e-6)) * weight[..., None]
    for scale in _SCALES:
        share = _blurred(weight, scale)
        around = _blurred(planes, scale) / (share[..., None] + 1e-6)
        here = todo & (share > 0.15)
        filled[here] = (around + np.roll(fibres, (37, 53), (0, 1)))[here]
        todo &= ~here
    return np.asarray(np.clip(filled + 0.5, 0, 255), np.uint8).reshape(paper.shape)


def _blurred(planes: Plane, scale: int) -> Plane:
    """(H, W[, C]) blurred with a standard deviation of `5 * scale` pixels, at 1 / `scale` of the size."""
    height, width = planes.shape[:2]
    small = (max(1, width // scale), max(1, height // scale))
    coarse = cv2.GaussianBlur(cv2.resize(planes, small, interpolation=cv2.INTER_AREA), (0, 0), 5)
    fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(fine, np.float32).reshape(planes.shape)


def _ink_of(pair: Pair, paper: Page) -> Page:
    share = pair.noisy.astype(np.float32) / np.maximum(paper, 1)
    return np.asarray(np.clip(share * 255, 0, 255), np.uint8)


def draw_paper(
    rng: Generator, papers: Sequence[Page], size: int, colour: bool, enlarged: float = 1.0
) -> Plane:
    """A new patch of paper as light, (size, size) or (size, size, 3) float32 in 0..1.

    It is turned, scaled, brighter or darker, and sometimes made of two sheets, one over the other.

    Args:
        rng: source of all random numbers.
        papers: real paper, see `Sheet.paper`.
        size: the side in pixels.
        colour: whether the patch has three channels.
        enlarged: the mean factor by which papers are enlarged.
    """
    light = _patch_of_paper(rng, papers, size, colour, enlarged)
    if rng.random() < 0.35:
        light *= _relief(_patch_of_paper(rng, papers, size, colour, enlarged), rng.uniform(0.4, 1.2))
    return np.asarray(np.clip(light * rng.uniform(0.85, 1.08), 0.02, 1), np.float32)


def draw_cover(rng: Generator, size: int, colour: bool) -> Plane:
    """A patch of a book's cover as light, see `draw_paper`: hide, cloth or board, darker than paper."""
    kind = rng.random()
    if kind < 0.5:
        relief = hide(rng, size, size, rng.uniform(5, 30))
    elif kind < 0.65:
        relief = wrinkles(rng, size, size, rng.uniform(5, 40))
    elif kind < 0.85:
        relief = weave(rng, size, size, rng.uniform(1.5, 6))
    else:
        relief = 0.5 * fractal_noise(rng, size, size, rng.uniform(3, 30), 5)
    shade = 1 + 0.2 * fractal_noise(rng, size, size, size * rng.uniform(0.5, 2))
    light = rng.uniform(0.25, 0.85) * shade * (1 + rng.uniform(0.05, 0.3) * relief)
    light += 0.02 * rng.random() * grain(rng, size, size)
    if colour:
        light = light[..., None] * rng.uniform(0.6, 1, 3)
    return np.asarray(np.clip(light, 0.02, 1), np.float32)


def _patch_of_paper(
    rng: Generator, papers: Sequence[Page], size: int, colour: bool, enlarged: float
) -> Plane:
    paper = papers[int(rng.integers(0, len(papers)))]
    if not colour:
        paper = as_grey(paper)
    scale = enlarged * scale_by(rng, 0.6, 1.8, 0.6)
    patch = crop(rng, max(8, round(size / scale)), paper)[0]
    if patch.shape[0] != size:
        patch = np.asarray(cv2.resize(patch, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)
    patch = np.rot90(patch, int(rng.integers(0, 4)))
    light: Plane = np.divide(patch[:, ::-1] if rng.random() < 0.5 else patch, 255, dtype=np.float32)
    if rng.random() < 0.5:
        light = np.float32(np.median(light)) * _relief(light, rng.uniform(0.6, 1.7))
    if colour and light.ndim == 2:
        tint = 1 - np.asarray([0.02, 0.06, 0.16]) * rng.uniform(0, 1.6)
        light = light[..., None] * tint.astype(np.float32)
    return light


def _relief(light: Plane, strength: float) -> Plane:
    """The unevenness of paper as a factor around 1; `strength` above 1 makes it stronger."""
    return np.asarray((np.maximum(light, 0.02) / max(float(np.median(light)), 0.02)) ** strength, np.float32)


def print_on(rng: Generator, light: Plane, page: Page) -> Page:
    """Print a clean page on paper, a little out of focus: a blur of 0.4 to 0.46 pixels fits NoisyOffice best.

    Args:
        rng: source of all random numbers.
        light: the paper, of the page's shape, 0..1.
        page: the clean page.
    """
    ink = page.astype(np.float32) / 255
    sigma = rng.normal(0.46, 0.02) if rng.random() < 0.75 else rng.uniform(0.2, 0.8)
    ink = np.asarray(cv2.GaussianBlur(ink, (0, 0), sigma), np.float32)
    if rng.random() < 0.3:
        ink = 1 - (1 - ink) * rng.uniform(0.45, 1)
    return lay_on(rng, light, ink + rng.uniform(0, 0.03) * (1 - ink))


def shine_through(rng: Generator, light: Plane, ink: Page, strength: float) -> Plane:
    """Paper with the ink of its other side showing through: mirrored, blurred by the paper, and weaker.

    Args:
        rng: source of all random numbers.
        light: the paper, 0..1.
        ink: the ink of the other side, see `Sheet.ink`, of the paper's shape.
        strength: the exponent of the ink on this side.
    """
    behind = cv2.GaussianBlur(ink[:, ::-1].astype(np.float32) / 255, (0, 0), rng.uniform(0.6, 2.5))
    return np.asarray(light * np.maximum(behind, 0.05) ** (strength * rng.uniform(0.1, 0.7)), np.float32)


def lay_on(rng: Generator, light: Plane, ink: NDArray[np.floating[Any]], toner: bool = True) -> Page:
    """Lay ink on paper.

    Ink lets a share of the light through; glossy ink (toner) also reflects light where the paper is dark:
    `light * ink + gloss * (1 - light) * (1 - ink)`. This fits NoisyOffice: its coffee and footprints have no
    gloss, its folds and wrinkles a gloss of 0.5 to 0.8.

    Args:
        rng: source of all random numbers.
        light: the paper, 0..1.
        ink: the share of light that ink lets through, of the paper's shape, 0..1.
        toner: whether the ink may be glossy; ink of pens and printing presses is not.
    """
    gloss = rng.uniform(0.3, 1.0) if toner and rng.random() < 0.5 else 0.0
    scan = np.asarray(light * ink + gloss * (1 - light) * (1 - ink), np.float32)
    if rng.random() < 0.3:
        scan += rng.standard_normal(scan.shape, np.float32) * rng.uniform(0, 0.02)
    return np.asarray(np.clip(scan * 255 + 0.5, 0, 255), np.uint8)
