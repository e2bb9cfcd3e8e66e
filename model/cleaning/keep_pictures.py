"""Pictures on a page stay as they are: dark fields with straight, sharp edges, or with one such corner.

From inside a dark picture looks like a stain, as far as a network can tell that sees some hundred pixels
around. The whole page shows where each ends. Stains, folds and shadows have wobbly or soft edges, or reach
the page's edge. A photograph, or a dark field with light writing, is a rectangle. If one side fades to white,
or a stain touches it, there is still a corner, and black inside. Paper is no picture: a receipt on a
scanner's white lid is a rectangle, too, but it has one tone, which is not dark.

Edges are followed on the page without its writing: in its closing (`PageView.tones`) by a window that is
wider than strokes.
"""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.cleaning.page_view import PageView, level_of_tones
from model.page import Plane

_PAPER = 0.9
"""A picture is darker than this share of the light of the page's paper."""

_LEAST, _MOST = 16, 0.5
"""A picture's shorter side in squares, at least (about 1 cm); its share of the page, at most."""

_FILLED, _SHARP, _SOFT_SHARE = 0.85, 0.1, 25
"""The share of the smallest rectangle around it that a picture fills; the step of light at its edge, and the
per cent of the edge where the step may be smaller."""

_VARIED, _DARK, _BLACK = 0.2, 0.5, 0.45
"""Shares of the paper's light: a picture's 10th and 90th percentiles are at least so far apart, or its median
is at most so light; if it has only a corner, its 10th percentile is at most so light. Hardly any paper gets
as dark as that, however old; but one leaf of a folded sheet may be tanned, and have a sharp corner."""

_BENT, _GAP, _UPRIGHT = 1.0, 4, 0.998
"""A corner's two sides: how far they deviate from straight lines and lie apart at most, in squares; the sine
of the angle between them, at least."""

_AROUND = np.ones((5, 5), np.uint8)
"""The window, in squares, in which an edge has both its light and its dark side."""


def keep_pictures(view: PageView, cleaned: Tensor) -> Tensor:
    """Put pictures back as they were.

    Args:
        view: whole pages as they were scanned.
        cleaned: (N, H, W, C) of the same dtype, the same pages cleaned; changed in place.

    Returns:
        `cleaned`.
    """
    side = view.side
    for index, tones in enumerate(view.tones()):
        found = pictures(tones)
        if found is not None:
            left, top, width, height = (side * cells for cells in cv2.boundingRect(found.astype(np.uint8)))
            place = np.s_[index, top : top + height, left : left + width]
            # torch.where takes no uint16.
            scan, result = (pages[place].to(torch.int32) for pages in (view.pages, cleaned))
            squares = torch.from_numpy(found[top // side :, left // side :]).to(cleaned.device)
            where = squares.repeat_interleave(side, 0).repeat_interleave(side, 1)
            where = where[: scan.shape[0], : scan.shape[1], None]
            cleaned[place] = torch.where(where, scan, result).to(cleaned.dtype)
    return cleaned


def pictures(light: Plane) -> NDArray[np.bool_] | None:
    """Where on a page pictures are.

    Args:
        light: (h, w), 0..1, the page's squares without strokes, `PageView.tones`.

    Returns:
        (h, w), true in pictures and on the squares around them; None where there is no picture.
    """
    level = level_of_tones(light)
    dark = (light < _PAPER * level).astype(np.uint8)
    contours, _ = cv2.findContours(dark, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    steps = (cv2.dilate(light, _AROUND) - cv2.erode(light, _AROUND)) / level
    found = np.zeros_like(dark)
    for contour in (np.asarray(contour, np.int32) for contour in contours):
        if _may_be(contour, light.shape):
            inside = np.asarray(cv2.drawContours(np.zeros_like(dark), [contour], -1, 1, -1), np.uint8)
            tones = light[inside > 0] / level
            low, middle, high = (float(tone) for tone in np.percentile(tones, (10, 50, 90)))
            framed = (high - low >= _VARIED or middle <= _DARK) and _is_framed(contour, steps)
            if framed or (low <= _BLACK and _has_corner(contour, steps)):
                found |= inside
    return np.asarray(cv2.dilate(found, np.ones((3, 3), np.uint8)) > 0) if found.any() else None


def _may_be(contour: NDArray[np.int32], page: tuple[int, ...]) -> bool:
    """Whether the area in an outline has the size of pictures and lies within the page."""
    left, top, width, height = cv2.boundingRect(contour)
    within = 1 < left < page[1] - width - 1 and 1 < top < page[0] - height - 1
    return within and min(width, height) >= _LEAST and _covered(contour) <= _MOST * page[0] * page[1]


def _covered(contour: NDArray[np.int32]) -> float:
    return cv2.contourArea(contour) + len(contour) / 2 + 1  # outlines run through the middles of squares


def _is_framed(contour: NDArray[np.int32], steps: Plane) -> bool:
    """Whether an outline is that of a rectangle, upright or not, and sharp all around."""
    _, sides, _ = cv2.minAreaRect(contour)
    rectangle = _covered(contour) >= _FILLED * (sides[0] + 1) * (sides[1] + 1)
    return rectangle and _is_sharp(contour[:, 0], steps)


def _is_sharp(line: NDArray[np.int32], steps: Plane) -> bool:
    """Whether the light has a step all along (n, 2) squares, column and row."""
    columns, rows = line.T
    return bool(np.percentile(steps[rows, columns], _SOFT_SHARE) >= _SHARP)


def _has_corner(contour: NDArray[np.int32], steps: Plane) -> bool:
    """Whether two long, straight and sharp pieces of an outline turn inwards at right angles."""
    inwards = np.sign(cv2.contourArea(contour, oriented=True))
    bends = np.asarray(cv2.approxPolyDP(contour, _BENT, True), np.float64)[:, 0]
    pieces = []
    for start, end in zip(bends, np.roll(bends, -1, 0), strict=True):
        length = float(np.hypot(*(end - start)))
        line = np.rint(np.linspace(start, end, max(2, int(length)))).astype(np.int32)
        if length >= _LEAST and _is_sharp(line, steps):
            pieces.append((start, end, (end - start) / length))
    return any(
        np.hypot(*(other[0] - one[1])) <= _GAP and inwards * _turn(one[2], other[2]) >= _UPRIGHT
        for one in pieces for other in pieces
    )  # fmt: skip


def _turn(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The sine of the angle from one direction to another."""
    return float(one[0] * other[1] - one[1] * other[0])
