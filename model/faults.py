"""Faults planted in cleaned pages, to teach the guard and to measure it: what a bad cleaner would do.

A word, a rule or signature, a letter or a dot goes, writing gets thin, a stroke is invented. What goes is
taken from a page's ink: connected parts of it, joined to words where that is wanted.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from model import ink
from model.condition import Grey

Fault = Literal["word", "rule", "letter", "dot", "thinned", "added"]
FAULTS: tuple[Fault, ...] = ("word", "rule", "letter", "dot", "thinned", "added")
_ODDS = (0.1, 0.1, 0.2, 0.35, 0.12, 0.13)

_INK = 128  # darker than this is ink of a cleaned page
_LEAST_ADDED = 6  # pixels of a stroke that can be seen


@dataclass(frozen=True)
class _Parts:
    """Connected parts of a page's ink, numbered from 1 in `labels`; (N, 5) of x, y, width, height, area."""

    labels: NDArray[np.int32]
    boxes: NDArray[np.int32]

    def chosen(self, rng: Generator, fit: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
        """The pixels of any one part that is fit."""
        numbers = np.flatnonzero(fit[1:]) + 1
        return self.labels == numbers[int(rng.integers(0, len(numbers)))] if len(numbers) else None


def plant(
    rng: Generator, page: Grey, truth: Grey, dpi: float, kind: Fault | None = None
) -> tuple[Grey, NDArray[np.bool_], Fault] | None:
    """Plant one fault.

    Args:
        rng: all randomness.
        page: a cleaned page, uint8.
        truth: where ink is, alike; the page itself where nothing better is known.
        dpi: how large letters are.
        kind: of the fault; None for any.

    Returns:
        The page with the fault, the pixels that it touched, and which fault it is; None where the page has
        nothing that it could befall.
    """
    kind = kind or FAULTS[int(rng.choice(len(FAULTS), p=_ODDS))]
    spoilt = page.copy()
    if kind == "added":
        touched = _add(rng, spoilt, dpi)
    else:
        touched = _choose(rng, truth, kind, dpi)
        if touched is not None:
            _take(rng, spoilt, touched, kind)
    return None if touched is None else (spoilt, touched, kind)


def _choose(rng: Generator, truth: Grey, kind: Fault, dpi: float) -> NDArray[np.bool_] | None:
    """What goes, with the blurred edges of it."""
    dark = np.asarray(truth < _INK, np.uint8)
    bridged = max(3, round(dpi * 0.03)) | 1 if kind in ("word", "thinned") else 1
    joined = cv2.dilate(dark, np.ones((1, bridged), np.uint8))
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    longer, shorter, area = boxes[:, 2:4].max(1), boxes[:, 2:4].min(1), boxes[:, 4]
    speck = dpi * 0.01  # a full stop of a small face is a sixtieth of an inch
    if kind == "dot":
        fit = (longer >= 0.8 * speck) & (longer <= 4 * speck) & (area >= 0.5 * longer * shorter)
    elif kind == "letter":
        fit = (longer >= 4 * speck) & (longer < dpi * 0.3)
    elif kind == "rule":
        fit = longer >= dpi * 0.3
    else:
        fit = (longer >= dpi * 0.15) & (shorter >= dpi * 0.04)
    part = _Parts(np.asarray(labels, np.int32), np.asarray(boxes, np.int32)).chosen(rng, fit)
    if part is None:
        return None
    part &= dark > 0
    edge = max(3, round(dpi * 0.012) | 1)
    return np.asarray(cv2.dilate(part.astype(np.uint8), np.ones((edge, edge), np.uint8)) > 0)


def _take(rng: Generator, page: Grey, touched: NDArray[np.bool_], kind: Fault) -> None:
    """Turn what is touched into paper, or nearly, in place."""
    rows, columns = np.flatnonzero(touched.any(1)), np.flatnonzero(touched.any(0))
    box = (slice(max(0, rows[0] - 4), rows[-1] + 5), slice(max(0, columns[0] - 4), columns[-1] + 5))
    part = page[box]
    paper = np.percentile(part[~touched[box]], 75) if (~touched[box]).any() else 255.0
    left = rng.uniform(0.15, 0.4) if kind == "thinned" else 0.0
    faint = paper - left * np.maximum(0.0, paper - part)
    part[touched[box]] = np.maximum(part, faint)[touched[box]].astype(np.uint8)


def _add(rng: Generator, page: Grey, dpi: float) -> NDArray[np.bool_] | None:
    """Invent a stroke, in place: a scrawl or a short line, of the page's darkness."""
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
    added = (sheet < _INK) & (page > sheet.astype(np.int16) + 64)
    if np.count_nonzero(added) < max(_LEAST_ADDED, (dpi * 0.02) ** 2):
        return None
    np.minimum(page, sheet, out=page)
    return np.asarray(added)
