"""How dark a page's marks are, and whether its writing is wide.

A network sees so many cells around a pixel. Where strokes are many cells wide, as those of large handwriting
on a fine scan are, it sees stains, and takes faint ink away; in larger cells it sees strokes. How wide they
are says the page, not its resolution: ink that a closing (`model.squares`) by a small window leaves is wide
(granulometry, Matheron 1975). Black ink counts as narrow at any width: nothing takes it for a stain.

What is ink depends on how dark the page's writing is, and again on how dark it is around: a title or a punch
hole makes no grain of pale small print elsewhere.
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
"""Less than so many cells from wide ink other ink is its thin strokes; and the share that may be farther, at
most: small print beside a large title is read in the cells that suit it."""

_INK, _GRAIN = 0.6, 0.15
"""Of the writing's darkness: of ink at least; and how much darker than its paper it is, at least."""

_BLOCK = 32
"""Blocks of so many cells a side, 3 of them, are what lies around a place."""

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


def around(cells: Tensor, block: int, blocks: int) -> Tensor:
    """The means of (N, C, h, w) over blocks of so many cells a side, and so many blocks (odd) around each."""
    height, width = cells.shape[2:]
    whole = F.pad(cells, (0, -width % block, 0, -height % block))
    return F.avg_pool2d(F.avg_pool2d(whole, block), blocks, 1, blocks // 2)


@torch.inference_mode()
def wide_writing(marks: Seen) -> list[bool]:
    """Whether the writing of pages is too wide for the cells that they are seen in.

    Args:
        marks: whole pages as they were scanned, in the cells in which the network would see them.

    Returns:
        N answers, each of its page alone; no for a page without ink.
    """
    depth = _depth_of_marks(marks)
    weight = depth**_POWER
    # By the cells' means: their darkest pixels would close the gaps between strokes.
    light, paper = (one.mean(1, keepdim=True) for one in (marks.light, marks.paper))
    broad = closed(light, _NARROW) * (light + paper) < 2 * light * paper
    writing = _sum(weight * depth) / (_sum(weight) + _LEAST)
    answers = _mostly_wide(depth > _INK * writing, broad)
    if bool(answers.any()):
        writing = _at_cells(around(weight * depth, _BLOCK, 3) / (around(weight, _BLOCK, 3) + _LEAST), depth)
        answers &= _mostly_wide((depth > _INK * writing) & (depth > _GRAIN), broad)
    return answers.flatten().tolist()


def _depth_of_marks(marks: Seen) -> Tensor:
    """(N, 1, h, w), how dark marks are; 0 at the edges, where windows end, and on a black lid."""
    depth, paper = marks.depth().amax(1, keepdim=True), marks.paper.mean(1, keepdim=True)
    depth.mul_(paper > _sum(paper) / (2 * paper[0].numel()))
    for edge in (depth[:, :, :_NARROW], depth[:, :, -_NARROW:], depth[..., :_NARROW], depth[..., -_NARROW:]):
        edge.zero_()
    return depth


def _mostly_wide(ink: Tensor, broad: Tensor) -> Tensor:
    """(N, 1, 1, 1) bool: whether most of the ink (N, 1, h, w) is wide, and hardly any far from wide ink."""
    wide, total = ink & broad, _sum(ink)
    mostly = _sum(wide) > _WIDE * total
    if not bool(mostly.any()):  # as on most pages, and the rest takes most of the time
        return mostly
    alone = ink & (near(wide.float(), _REACH) == 0)
    return mostly & (_sum(alone) < _ALONE * total)


def _at_cells(blocks: Tensor, cells: Tensor) -> Tensor:
    """What is so of blocks, at each of their cells."""
    height, width = cells.shape[2:]
    return blocks.repeat_interleave(_BLOCK, 2).repeat_interleave(_BLOCK, 3)[:, :, :height, :width]


def _sum(cells: Tensor) -> Tensor:
    """(N, 1, 1, 1) float64, over each page's cells: in float32 it would depend on who adds."""
    return cells.sum((1, 2, 3), keepdim=True, dtype=torch.float64)
