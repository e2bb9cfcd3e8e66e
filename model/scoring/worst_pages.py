"""A picture of the worst results: before, after and truth, at the worst place of each page."""

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw

from model.drawing.letters import built_in_face, drawable
from model.page import Page, Plane, as_grey
from model.scoring.evaluate import PageScore, Scored

PAGES = 8
"""The most rows of a sheet."""

_HEIGHT, _WIDTH = 240, 480
_GAP, _LABEL = 12, 20
_STROKE = 25
"""The side, in pixels, of a window that is larger than strokes are wide."""


@dataclass(frozen=True)
class _Row:
    badness: float
    label: str
    crops: tuple[Image.Image, ...]


class WorstPages:
    """Keeps a detail of each of the worst pages, rather than whole pages.

    The worst pages have the largest RMSE after cleaning. With 1-bit truths they have the smallest F-measure,
    as RMSE would mostly measure the colour of the paper; without truths, the largest character error rate.
    """

    def __init__(self, limit: int = PAGES) -> None:
        """Keep the `limit` worst pages."""
        self._limit = limit
        self._rows: list[_Row] = []

    @property
    def labels(self) -> list[str]:
        """The text above each row, the worst first: a page's name and scores."""
        return [row.label for row in self._rows]

    def add(self, scored: Scored) -> None:
        """Keep a detail of the page if it is among the worst so far."""
        badness, label = _judge(scored.score)
        if len(self._rows) == self._limit and badness <= self._rows[-1].badness:
            return
        self._rows.append(_Row(badness, label, _details(scored)))
        self._rows = sorted(self._rows, key=lambda row: -row.badness)[: self._limit]

    def draw(self) -> Image.Image:
        """The sheet in RGB: one row of details for each page, the worst on top, in the scan's resolution."""
        columns = max((len(row.crops) for row in self._rows), default=1)
        row_height = _LABEL + _HEIGHT + _GAP
        size = columns * (_WIDTH + _GAP) + _GAP, _LABEL + len(self._rows) * row_height + _GAP
        sheet = Image.new("RGB", size, "#44505c")
        draw, font = ImageDraw.Draw(sheet), built_in_face(14)
        for column, title in zip(range(columns), ("before", "after", "truth"), strict=False):
            draw.text((_GAP + column * (_WIDTH + _GAP), 2), title, fill="#c8d0d8", font=font)
        for index, row in enumerate(self._rows):
            y = _LABEL + index * row_height
            draw.text((_GAP, y), drawable(row.label, font), fill="white", font=font)
            for column, crop in enumerate(row.crops):
                sheet.paste(crop, (_GAP + column * (_WIDTH + _GAP), y + _LABEL))
        return sheet


def _judge(score: PageScore) -> tuple[float, str]:
    """How bad the result of a page is, and its name with its scores."""
    badness, facts = 0.0, []
    if text := score.text:
        badness = text.cer_after
        facts.append(f"CER {text.cer_before:.1%} to {text.cer_after:.1%}")
    if pair := score.pair:
        badness = pair.after.rmse
        facts.append(f"RMSE {pair.before.rmse:.4f} to {pair.after.rmse:.4f}")
        if pair.before.bitonal and pair.after.bitonal:
            badness = 1 - pair.after.bitonal.f_measure / 100
            facts.append(f"F {pair.before.bitonal.f_measure:.1f} to {pair.after.bitonal.f_measure:.1f} %")
    return badness, f"{score.name}   {',  '.join(facts)}"


def _details(scored: Scored) -> tuple[Image.Image, ...]:
    """The same window of the scan, the result and the truth: where the result is farthest from the truth.

    Without a truth it is where the scan has most text: what changed most might be blank paper.
    """
    if scored.truth is None:
        weight = _strokes(as_grey(scored.scan))
    else:
        weight = cv2.absdiff(as_grey(scored.cleaned), as_grey(scored.truth)).astype(np.float32)
    height, width = min(_HEIGHT, weight.shape[0]), min(_WIDTH, weight.shape[1])
    sums = cv2.boxFilter(weight, -1, (width, height), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    inside = sums[: weight.shape[0] - height + 1, : weight.shape[1] - width + 1]
    y, x = (int(i) for i in np.unravel_index(np.argmax(inside), inside.shape))
    pages: list[Page] = [scored.scan, scored.cleaned] + ([] if scored.truth is None else [scored.truth])
    return tuple(Image.fromarray(page[y : y + height, x : x + width]).convert("RGB") for page in pages)


def _strokes(page: Page) -> Plane:
    """(H, W): the difference of each pixel from its surroundings, in grey levels."""
    plane = page.astype(np.float32)
    return np.asarray(np.abs(plane - cv2.blur(plane, (_STROKE, _STROKE))), np.float32)
