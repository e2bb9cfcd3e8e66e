"""Handwriting, office stamps and marker stripes, drawn onto printed pages in place."""

import cv2
import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont

from model.page import Page


def handwriting(rng: Generator, page: Page, dpi: float) -> None:
    """A pen or pencil scrawl such as a signature, in place."""
    height, width = page.shape[:2]
    count = int(rng.integers(12, 60))
    steps = rng.normal(0, 1, (count, 2)).cumsum(0) * dpi * 0.012
    loops = np.stack([np.sin(np.arange(count) * rng.uniform(1, 2.4)), np.cos(np.arange(count) * 1.7)], 1)
    drift = np.arange(count)[:, None] * [dpi * rng.uniform(0.015, 0.05), 0]
    knots = steps + loops * dpi * rng.uniform(0.03, 0.11) + drift
    knots += [rng.uniform(0, 0.8) * width, rng.uniform(0.05, 0.95) * height]
    t = np.linspace(0, count - 1, count * 12)
    curve = np.stack([np.interp(t, np.arange(count), knots[:, axis]) for axis in (0, 1)], 1)
    curve = np.stack([cv2.GaussianBlur(curve[:, a : a + 1], (1, 25), 4)[:, 0] for a in (0, 1)], 1)
    pen = max(1, round(dpi / 72 * rng.uniform(0.3, 1.4)))
    cv2.polylines(
        page, [np.round(curve * 16).astype(np.int32)], False, _pen_colour(rng, page), pen, cv2.LINE_AA, 4
    )


def _pen_colour(rng: Generator, page: Page) -> tuple[int, ...]:
    if page.ndim == 2:
        return (int(rng.integers(0, 165)),)
    inks = [(20, 30, 110), (15, 15, 20), (150, 20, 30), (20, 90, 60), (110, 110, 115), (60, 70, 160)]
    return tuple(
        int(np.clip(v + rng.integers(-15, 40), 0, 255)) for v in inks[int(rng.integers(0, len(inks)))]
    )


def stamp(rng: Generator, page: Page, dpi: float) -> None:
    """An office stamp, in place: a frame with a word, turned a little."""
    size = int(dpi * rng.uniform(0.5, 1.3))
    height, width = page.shape[:2]
    if size >= min(height, width):
        return
    mask = Image.new("L", (size, size), 0)
    draw = ImageDraw.Draw(mask)
    pen = max(1, round(dpi / 72 * rng.uniform(1, 3)))
    shape = draw.ellipse if rng.random() < 0.6 else draw.rectangle
    shape((size * 0.04, size * 0.15, size * 0.96, size * 0.85), outline=255, width=pen)
    word = str(rng.choice(["PAID", "RECEIVED", "COPY", "FILED", "1931", "ARCHIV"]))
    face = ImageFont.load_default(size * 0.85 / len(word))
    draw.text((size / 2, size / 2), word, fill=255, font=face, anchor="mm")
    mask = mask.rotate(rng.uniform(-30, 30), Image.Resampling.BICUBIC)
    cover = np.asarray(mask, np.float32) / 255 * rng.uniform(0.55, 1)
    y, x = int(rng.integers(0, height - size)), int(rng.integers(0, width - size))
    patch = page[y : y + size, x : x + size]
    ink = np.asarray(_pen_colour(rng, page), np.float32)
    cover = cover if page.ndim == 2 else cover[..., None]
    under = np.minimum(patch, ink) if page.ndim == 3 else np.minimum(patch, ink[0])
    patch[:] = (patch * (1 - cover) + under * cover + 0.5).astype(np.uint8)


def highlight(rng: Generator, page: Page, dpi: float) -> None:
    """A marker pen's stripe over text, in place: it multiplies light, as a real one does."""
    height, width = page.shape[:2]
    tall, wide = int(dpi * rng.uniform(0.1, 0.22)), int(dpi * rng.uniform(0.5, 3))
    y, x = int(rng.integers(0, max(1, height - tall))), int(rng.integers(0, max(1, width - wide // 2)))
    inks = [(255, 245, 90), (160, 250, 150), (255, 170, 200), (150, 215, 255), (255, 205, 120)]
    ink = np.asarray(inks[int(rng.integers(0, len(inks)))], np.float32) / 255
    patch = page[y : y + tall, x : x + wide]
    patch[:] = (patch * ink + 0.5).astype(np.uint8)
