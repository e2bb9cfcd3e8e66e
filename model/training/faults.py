"""Faults planted in cleaned pages, to train and measure the guard: errors that a bad cleaner would make.

A word, a rule or signature, a letter or a dot is removed, writing is thinned, or a stroke is invented. What
is removed is a connected part of the page's ink; for words, letters that stand close are joined first.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from model.drawing import ink
from model.page import INK, Grey

Fault = Literal["word", "rule", "letter", "dot", "thinned", "added"]
FAULTS: tuple[Fault, ...] = ("word", "rule", "letter", "dot", "thinned", "added")
_ODDS = (0.08, 0.08, 0.18, 0.4, 0.12, 0.14)

_LEAST_ADDED = 6  # a visible stroke has as many pixels
_AROUND = 4  # pixels around a removed part that show its paper


@dataclass(frozen=True)
class _Part:
    """A part of a page's ink with its blurred edges: a box of the page, and a mask inside the box."""

    box: tuple[slice, slice]
    mask: NDArray[np.bool_]


def plant(
    rng: Generator, page: Grey, truth: Grey, dpi: float, kind: Fault | None = None, most: int = 1
) -> tuple[Grey, NDArray[np.bool_], Fault] | None:
    """Plant one fault, or several of one kind.

    Args:
        rng: source of all random numbers.
        page: a cleaned page, (H, W) uint8.
        truth: shows where ink is, of the same shape; the page itself if nothing better is known.
        dpi: resolution, which gives the size of letters.
        kind: the kind of fault; None for a random one.
        most: the most parts of the ink that may be removed; only one stroke is invented.

    Returns:
        The page with the fault, the pixels that it touched, and its kind; None if the page has no ink that
        this fault could remove.
    """
    kind = kind or FAULTS[int(rng.choice(len(FAULTS), p=_ODDS))]
    spoilt = page.copy()
    if kind == "added":
        added = _add(rng, spoilt, dpi)
        return None if added is None else (spoilt, added, kind)
    touched = np.zeros(page.shape, bool)
    for part in _choose(rng, truth, kind, dpi, most):
        _take(rng, spoilt, part, kind)
        touched[part.box] |= part.mask
    return (spoilt, touched, kind) if touched.any() else None


def _choose(rng: Generator, truth: Grey, kind: Fault, dpi: float, most: int) -> list[_Part]:
    """The parts of the ink that a fault removes."""
    dark = np.asarray(truth < INK, np.uint8)
    bridged = max(3, round(dpi * 0.03)) | 1 if kind in ("word", "thinned") else 1
    joined = cv2.dilate(dark, np.ones((1, bridged), np.uint8))
    _, found, boxes, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    labels = np.asarray(found, np.int32)
    longer, shorter, area = boxes[:, 2:4].max(1), boxes[:, 2:4].min(1), boxes[:, 4]
    speck = dpi * 0.01  # a full stop of a small face is a sixtieth of an inch
    letter = (longer >= 4 * speck) & (longer < dpi * 0.3)
    if kind == "dot":
        fit = (longer >= 0.8 * speck) & (longer <= 4 * speck) & (area >= 0.5 * longer * shorter)
        fit &= _near(labels, letter, dpi * 0.05)
    elif kind == "letter":
        fit = letter
    elif kind == "rule":
        fit = longer >= dpi * 0.3
    else:
        fit = (longer >= dpi * 0.15) & (shorter >= dpi * 0.04)
    numbers = np.flatnonzero(fit[1:]) + 1
    edge = max(3, round(dpi * 0.012) | 1)
    chosen = rng.permutation(numbers)[: int(rng.integers(1, most + 1))]
    return [_cut_out(labels, dark, number, np.asarray(boxes[number], np.int32), edge) for number in chosen]


def _near(labels: NDArray[np.int32], letters: NDArray[np.bool_], distance: float) -> NDArray[np.bool_]:
    """Which parts have a letter near them, as full stops and diacritics have, and dust mostly has not."""
    letters[0] = False  # label 0 is the paper
    size = 2 * max(1, round(distance)) + 1
    reached = cv2.dilate(letters[labels].astype(np.uint8), np.ones((size, size), np.uint8))
    found = np.zeros(letters.shape, bool)
    found[np.unique(labels[reached > 0])] = True
    return found


def _cut_out(
    labels: NDArray[np.int32], dark: NDArray[np.uint8], number: int, place: NDArray[np.int32], edge: int
) -> _Part:
    left, top, width, height = (int(side) for side in place[:4])
    margin = edge // 2 + _AROUND
    box = (slice(max(0, top - margin), top + height + margin),
           slice(max(0, left - margin), left + width + margin))  # fmt: skip
    ink = ((labels[box] == number) & (dark[box] > 0)).astype(np.uint8)
    return _Part(box, np.asarray(cv2.dilate(ink, np.ones((edge, edge), np.uint8)) > 0))


def _take(rng: Generator, page: Grey, part: _Part, kind: Fault) -> None:
    """Turn a part into paper, or nearly so, in place."""
    there, touched = page[part.box], part.mask
    paper = np.percentile(there[~touched], 75) if (~touched).any() else 255.0
    left = rng.uniform(0.15, 0.4) if kind == "thinned" else 0.0
    faint = paper - left * np.maximum(0.0, paper - there)
    there[touched] = np.maximum(there, faint)[touched].astype(np.uint8)


def _add(rng: Generator, page: Grey, dpi: float) -> NDArray[np.bool_] | None:
    """Add a stroke, in place: a scrawl or a short line, as dark as the page's ink."""
    sheet = np.full_like(page, 255)
    if rng.random() < 0.5:
        ink.handwriting(rng, sheet, dpi * rng.uniform(0.3, 1.0))
    else:
        start = rng.uniform(0, 1, 2) * page.shape[::-1]
        turn, length = rng.uniform(0, np.pi), dpi * rng.uniform(0.04, 0.6)
        end = start + length * np.asarray([np.cos(turn), np.sin(turn)])
        pen = max(1, round(dpi * rng.uniform(0.005, 0.02)))
        first, last = ([round(float(v)) for v in point] for point in (start, end))
        cv2.line(sheet, first, last, (int(rng.integers(0, 90)),), pen, cv2.LINE_AA)
    added = (sheet < INK) & (page > sheet.astype(np.int16) + 64)
    if np.count_nonzero(added) < max(_LEAST_ADDED, (dpi * 0.02) ** 2):
        return None
    np.minimum(page, sheet, out=page)
    return np.asarray(added)
