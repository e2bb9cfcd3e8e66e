"""What is known of whole pages beyond what a network sees: the light of their cells, their paper, their ink.

A network sees some hundred pixels around a pixel. The rules that follow it (`model.cleaning.finish`) need the
whole page. All they measure is here, each measure by one definition:

- Paper is a closing (`model.squares`): what is wide and dark, as a stain's inside or a shaded field, counts
  as paper. There are three, and none can replace another without changing results. `paper` has a fixed window
  that is wider than any stroke: marks are measured against it. `paper_between` has a window that suits the
  page's strokes, and takes the lightest pixels: grain beside writing must not look like a stain. `tones` has
  the narrowest window: a picture's edges must stay where they are.
- The level of the paper is a high share (`_LEVEL`) of its values: one for each channel where stains are
  lifted, one for the page where pictures are looked for.
- The darkness of writing is a mean (`weighted_mean`) with the fourth power of darkness as weights, of the
  scan's own where nothing is cleaned yet, of the cleaned page's afterwards.

The report's paper map (`model.judging.paper_map`) is another: it depends on a page's resolution, not on
cells.
"""

from functools import cached_property

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model.page import Plane
from model.squares import closed, means, most, padded, widened

_WINDOW = 9
"""The window of `paper` in squares, 6 mm on A4."""

_AROUND = np.ones((5, 5), np.uint8)
"""The window of `tones`, in squares: wider than strokes."""

_LEVEL = 0.95
"""The share of a page's squares that are no lighter than its paper."""

DARKEST = 0.1
"""Paper and pages count as no darker than this, 0..1, where light is divided by their light."""

_LEAST_LIGHT = 0.01
"""The same for a page's tones."""

POWER = 4
"""Of darkness, as weights: writing counts, pale marks hardly do."""

LEAST_WEIGHT = 1e-3
"""Added to sums of weights, so that pages without ink have a mean."""


class PageView:
    """Whole pages as cells, and as squares of 2 x 2 cells; each measure is taken when it is first asked for.

    Attributes:
        pages: (N, H, W, 1 or 3) uint8 or uint16, on any device.
        cell: the side of cells in pixels, even.
        side: the side of squares in pixels.
    """

    def __init__(self, pages: Tensor, cell: int) -> None:
        self.pages, self.cell, self.side = pages, cell, 2 * cell

    @cached_property
    @torch.inference_mode()
    def _cells(self) -> tuple[Tensor, Tensor]:
        whole, white = padded(self.pages, self.side)
        return means(whole, self.cell) / white, most(whole, self.cell, torch.minimum) / white

    @property
    def light(self) -> Tensor:
        """(N, C, h, w) float32, 0..1, the mean of each cell."""
        return self._cells[0]

    @property
    def darkest(self) -> Tensor:
        """(N, C, h, w) float32, 0..1, the darkest pixel of each cell."""
        return self._cells[1]

    @cached_property
    @torch.inference_mode()
    def paper(self) -> Tensor:
        """(N, C, h, w) float32, 0.1..1, the light of the paper at each cell."""
        paper = F.avg_pool2d(closed(F.avg_pool2d(self.light, 2), _WINDOW), 3, 1, 1, count_include_pad=False)
        return F.interpolate(paper.clamp_(min=DARKEST), scale_factor=2.0, mode="bilinear")

    @cached_property
    @torch.inference_mode()
    def depth(self) -> Tensor:
        """(N, C, h, w) float32, 0..1, how much darker than its paper each cell's darkest pixel is."""
        return (1 - self.darkest / self.paper).clamp_(min=0)

    @cached_property
    @torch.inference_mode()
    def _lightest(self) -> Tensor:
        """(N, C, h, w) float32, 0..1, the lightest pixel of each square."""
        whole, white = padded(self.pages, self.side)
        return most(whole, self.side, torch.maximum) / white

    @torch.inference_mode()
    def paper_between(self, index: int, window: int) -> Tensor:
        """(1, C, h, w) float32, 0..1: one page by squares, without marks that are narrower than the window.

        Args:
            index: of the page.
            window: in squares.
        """
        return closed(self._lightest[index : index + 1], window)

    def tones(self) -> list[Plane]:
        """(h, w), 0..1, for each page: its squares in its lightest channel, without strokes."""
        whole, white = padded(self.pages, self.side)
        squares = (means(whole, self.side).amax(1) / white).cpu().numpy()
        return [np.asarray(cv2.morphologyEx(one, cv2.MORPH_CLOSE, _AROUND), np.float32) for one in squares]


def level_of_channels(paper: Tensor) -> Tensor:
    """How light the paper of (1, C, h, w) squares is in each channel: (1, C, 1, 1), 0.1..1."""
    places = paper.flatten(2)
    level = places.kthvalue(max(1, int(_LEVEL * places.shape[2])), keepdim=True).values
    return level[..., None].clamp_(min=DARKEST)


def level_of_tones(tones: Plane) -> float:
    """How light the paper of a page is by its tones, 0.01..1."""
    return max(float(np.percentile(tones, 100 * _LEVEL)), _LEAST_LIGHT)


def weighted_mean(values: Tensor, weights: Tensor, dtype: torch.dtype) -> Tensor:
    """(N, 1, 1, 1): the mean of each page's values (N, C, h, w), summed in this dtype; 0 without weights."""
    sums = [each.sum((1, 2, 3), keepdim=True, dtype=dtype) for each in (weights * values, weights)]
    return sums[0] / (sums[1] + LEAST_WEIGHT)


def near(cells: Tensor, reach: int) -> Tensor:
    """The largest value of the cells that lie less than `reach` from each."""
    return widened(widened(cells, torch.maximum, reach, ahead=True), torch.maximum, reach, ahead=False)


def around(cells: Tensor, block: int, blocks: int) -> Tensor:
    """The means of (N, C, h, w) over blocks of so many cells a side, and so many blocks (odd) around each."""
    height, width = cells.shape[2:]
    whole = F.pad(cells, (0, -width % block, 0, -height % block))
    return F.avg_pool2d(F.avg_pool2d(whole, block), blocks, 1, blocks // 2)
