"""How wide a page's strokes are, before it is cleaned and after.

A network sees so many cells around a pixel. Where strokes are many cells wide, as those of large handwriting
on a fine scan are, it takes them for stains and removes faint ink; in larger cells it sees strokes. The page
itself, not its resolution, tells how wide they are: ink that a closing (`model.squares`) by a small window
leaves is wide (granulometry, Matheron 1975). Black ink counts as narrow at any width: nothing takes it for a
stain.

What is ink depends on how dark the page's writing is, and again on how dark the writing nearby is: a title or
a punch hole must not make pale small print elsewhere count as grain.
"""

import numpy as np
import torch
from torch import Tensor

from model.cleaning.page_view import LEAST_WEIGHT, POWER, PageView, around, near, weighted_mean
from model.squares import closed

_NARROW = 4
"""The side in cells of the window that closes narrow marks."""

_WIDE = 0.5
"""A page's writing is wide if more than this share of its ink is. From about there on, pages with 1-bit
truths that were in no training come out better in larger cells."""

_REACH, _ALONE = 17, 0.08
"""Ink less than so many cells from wide ink is a thin stroke of the same writing; and the largest share of
ink that may be farther away: small print beside a large title needs small cells."""

_INK, _GRAIN = 0.6, 0.15
"""How dark ink is at least: as a share of the writing's darkness, and beside its paper."""

_BLOCK = 32
"""The surroundings of a place are 3 x 3 blocks of so many cells a side."""

_ROWS, _FEWEST_RUNS = 16, 30
"""Runs are counted in each 16th row of a page; how many are needed to tell the width of strokes."""


@torch.inference_mode()
def wide_writing(view: PageView) -> list[bool]:
    """Whether the writing of pages is too wide for the cells that they are seen in.

    Args:
        view: whole pages as they were scanned, in the cells in which the network would see them.

    Returns:
        N answers, each of its page alone; no for a page without ink.
    """
    depth = _depth_of_marks(view)
    weight = depth**POWER
    # Means of cells are used: their darkest pixels would close the gaps between strokes.
    light, paper = (one.mean(1, keepdim=True) for one in (view.light, view.paper))
    broad = closed(light, _NARROW) * (light + paper) < 2 * light * paper
    # In float64: float32 sums depend on the number of threads and the device.
    writing = weighted_mean(depth, weight, torch.float64)
    answers = _mostly_wide(depth > _INK * writing, broad)
    if bool(answers.any()):
        writing = _at_cells(
            around(weight * depth, _BLOCK, 3) / (around(weight, _BLOCK, 3) + LEAST_WEIGHT), depth
        )
        answers &= _mostly_wide((depth > _INK * writing) & (depth > _GRAIN), broad)
    return answers.flatten().tolist()


def _depth_of_marks(view: PageView) -> Tensor:
    """(N, 1, h, w), how dark marks are; 0 at the edges, where windows end, and on a scanner's black lid."""
    depth, paper = view.depth.amax(1, keepdim=True), view.paper.mean(1, keepdim=True)
    depth.mul_(paper > _sum(paper) / (2 * paper[0].numel()))
    for edge in (depth[:, :, :_NARROW], depth[:, :, -_NARROW:], depth[..., :_NARROW], depth[..., -_NARROW:]):
        edge.zero_()
    return depth


def _mostly_wide(ink: Tensor, broad: Tensor) -> Tensor:
    """(N, 1, 1, 1) bool: whether most of the ink (N, 1, h, w) is wide, and little of it far from wide ink."""
    wide, total = ink & broad, _sum(ink)
    mostly = _sum(wide) > _WIDE * total
    if not bool(mostly.any()):  # as on most pages, and the rest takes most of the time
        return mostly
    alone = ink & (near(wide.float(), _REACH) == 0)
    return mostly & (_sum(alone) < _ALONE * total)


def _at_cells(blocks: Tensor, cells: Tensor) -> Tensor:
    """The values of blocks at each of their cells."""
    height, width = cells.shape[2:]
    return blocks.repeat_interleave(_BLOCK, 2).repeat_interleave(_BLOCK, 3)[:, :, :height, :width]


def _sum(cells: Tensor) -> Tensor:
    """(N, 1, 1, 1) float64, over each page's cells."""
    return cells.sum((1, 2, 3), keepdim=True, dtype=torch.float64)


def median_run(page: Tensor) -> float | None:
    """The median length of the runs of dark pixels along a cleaned page's rows; None if there are too few.

    Args:
        page: (H, W, C) uint8 or uint16.

    Returns:
        In pixels; a little more than the width of strokes.
    """
    rows = page[_ROWS // 2 :: _ROWS].cpu().numpy()
    dark = rows.mean(2) < np.iinfo(rows.dtype).max / 2
    edges = np.diff(np.pad(dark, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    runs = np.nonzero(edges < 0)[1] - np.nonzero(edges > 0)[1]
    return float(np.median(runs)) if len(runs) >= _FEWEST_RUNS else None
