"""Clean pages by our own code: text in many faces and sizes, tables, rules, stamps, pencil, pictures.

They are the truths of training samples, and the pages of the demo. Everything is drawn from a seeded
generator. Without font files only Pillow's built-in face is used, so the demo looks the same everywhere.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont

from model.drawing import ink
from model.drawing.letters import built_in_face, drawable
from model.drawing.photographs import halftone, photograph
from model.page import Page

_TEXT = """
the of and to in is that it was for on are with as his they at be this from have or by one had not but
what all were when we there can an your which their said if do will each about how up out them then she
many some so these would other into has more her two like him see time could no make than first been its
who now people my made over did down only way find use may water long little very after words called just
where most know get through back much before go good new write our used me man too any day same right
look think also around another came come work three must because does part even place well such here take
archive deed parish register council invoice received account witness signature copper harbour railway
minutes court petition judgment estate harvest ledger folio seal clerk commissioner hereby pursuant
naïve façade Zürich élève Ångström señor coöperate № § 1847 1912 £3.10 12% (b) — 4½ 0.75 17,250 1/8
"""
_WORDS = tuple(_TEXT.split())

Face: TypeAlias = ImageFont.FreeTypeFont


def system_fonts() -> list[Path]:
    """The TrueType and OpenType files of this machine, in a fixed order; may be empty."""
    roots = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))
    found = [p for root in roots for p in root.rglob("*") if p.suffix.lower() in (".ttf", ".otf")]
    return sorted(p for p in found if "Math" not in p.name)


def render_page(
    rng: Generator,
    height: int,
    width: int,
    dpi: float,
    *,
    fonts: Sequence[Path] = (),
    colour: bool = False,
    pictures: bool = True,
) -> Page:
    """Draw one clean page.

    Args:
        rng: source of all random numbers.
        height: in pixels.
        width: in pixels.
        dpi: resolution, which gives the sizes of letters, rules and margins.
        fonts: font files to choose from, besides the built-in face.
        colour: whether the page has three channels, and stamps, highlights and signatures have colours.
        pictures: whether the page may have photographs.

    Returns:
        (H, W) or (H, W, 3) uint8, 255 where the page is blank.
    """
    sheet = Image.new("RGB" if colour else "L", (width, height), "white")
    margin = int(dpi * rng.uniform(0.05, 0.9) * min(1.0, width / (6 * dpi)))
    y = margin
    while y < height - margin:
        odds = [0.62, 0.14, 0.12, 0.06, 0.06] if pictures else [0.68, 0.14, 0.12, 0, 0.06]
        block = str(rng.choice(list(_PAINTERS), p=odds))
        painter = _PAINTERS[block]
        y += painter(rng, sheet, (margin, y, width - margin, height - margin), dpi, fonts) + int(
            dpi * rng.uniform(0.05, 0.3)
        )
    page = np.asarray(sheet, np.uint8).copy()
    _add_ink(rng, page, dpi)
    return page


def _add_ink(rng: Generator, page: Page, dpi: float) -> None:
    """Add handwriting, stamps and highlights to the print, in place."""
    for _ in range(int(rng.integers(0, 4))):
        ink.handwriting(rng, page, dpi)
    if rng.random() < 0.5:
        ink.stamp(rng, page, dpi)
    if page.ndim == 3:
        for _ in range(int(rng.integers(0, 4))):
            ink.highlight(rng, page, dpi)


def _face(rng: Generator, fonts: Sequence[Path], pixels: float) -> Face:
    size = max(6, round(pixels))
    choice = int(rng.integers(0, len(fonts) + 1))
    if choice < len(fonts):
        return ImageFont.truetype(str(fonts[choice]), size)
    return built_in_face(size)


def _grey(rng: Generator) -> tuple[int, int, int] | int:
    """Mostly black ink; sometimes grey print or pencil, which cleaning must keep."""
    return 0 if rng.random() < 0.7 else int(rng.integers(10, 150))


def _ink(rng: Generator, draw: ImageDraw.ImageDraw) -> tuple[int, int, int] | int:
    grey = _grey(rng)
    return (grey, grey, grey) if draw.mode == "RGB" and isinstance(grey, int) else grey


Box: TypeAlias = tuple[int, int, int, int]


def _text(rng: Generator, sheet: Image.Image, box: Box, dpi: float, fonts: Sequence[Path]) -> int:
    """A paragraph; returns the height used, in pixels."""
    draw = ImageDraw.Draw(sheet)
    left, top, right, bottom = box
    points = rng.uniform(6, 13)
    face = _face(rng, fonts, points * dpi / 72)
    pen_ink = _ink(rng, draw)
    leading = points * dpi / 72 * rng.uniform(1.05, 1.7)
    y = float(top)
    for _ in range(int(rng.integers(2, 14))):
        if y + leading > bottom:
            break
        line, last = "", ""
        while face.getlength(line) < right - left:
            last, line = line, f"{line} {_word(rng, face)}".lstrip()
        draw.text((left, y), last, fill=pen_ink, font=face)
        y += leading
    return int(y - top) + 1


def _word(rng: Generator, face: Face) -> str:
    word = _WORDS[int(rng.integers(0, len(_WORDS)))]
    style = rng.random()
    if style < 0.1:
        word = word.capitalize()
    elif style < 0.13:
        word = word.upper()
    end = rng.choice(["", ",", ".", ";", ":", "!", "?"], p=[0.8, 0.08, 0.07, 0.02, 0.01, 0.01, 0.01])
    return drawable(f"{word}{end}", face)


def _heading(rng: Generator, sheet: Image.Image, box: Box, dpi: float, fonts: Sequence[Path]) -> int:
    """A few large words, sometimes white on a dark bar."""
    draw = ImageDraw.Draw(sheet)
    left, top, right, _ = box
    size = rng.uniform(14, 36) * dpi / 72
    face = _face(rng, fonts, size)
    words = " ".join(_word(rng, face) for _ in range(int(rng.integers(1, 5))))
    if rng.random() < 0.15:
        draw.rectangle((left, top, right, top + int(1.4 * size)), fill=_ink(rng, draw))
        draw.text((left + size / 3, top + size * 0.1), words, fill="white", font=face)
    else:
        draw.text((left, top), words, fill=_ink(rng, draw), font=face)
    return int(1.5 * size)


def _table(rng: Generator, sheet: Image.Image, box: Box, dpi: float, fonts: Sequence[Path]) -> int:
    """Ruled cells with figures in them."""
    draw = ImageDraw.Draw(sheet)
    left, top, right, bottom = box
    points = rng.uniform(6, 10)
    face = _face(rng, fonts, points * dpi / 72)
    row, rows, columns = int(points * dpi / 72 * 1.7), int(rng.integers(2, 9)), int(rng.integers(2, 7))
    rows = max(1, min(rows, (bottom - top) // row))
    pen = max(1, round(dpi / 72 * rng.uniform(0.25, 1.2)))
    pen_ink = _ink(rng, draw)
    shaded = rng.random() < 0.25
    for r in range(rows + 1):
        if shaded and r % 2 and r < rows:
            draw.rectangle((left, top + r * row, right, top + (r + 1) * row), fill="#dddddd")
        draw.line((left, top + r * row, right, top + r * row), fill=pen_ink, width=pen)
    for c in range(columns + 1):
        x = left + c * (right - left) // columns
        draw.line((x, top, x, top + rows * row), fill=pen_ink, width=pen)
        for r in range(rows if c < columns else 0):
            text = f"{rng.uniform(0, 10 ** rng.uniform(0, 5)):,.2f}" if c else _word(rng, face)
            draw.text((x + row // 4, top + r * row + row // 6), text, fill=pen_ink, font=face)
    return rows * row + pen


def _rule(rng: Generator, sheet: Image.Image, box: Box, dpi: float, fonts: Sequence[Path]) -> int:
    """A line across the page, solid or dotted."""
    draw = ImageDraw.Draw(sheet)
    left, top, right, _ = box
    pen = max(1, round(dpi / 72 * rng.uniform(0.2, 2)))
    pen_ink = _ink(rng, draw)
    step = right - left if rng.random() < 0.6 else max(3 * pen, int(dpi * rng.uniform(0.015, 0.08)))
    for x in range(left, right, step):
        end = right if step == right - left else min(right, x + step // 3)
        draw.line((x, top, end, top), fill=pen_ink, width=pen)
    return pen


def _picture(rng: Generator, sheet: Image.Image, box: Box, dpi: float, fonts: Sequence[Path]) -> int:
    """A photograph, sometimes as a halftone screen: its soft tones are no stain."""
    left, top, right, bottom = box
    height = min(int(dpi * rng.uniform(0.7, 2.5)), bottom - top)
    width = min(int(dpi * rng.uniform(0.7, 3.5)), right - left)
    if height < 8 or width < 8:
        return 1
    tones = photograph(rng, height, width)
    if rng.random() < 0.4:
        tones = halftone(rng, tones, dpi)
    x = left + int(rng.integers(0, right - left - width + 1))
    sheet.paste(Image.fromarray((tones * 255).astype(np.uint8)).convert(sheet.mode), (x, top))
    return height


_PAINTERS = {"text": _text, "heading": _heading, "table": _table, "picture": _picture, "rule": _rule}
