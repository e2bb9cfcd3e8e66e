"""How well text is told from pages that a cleaner of text should leave alone."""

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np

from model.drawing.pages import render_page
from model.drawing.textures import fractal_noise
from model.judging.condition import at_scale
from model.judging.text_or_picture import unlike_text
from model.page import Page
from scripts.guard.pages import Cleaned

COUNT = 24
_DPI, _HEIGHT, _WIDTH = 100.0, 1100, 850


def left_alone(pages: Sequence[Cleaned]) -> list[list[str]]:
    """Rows of a table: what was shown, how many pages, the share that is left alone.

    Args:
        pages: scans of text, which should not be left alone.
    """
    text = [(page.scan, page.dpi) for page in pages]
    drawn: dict[str, Callable[[int], Page]] = {
        "photographs over a whole page, drawn": _photograph,
        "the same with a white margin": lambda seed: _framed(_photograph(seed)),
        "maps, drawn": _map,
        "blank pages, drawn (cleaned)": lambda seed: _shaded(np.full((_HEIGHT, _WIDTH), 235, np.uint8), seed),
        "text with coloured stamps, pens and highlights, drawn (cleaned)": _office,
    }
    rows = [_row("text: all pages above", text), _row("the same, inverted", [(255 - p, d) for p, d in text])]
    return rows + [_row(name, [(draw(n), _DPI) for n in range(COUNT)]) for name, draw in drawn.items()]


def _row(name: str, pages: Sequence[tuple[Page, float | None]]) -> list[str]:
    kinds = [unlike_text(p, *at_scale(p, (d, d) if d else None)) for p, d in pages]
    return [name, str(len(kinds)), f"{100 * np.mean([kind is not None for kind in kinds]):.1f}%"]


def _photograph(seed: int) -> Page:
    """Soft tones at all scales, as landscapes and faces have, in colour."""
    rng = np.random.default_rng((1, seed))
    light = 0.5 + rng.uniform(0.7, 1.2) * fractal_noise(rng, _HEIGHT, _WIDTH, rng.uniform(60, 300), 7)
    hue = 0.5 + 0.5 * np.stack(list(_planes(rng)), -1)
    return (255 * np.clip(light[..., None] * (0.6 + 0.5 * hue), 0, 1)).astype(np.uint8)


def _planes(rng: np.random.Generator) -> Iterator[np.ndarray]:
    for _ in range(3):
        yield fractal_noise(rng, _HEIGHT, _WIDTH, 200, 2)


def _framed(page: Page) -> Page:
    framed = np.full_like(page, 250)
    framed[110:-110, 85:-85] = page[110:-110, 85:-85]
    return framed


def _map(seed: int) -> Page:
    """Areas in pale tints with dark outlines, and names on them."""
    rng = np.random.default_rng((2, seed))
    heights = fractal_noise(rng, _HEIGHT, _WIDTH, rng.uniform(120, 260), 5)
    areas = np.digitize(heights, np.quantile(heights, np.sort(rng.uniform(0.1, 0.9, 4)))).astype(np.uint8)
    tints = rng.integers(150, 250, (5, 3)).astype(np.uint8)
    page = tints[areas]
    page[cv2.morphologyEx(areas, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > 0] = (90, 80, 70)
    return np.minimum(page, render_page(rng, _HEIGHT, _WIDTH, _DPI, colour=True, pictures=False))


def _office(seed: int) -> Page:
    rng = np.random.default_rng((3, seed))
    return _shaded(render_page(rng, _HEIGHT, _WIDTH, _DPI, colour=True, pictures=False), seed)


def _shaded(page: Page, seed: int) -> Page:
    """A page under the uneven light of a camera."""
    rng = np.random.default_rng((4, seed))
    light = 0.85 + 0.15 * fractal_noise(rng, _HEIGHT, _WIDTH, 500, 1)
    return (page * np.clip(light, 0, 1).reshape(_HEIGHT, _WIDTH, *[1] * (page.ndim - 2))).astype(np.uint8)
