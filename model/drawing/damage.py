"""Damage by time, paper and scanners, drawn at random for training and for the demo.

`damage(page, rng)` draws paper (tone, grain, light), marks (stains, rings, folds, creases, wrinkles,
show-through, fading), then the scanner (blur, noise, specks, streaks, JPEG). Marks multiply light, as real
ones do, so ink stays darker than the stain over it.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from model.drawing.textures import fractal_noise, grain, line_distance, smooth_noise, wobbly_disc, wrinkles
from model.page import Page, Plane, as_grey

Mark: TypeAlias = Callable[[Generator, int, int], Plane]
"""Draws the share of light (H, W) that a mark removes; negative where it adds light."""


def damage(
    page: Page, rng: Generator, other: Page | None = None, strength: float = 1.0, whole: int | None = None
) -> Page:
    """Damage a clean page.

    Args:
        page: the clean page.
        rng: source of all random numbers; the same generator state gives the same damage.
        other: a page, at least as large, whose mirror image may show through; None for no show-through.
        strength: 0 for nearly no damage, 1 for the worst.
        whole: for a patch, the longer side, in pixels, of the page that it comes from: stains get the size
            that they have on that page, so a patch may lie inside of one.

    Returns:
        The damaged page, of the same shape and dtype.
    """
    height, width = page.shape[:2]
    colour = page.ndim == 3
    whole = max(height, width, whole or 0)
    light = _paper(rng, height, width, strength, whole)
    for mark in _draw_marks(rng, whole):
        light *= 1 - strength * mark(rng, height, width)
    reflectance = page.astype(np.float32) / 255
    fade = 1 - strength * rng.uniform(0, 0.35) * (rng.random() < 0.4)
    reflectance = 1 - (1 - reflectance) * fade
    if other is not None and rng.random() < 0.3:
        through = _show_through(rng, other, height, width, strength)
        reflectance *= through[..., None] if colour else through
    if colour:
        tint = 1 - strength * np.asarray([0.02, 0.06, 0.16], np.float32) * rng.uniform(0, 1.6)
        scan = reflectance * light[..., None] * tint
    else:
        scan = reflectance * light
    return _scanner(rng, scan, strength)


def damage_bitonal(page: Page, rng: Generator) -> tuple[Page, Page]:
    """A 1-bit scan of a page and what it should have been: (damaged, clean), both 0 or 255.

    The truth has the same threshold but no dirt, so that a network learns to keep every 1-bit stroke.
    """
    grey = as_grey(page)
    level = rng.uniform(110, 190)
    rough = grain(rng, *grey.shape) * rng.uniform(0, 26)
    clean = np.where(grey + rough > level, 255, 0).astype(np.uint8)
    dirty = clean.copy()
    _specks(rng, dirty, density=10 ** rng.uniform(-5, -2.6), largest=3)
    if rng.random() < 0.3:
        height, width = grey.shape
        stain = fractal_noise(rng, height, width, rng.uniform(20, 120)) > rng.uniform(0.3, 0.6)
        speckled = stain & (rng.random(grey.shape) < rng.uniform(0.05, 0.35))
        dirty[speckled] = 0
    return dirty, clean


def _paper(rng: Generator, height: int, width: int, strength: float, whole: int) -> Plane:
    """The blank sheet under the scanner's lamp: (H, W), 0..1."""
    tone = 1 - strength * float(rng.beta(1.2, 2.2)) * 0.5
    light = np.full((height, width), tone, np.float32)
    light *= 1 + strength * rng.uniform(0, 0.25) * fractal_noise(
        rng, height, width, whole * rng.uniform(0.4, 1.5), 2
    )
    light *= 1 + strength * rng.uniform(0, 0.10) * fractal_noise(rng, height, width, rng.uniform(8, 80), 3)
    light += strength * rng.uniform(0, 0.025) * grain(rng, height, width)
    return light


def _draw_marks(rng: Generator, whole: int) -> list[Mark]:
    stain, ring = partial(_stain, whole=whole), partial(_ring, whole=whole)
    kinds: list[Mark] = [stain, ring, _fold, _crease, _wrinkled, _blotches, _border]
    odds = [0.45, 0.4, 0.3, 0.35, 0.3, 0.25, 0.12]
    marks: list[Mark] = []
    for kind, odd in zip(kinds, odds, strict=True):
        if rng.random() < odd:
            marks += [kind] * int(rng.integers(1, 4) if kind in (stain, ring, _crease) else 1)
    return marks


def _blot(rng: Generator, height: int, width: int, whole: int) -> Plane:
    """The distance from a round stain, see `wobbly_disc`; on a patch the stain may only reach into it."""
    radius = float(np.exp(rng.uniform(np.log(20), np.log(whole * 0.45 + 21))))
    side = max(height, width)
    return wobbly_disc(rng, height, width, radius, 0.1 if whole == side else max(0.1, 0.7 * radius / side))


def _stain(rng: Generator, height: int, width: int, whole: int) -> Plane:
    """Water, grease, foxing: dark inside, darkest at the rim, where the liquid dried."""
    distance = _blot(rng, height, width, whole)
    soft = rng.uniform(1.5, 25)
    inside = 1 / (1 + np.exp(np.clip(distance / soft, -30, 30)))
    rim = np.exp(-((distance / rng.uniform(1.5, 7)) ** 2))
    texture = 0.75 + 0.5 * smooth_noise(rng, height, width, rng.uniform(4, 40))
    dark = rng.uniform(0.03, 0.45) * inside + rng.uniform(0, 0.35) * rim
    return np.asarray(np.clip(dark * texture, 0, 0.7), np.float32)


def _ring(rng: Generator, height: int, width: int, whole: int) -> Plane:
    """The mark of a cup: a band of uneven darkness."""
    distance = _blot(rng, height, width, whole)
    band = np.exp(-(np.abs(distance / rng.uniform(2, 18)) ** rng.uniform(1.5, 4)))
    uneven = smooth_noise(rng, height, width, rng.uniform(15, 150)) ** rng.uniform(0.5, 2)
    return np.asarray(np.clip(rng.uniform(0.15, 0.65) * band * uneven, 0, 0.7), np.float32)


def _fold(rng: Generator, height: int, width: int) -> Plane:
    """A fold: two halves that reflect the light differently, and a dark or light edge between them."""
    distance = line_distance(rng, height, width)
    leaf = rng.uniform(-0.12, 0.12) * np.tanh(distance / rng.uniform(3, 60))
    edge = rng.uniform(-0.15, 0.3) * np.exp(-np.abs(distance) / rng.uniform(0.8, 5))
    return np.asarray(np.clip(leaf + edge, -0.2, 0.6), np.float32)


def _crease(rng: Generator, height: int, width: int) -> Plane:
    """A thin crease: a bright ridge beside a dark valley, more and less visible along its length."""
    distance = line_distance(rng, height, width)
    wide = rng.uniform(0.7, 4)
    profile = np.exp(-((distance / wide) ** 2)) - 0.8 * np.exp(-(((distance - 1.5 * wide) / wide) ** 2))
    along = smooth_noise(rng, height, width, rng.uniform(20, 120))
    return np.asarray(rng.uniform(0.1, 0.5) * profile * along, np.float32)


def _wrinkled(rng: Generator, height: int, width: int) -> Plane:
    return np.asarray(rng.uniform(0.05, 0.4) * wrinkles(rng, height, width, rng.uniform(30, 200)), np.float32)


def _blotches(rng: Generator, height: int, width: int) -> Plane:
    """Footprints, mildew, dirt rubbed in: patches of hard-edged texture."""
    where = np.clip(
        fractal_noise(rng, height, width, rng.uniform(40, 250), 3) * 4 + rng.uniform(-1, 0.5), 0, 1
    )
    texture = np.clip(fractal_noise(rng, height, width, rng.uniform(5, 30), 3) * 5 + 0.5, 0, 1)
    return np.asarray(rng.uniform(0.1, 0.45) * where * texture, np.float32)


def _border(rng: Generator, height: int, width: int) -> Plane:
    """The shadow of a book's gutter, or the scanner's dark edge, at one side."""
    ramp = np.arange(width, dtype=np.float32)[None, :] if rng.random() < 0.5 else None
    ramp = np.arange(height, dtype=np.float32)[:, None] if ramp is None else ramp
    if rng.random() < 0.5:
        ramp = ramp.max() - ramp
    shade = rng.uniform(0.3, 0.95) * np.exp(-ramp / rng.uniform(4, 60))
    return np.asarray(np.broadcast_to(shade, (height, width)), np.float32)


def _show_through(rng: Generator, other: Page, height: int, width: int, strength: float) -> Plane:
    """The other side's ink, mirrored and blurred by the paper, as a factor on the light, (H, W)."""
    grey = as_grey(other)
    back = np.ascontiguousarray(grey[:height, :width][:, ::-1]).astype(np.float32)
    back = _blur(np.divide(back, 255, dtype=np.float32), rng.uniform(0.7, 3.0))
    return np.asarray(1 - strength * rng.uniform(0.05, 0.4) * (1 - back), np.float32)


def _blur(image: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def _scanner(rng: Generator, scan: NDArray[np.float32], strength: float) -> Page:
    """Optics, sensor and file format: float (H, W[, 3]) in, uint8 out."""
    if rng.random() < 0.5:
        scan = _blur(scan, rng.uniform(0.3, 0.3 + 0.8 * strength))
    if rng.random() < 0.5:
        noise = rng.standard_normal(scan.shape, dtype=np.float32)
        scan = scan + noise * np.float32(strength * rng.uniform(0, 0.06))
    if rng.random() < 0.1:
        column = int(rng.integers(0, scan.shape[1]))
        scan[:, column : column + int(rng.integers(1, 3))] *= rng.uniform(0.5, 0.95)
    page: Page = np.clip(scan * 255 + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        _specks(rng, page, density=strength * 10 ** rng.uniform(-5.5, -3.2), largest=3)
    if rng.random() < 0.35:
        quality = int(rng.integers(25, 95))
        _, packed = cv2.imencode(".jpg", page, [cv2.IMWRITE_JPEG_QUALITY, quality])
        decoded = cv2.imdecode(packed, cv2.IMREAD_UNCHANGED)
        page = np.asarray(decoded, np.uint8)
    return page


def _specks(rng: Generator, page: Page, density: float, largest: int) -> None:
    """Add dust and pinholes, in place: `density` of them per pixel, up to `largest` pixels wide."""
    height, width = page.shape[:2]
    for _ in range(int(rng.poisson(density * height * width))):
        y, x = int(rng.integers(0, height)), int(rng.integers(0, width))
        size_y, size_x = rng.integers(1, largest + 1, 2)
        page[y : y + size_y, x : x + size_x] = 255 if rng.random() < 0.25 else rng.integers(0, 90)
