"""The pictures of a page: before and after in one size, a thumbnail, and marks of lost and added ink."""

from dataclasses import asdict, dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from jobs.codecs.codec import decode, inspect
from jobs.codecs.sniff import sniff
from jobs.errors import PageError
from jobs.review.page_files import Found
from jobs.review.page_folder import Folder
from model.guard.guard import Comparison, Guard
from model.judging.condition import at_scale
from model.page import Pixels

_LONGEST, _THUMB = 2400, 120  # pixels of the longer side
_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 85]
_WHITE_16 = 257  # 65535 / 255
_MOST_MARKS = 50
_MARKED = 0.2  # below the score that flags a page: that one sums over all cells of a stroke
_NEAR = 15  # pixels at 150 dpi: marks closer than this become one

# Okabe and Ito's vermilion and blue, as in app.css, in OpenCV's order: blue, green, red.
_COLOURS = {"lost": (0, 94, 213), "added": (178, 114, 0)}
_FIELD, _STROKE = 70, 235  # opacity of a marked field, and of the changed ink in it
_CHANGED = 26  # a tenth of white

Mark = tuple[float, float, float, float, str]
"""Left, top, width and height as shares of the page, and `lost` or `added`."""


@dataclass(frozen=True)
class Picture:
    """What data/pictures.js says about the pictures of a page.

    Attributes:
        kinds: those that exist, of before, after, thumb and marks.
        width, height: the size of before and after, in pixels.
        boxes: where ink was lost or added, the largest first.
        note: what can't be shown, and why; or empty.
    """

    kinds: tuple[str, ...] = ()
    width: int = 1
    height: int = 1
    boxes: tuple[Mark, ...] = ()
    note: str = ""


class Painter:
    """Draws pictures into a folder; the guard finds lost and added ink."""

    def __init__(self, folder: Folder, guard: Guard) -> None:
        self._folder = folder
        self._guard = guard

    def draw(self, found: Found) -> dict[str, object]:
        """Draw the pictures of a page; returns a Picture as a dictionary; raises as `Folder.write`."""
        notes = [found.note]
        before, after = (self._decoded(found, data, notes) for data in (found.before, found.after))
        return asdict(self._draw(found.page.number, before, after, next(filter(None, notes), "")))

    def _decoded(self, found: Found, data: bytes | None, notes: list[str]) -> "_Page | None":
        try:
            return _decoded(found.page.member, data, found.page.page_index) if data else None
        except PageError as error:
            notes.append(str(error))
            return None

    def _draw(self, number: int, before: "_Page | None", after: "_Page | None", note: str) -> Picture:
        main = after or before
        if main is None:
            return Picture(note=note)
        kinds, boxes = [], tuple[Mark, ...]()
        height, width = _sides(main.pixels, _LONGEST)
        for kind, page in (("before", before), ("after", after)):
            if page:
                self._write(number, kind, ".jpg", _shrunk(page.pixels, (height, width)), _QUALITY)
                kinds.append(kind)
        self._write(number, "thumb", ".jpg", _shrunk(main.pixels, _sides(main.pixels, _THUMB)), _QUALITY)
        kinds.append("thumb")
        if before and after and before.pixels.shape[:2] == after.pixels.shape[:2]:
            old, new = (at_scale(page.pixels, before.dpi)[0] for page in (before, after))
            marks, boxes = marks_of(self._guard.compare(old, new), old, new)
            if boxes:
                self._write(number, "marks", ".png", marks, [cv2.IMWRITE_PNG_COMPRESSION, 6])
                kinds.append("marks")
        return Picture(tuple(kinds), width, height, boxes, note)

    def _write(self, number: int, kind: str, suffix: str, picture: NDArray[np.uint8], how: list[int]) -> None:
        _, data = cv2.imencode(suffix, picture, how)
        self._folder.write(f"pictures/{number:06d}-{kind}{suffix}", data.tobytes())


@dataclass(frozen=True, eq=False)
class _Page:
    pixels: Pixels
    dpi: tuple[float, float] | None


def _decoded(name: str, data: bytes, index: int) -> _Page:
    format = sniff(name, data[:64])
    if format is None:
        raise PageError("unreadable", "It is no picture.")
    document = inspect(data, format)
    if index >= len(document.frames):
        raise PageError("unreadable", f"The file has no page {index}.")
    return _Page(decode(data, document, index).pixels, document.frames[index].dpi)


def _sides(pixels: Pixels, longest: int) -> tuple[int, int]:
    """Height and width, shrunk so that none is above `longest`; never enlarged."""
    height, width = pixels.shape[:2]
    scale = min(1.0, longest / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _shrunk(pixels: Pixels, sides: tuple[int, int]) -> NDArray[np.uint8]:
    """The page in this size, 8 bits deep, and in OpenCV's order of colours."""
    same = pixels.shape[:2] == sides
    small = pixels if same else cv2.resize(pixels, sides[::-1], interpolation=cv2.INTER_AREA)
    if small.dtype == np.uint16:
        small = small // _WHITE_16
    narrow = np.asarray(small, np.uint8)
    return narrow if narrow.ndim == 2 else np.ascontiguousarray(narrow[..., ::-1])  # noqa: PLR2004


def marks_of(
    compared: Comparison, before: NDArray[np.uint8], after: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], tuple[Mark, ...]]:
    """A transparent picture that marks lost and added ink, and the places of the marks.

    Args:
        compared: what the guard found on these pages.
        before: (H, W) uint8, the page before cleaning as the guard saw it; 0 is black.
        after: the page after cleaning, of the same shape.

    Returns:
        (H, W, 4) blue, green, red, opacity; and the marks, the largest first.
    """
    picture = np.zeros((*before.shape, 4), np.uint8)
    found: list[tuple[int, Mark]] = []
    darker = {"lost": cv2.subtract(after, before), "added": cv2.subtract(before, after)}
    for kind, chance in (("lost", compared.lost), ("added", compared.added)):
        field = np.asarray(chance >= _MARKED, np.uint8)
        picture[field > 0] = (*_COLOURS[kind], _FIELD)
        picture[(field > 0) & (np.asarray(darker[kind]) > _CHANGED)] = (*_COLOURS[kind], _STROKE)
        found += [(area, (*box, kind)) for area, box in _boxes(field)]
    found.sort(key=lambda one: -one[0])
    return picture, tuple(mark for _, mark in found[:_MOST_MARKS])


def _boxes(field: NDArray[np.uint8]) -> list[tuple[int, tuple[float, float, float, float]]]:
    """Groups of marked pixels that touch or nearly touch: size in pixels, and box as shares of the page."""
    height, width = field.shape
    near = np.asarray(cv2.dilate(field, np.ones((_NEAR, _NEAR), np.uint8)), np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(near, connectivity=8)
    return [
        (int(area), (round(x / width, 4), round(y / height, 4), round(w / width, 4), round(h / height, 4)))
        for x, y, w, h, area in stats[1:].tolist()
    ]
