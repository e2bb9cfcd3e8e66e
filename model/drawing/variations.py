"""Variations of training patches: of their light, their size, and what is printed on them."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from model.drawing.damage import damage
from model.drawing.photographs import photograph
from model.page import Page


def with_plate(rng: Generator, page: Page) -> Page:
    """A page with a shaded field, a dark field with light writing, or a photograph on it.

    Such fields differ from stains by their straight edges. So an edge is always in view: the field reaches
    into the patch from one side, or lies inside.
    """
    height, width = page.shape[:2]
    (top, bottom), (left, right) = (_span(rng, side) for side in (height, width))
    tint = rng.uniform(0.4, 0.97, page.shape[2:])
    plate = page.copy()
    field, kind = plate[top:bottom, left:right], rng.random()
    if kind < 0.4:
        tones = photograph(rng, *field.shape[:2]).reshape(*field.shape[:2], *[1] * (page.ndim - 2))
        field[:] = 255 * tones ** (2 * tint)
    elif kind < 0.7:
        field[:] = 255 - field * rng.uniform(0.3, 1) * tint  # white on black
    else:
        field[:] = field * tint
    return plate


def _span(rng: Generator, side: int) -> tuple[int, int]:
    """Start and end of a field along one side of a patch; a field never covers all of a side."""
    length = rng.uniform(0.1, 0.8) * side
    start = rng.uniform(-0.3 * length, side - 0.7 * length)
    return max(0, int(start)), min(side, int(start + length))


def fainter(rng: Generator, page: Page) -> Page:
    """A page whose ink is pale: pencil, worn type, a copy of a copy.

    `damage` fades ink by a third at most. It draws no stronger fading, as one more random number in it would
    change all pages that results are measured on.
    """
    left = rng.uniform(0.25, 0.65)
    return np.asarray(255 - left * (255 - page.astype(np.float32)) + 0.5, np.uint8)


def strength_of_ink(rng: Generator, colour: bool) -> NDArray[np.float64]:
    """An exponent for the light that ink lets through: faint to heavy, in colour also of any hue."""
    strength = np.exp(rng.uniform(np.log(0.22), np.log(1.4)))
    hue = rng.uniform(0.6, 1.5, 3 if colour and rng.random() < 0.5 else 1)
    return np.asarray(strength * hue, np.float64)


def scale_by(rng: Generator, low: float, high: float, odds: float) -> float:
    """A factor to scale a patch by: 1, or with the chance `odds` a number from low to high."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high)))) if rng.random() < odds else 1.0


def resized(patch: Page, size: int) -> Page:
    """A square patch scaled to another size."""
    if patch.shape[0] == size:
        return patch
    how = cv2.INTER_AREA if patch.shape[0] > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(patch, (size, size), interpolation=how), np.uint8)


def marked(rng: Generator, light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Paper with stains and folds drawn by our code."""
    blank = np.full(light.shape, 255, np.uint8)
    marks = damage(blank, rng, None, strength=float(rng.uniform(0.2, 1.0)))
    return light * np.divide(marks, 255, dtype=np.float32)


def other_light(rng: Generator, noisy: Page) -> Page:
    """A page in the light of another scanner: there are few pairs, but many scanners."""
    bent = (noisy.astype(np.float32) / 255) ** rng.uniform(0.8, 1.25)
    return np.clip((bent * rng.uniform(0.85, 1.08) + rng.uniform(-0.04, 0.04)) * 255, 0, 255).astype(np.uint8)
