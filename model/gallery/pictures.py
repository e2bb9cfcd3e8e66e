"""Pictures for the gallery: images in labelled rows, and maps of codes coloured by class."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from model.drawing.letters import built_in_face
from model.gallery.garments import CLASSES, Images

_GROUND, _TEXT, _FAINT = "#f4f2ee", "#26282b", "#b9b6ae"
_GAP, _MARGIN, _LINE = 4, 14, 22
_FONT = 15
_MAP = 460
"""The side of a map in pixels."""
_DOT = 2
"""The radius of a dot in pixels."""

COLOURS = (
    "#3465a4", "#e07b00", "#2e8b45", "#c8242c", "#8054b8",
    "#7a4a35", "#e26fb3", "#777c80", "#a8a400", "#12a5b5",
)  # fmt: skip
"""One colour for each class."""


def wall(rows: Sequence[tuple[str, Images]], zoom: int = 2) -> Image.Image:
    """Rows of images, RGB, each under its label.

    Args:
        rows: labels and images (N, H, W).
        zoom: the factor by which images are enlarged.
    """
    widths = [len(images) * (images.shape[2] * zoom + _GAP) for _, images in rows]
    labels = [int(built_in_face(_FONT).getlength(label)) for label, _ in rows]
    heights = [_LINE + images.shape[1] * zoom + _GAP for _, images in rows]
    picture, draw = _canvas(max(*widths, *labels) + 2 * _MARGIN, sum(heights) + 2 * _MARGIN)
    y = _MARGIN
    for (label, images), height in zip(rows, heights, strict=True):
        draw.text((_MARGIN, y), label, fill=_TEXT, font=built_in_face(_FONT))
        for column, image in enumerate(images):
            x = _MARGIN + column * (image.shape[1] * zoom + _GAP)
            picture.paste(_enlarged(image, zoom), (x, y + _LINE))
        y += height
    return picture


def mosaic(images: Images, columns: int, zoom: int = 1) -> Image.Image:
    """Images side by side without gaps, in rows of `columns`."""
    rows = [np.concatenate(list(images[i : i + columns]), 1) for i in range(0, len(images), columns)]
    return _enlarged(np.concatenate(rows), zoom).convert("RGB")


def class_maps(maps: Sequence[tuple[str, NDArray[np.float32]]], labels: NDArray[np.uint8]) -> Image.Image:
    """Maps of the garments' codes side by side, in one colour for each class, above the names of the classes.

    Args:
        maps: titles and codes (N, 2); the outermost hundredth at each side may lie outside of its map.
        labels: (N,), the classes.
    """
    width = len(maps) * (_MAP + _MARGIN) + _MARGIN
    picture, draw = _canvas(width, _MARGIN + _LINE + _MAP + _MARGIN + 2 * _LINE + _MARGIN)
    for index, (title, points) in enumerate(maps):
        left, top = _MARGIN + index * (_MAP + _MARGIN), _MARGIN + _LINE
        draw.text((left, _MARGIN), title, fill=_TEXT, font=built_in_face(_FONT))
        picture.paste(_map(points, labels), (left, top))
    _legend(draw, width, _MARGIN + _LINE + _MAP + _MARGIN)
    return picture


def _map(points: NDArray[np.float32], labels: NDArray[np.uint8]) -> Image.Image:
    field = Image.new("RGB", (_MAP, _MAP), "white")
    draw = ImageDraw.Draw(field)
    low, high = np.percentile(points, (1, 99), axis=0)
    low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)
    places = (points - low) / np.maximum(high - low, 1e-6) * _MAP
    for (x, y), label in zip(places.tolist(), labels.tolist(), strict=True):
        draw.ellipse((x - _DOT, _MAP - y - _DOT, x + _DOT, _MAP - y + _DOT), fill=COLOURS[label])
    draw.rectangle((0, 0, _MAP - 1, _MAP - 1), outline=_FAINT)
    return field


def _legend(draw: ImageDraw.ImageDraw, width: int, top: int) -> None:
    columns = len(CLASSES) // 2
    step = (width - 2 * _MARGIN) / columns
    for index, (name, colour) in enumerate(zip(CLASSES, COLOURS, strict=True)):
        row, column = divmod(index, columns)
        x, y = _MARGIN + column * step, top + row * _LINE
        draw.rectangle((x, y + 4, x + 10, y + 14), fill=colour)
        draw.text((x + 16, y), name, fill=_TEXT, font=built_in_face(_FONT))


def _canvas(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = Image.new("RGB", (width, height), _GROUND)
    return picture, ImageDraw.Draw(picture)


def _enlarged(image: NDArray[np.uint8], zoom: int) -> Image.Image:
    return Image.fromarray(image.repeat(zoom, 0).repeat(zoom, 1))
