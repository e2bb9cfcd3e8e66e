"""Pictures on a page stay as they are: what has straight, sharp edges, and a corner at least, is no stain.

From inside a dark picture looks like a stain, as far as a network can tell that sees some hundred pixels
around. The whole page shows where either ends: stains, folds and shadows have wobbly or soft edges, or reach
the page's edge; a photograph, or a dark field with light writing, is a rectangle. Where it fades to white, or
a stain touches it, a corner of it is left, and the black in it. Paper is no picture: a receipt on a scanner's
white lid is a rectangle, too, but of one tone, and not a dark one.

Edges are followed where writing has gone: in the closing of the page (`model.squares`) by a window
that is wider than strokes.
"""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.cleaning.page_view import PageView, level_of_tones
from model.page import Plane

_PAPER = 0.9
"""Of the light of a page's paper: what is darker may be a picture."""

_LEAST, _MOST = 16, 0.5
"""The shorter side of a picture in squares, about 1 cm, and the largest share of the page that one has."""

_FILLED, _SHARP, _SOFT_SHARE = 0.85, 0.1, 25
"""How much of the smallest rectangle around it a picture has; the step of light at its edge, and at how many
per cent of the edge the step may be less."""

_VARIED, _DARK, _BLACK = 0.2, 0.5, 0.45
"""Of the paper's light: how far apart a picture's 10th and 90th percentiles are, or how dark its median is;
and, of what has but a corner, its 10th percentile. Hardly any paper gets as dark, however old, and one leaf
of a folded sheet may be tanned, up to a sharp corner of its own."""

_BENT, _GAP, _UPRIGHT = 1.0, 4, 0.998
"""A corner's sides: how far from straight and from each other they are at most, in squares; and the sine of
the angle between them, at least."""

_AROUND = np.ones((5, 5), np.uint8)
"""Squares: wider than strokes, and how far off an edge's light and dark sides are."""


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
            scan, result = (
                pages[place].to(torch.int32) for pages in (view.pages, cleaned)
            )  # no uint16 there
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
    """Whether what an outline surrounds has the size of pictures and lies within the page."""
    left, top, width, height = cv2.boundingRect(contour)
    within = 1 < left < page[1] - width - 1 and 1 < top < page[0] - height - 1
    return within and min(width, height) >= _LEAST and _covered(contour) <= _MOST * page[0] * page[1]


def _covered(contour: NDArray[np.int32]) -> float:
    return cv2.contourArea(contour) + len(contour) / 2 + 1  # outlines run through the middles of squares


def _is_framed(contour: NDArray[np.int32], steps: Plane) -> bool:
    """Whether an outline is a rectangle's, upright or not, and sharp all around."""
    _, sides, _ = cv2.minAreaRect(contour)
    rectangle = _covered(contour) >= _FILLED * (sides[0] + 1) * (sides[1] + 1)
    return rectangle and _is_sharp(contour[:, 0], steps)


def _is_sharp(line: NDArray[np.int32], steps: Plane) -> bool:
    """Whether the light steps up all along (n, 2) squares."""
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
