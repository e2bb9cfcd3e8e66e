"""How dark a page's marks are, and whether its writing is wide.

A network sees so many cells around a pixel. Where strokes are many cells wide, as those of large handwriting
on a fine scan are, it sees stains, and takes faint ink away; in larger cells it sees strokes. How wide they
are says the page, not its resolution: closings (`model.squares`) by windows of growing size take marks in the
order of their width (granulometry, Matheron 1975), and ink that a small window leaves is wide.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from model.squares import closed, means, most, padded, widened

_WINDOW = 9
"""The closing's window in squares of 2 cells a side, 6 mm on A4."""

_NARROW = 4
"""Cells: a mark is narrow that a window of so many a side takes."""

_WIDE = 0.5
"""The share of a page's ink that is wide, at least, where its writing is. Pages with 1-bit truths that no
training knew come out of larger cells better from about there on."""

_REACH, _ALONE = 17, 0.08
"""How far ink may be from wide ink, in cells, to be its thin strokes; and the share that may be farther, at
most: small print beside a large title is read in the cells that suit it."""

_INK = 0.6
"""Of the writing's darkness: of ink at least."""

_POWER = 4
_DARKEST = 0.1
_LEAST = 1e-3


@dataclass(frozen=True)
class Seen:
    """A page as cells.

    Attributes:
        cell: the side of cells in pixels, even.
        light: (N, C, h, w) float32, 0..1, the mean of each cell.
        darkest: the same shape, the darkest pixel of each.
        paper: the same shape, the light of the paper there, 0.1..1.
    """

    cell: int
    light: Tensor
    darkest: Tensor
    paper: Tensor

    def depth(self) -> Tensor:
        """How much darker than their paper cells are, 0..1."""
        return (1 - self.darkest / self.paper).clamp_(min=0)


@torch.inference_mode()
def seen(pages: Tensor, cell: int) -> Seen:
    """Pages (N, H, W, 1 or 3) uint8 or uint16 in cells of so many pixels a side, even."""
    whole, white = padded(pages, 2 * cell)
    light = means(whole, cell) / white
    paper = F.avg_pool2d(closed(F.avg_pool2d(light, 2), _WINDOW), 3, 1, 1, count_include_pad=False)
    paper = F.interpolate(paper.clamp_(min=_DARKEST), scale_factor=2.0, mode="bilinear")
    return Seen(cell, light, most(whole, cell, torch.minimum) / white, paper)


def near(cells: Tensor, reach: int) -> Tensor:
    """The largest value of the cells that lie less than `reach` from each."""
    return widened(widened(cells, torch.maximum, reach, ahead=True), torch.maximum, reach, ahead=False)


@torch.inference_mode()
def wide_writing(marks: Seen) -> list[bool]:
    """Whether the writing of pages is too wide for the cells that they are seen in.

    Args:
        marks: whole pages as they were scanned, in the cells in which the network would see them.

    Returns:
        N answers, each of its page alone; no for a page without ink.
    """
    depth = marks.depth().amax(1, keepdim=True)
    light, paper = (one.amin(1, keepdim=True) for one in (marks.light, marks.paper))
    weight = depth**_POWER
    ink = depth > _INK * _sum(weight * depth) / (_sum(weight) + _LEAST)
    # By their means: the darkest pixels of cells would close the gaps between strokes.
    narrow = 1 - light / closed(light, _NARROW).clamp_(min=_DARKEST)
    wide, total = ink & (narrow < (1 - light / paper) / 2), _sum(ink)
    mostly = _sum(wide) > _WIDE * total
    if not bool(mostly.any()):
        return [False] * len(depth)
    alone = ink & (near(wide.float(), _REACH) == 0)
    return (mostly & (_sum(alone) < _ALONE * total)).flatten().tolist()


def _sum(cells: Tensor) -> Tensor:
    """(N, 1, 1, 1), over all of each page's cells."""
    return cells.sum((1, 2, 3), keepdim=True)
