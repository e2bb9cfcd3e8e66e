"""The paper map: how light a page's paper is at each place, without its ink; in torch, on any device.

Pages are processed in strips: temporaries stay in a CPU's cache, and many threads that each measure a page
take little memory.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model.page import Grey
from model.squares import Pick, steps

_CELL_INCHES, _BRIDGED_CELLS = 0.1, 5
_MASK = 3  # pixels a side of the window whose mean is taken
_STRIP = 256  # rows


def paper_map(grey: Grey, dpi: float) -> Grey:
    """(h, w), one value for each cell of a tenth of an inch; at least 2x2 of them."""
    with torch.inference_mode():
        paper = paper_of(torch.tensor(grey), cell_of(dpi))
    return np.asarray(paper.numpy(), np.uint8)


def paper_of(grey: Tensor, cell: int) -> Tensor:
    """(H, W) uint8 in, (h, w) uint8 out; a last cell of less than half its size is left out."""
    down, across = (max(2, (size + cell // 2) // cell) for size in grey.shape)
    rows_of_cells = strips(grey, overlap=_MASK - 1, rows=_STRIP // cell * cell)
    lightest = torch.cat([_cells(rows, cell, across) for (rows,) in rows_of_cells])
    lightest = F.pad(lightest, (0, 0, 0, max(0, down - len(lightest))))[:down]
    around = (_BRIDGED_CELLS // 2,) * 4
    dilated = window(F.pad(lightest, around), _BRIDGED_CELLS, torch.maximum)
    return window(F.pad(dilated, around, value=255), _BRIDGED_CELLS, torch.minimum)


def _cells(grey: Tensor, cell: int, across: int) -> Tensor:
    """(h, across) uint8: the lightest 3x3 mean in each cell; the last two rows only count as neighbours."""
    sums = _sum_of_9(grey) if min(grey.shape) >= _MASK else grey.short() * 9
    down = -(-len(sums) // cell)
    short = across * cell - sums.shape[1]
    whole = F.pad(sums, (0, max(0, short), 0, down * cell - len(sums)))[:, : across * cell]
    cells = whole.view(down, cell, -1).amax(1).view(down, across, cell).amax(2)
    return ((cells + 4) // 9).to(torch.uint8)


def cell_of(dpi: float) -> int:
    """The side in pixels of a cell of the paper map."""
    return max(2, round(dpi * _CELL_INCHES))


def _sum_of_9(grey: Tensor) -> Tensor:
    """(H - 2, W - 2) int16: the sum of each pixel and its eight neighbours."""
    wide = grey.short()
    rows = (wide[:-2] + wide[1:-1]).add_(wide[2:])
    return (rows[:, :-2] + rows[:, 1:-1]).add_(rows[:, 2:])


def beside_paper(grey: Tensor, paper: Tensor, cell: int) -> Tensor:
    """(H, W) uint8: each pixel's light as a share of its paper's; 255 is as light or lighter, 0 is black."""
    white = paper.clamp(min=1) / 255
    left, right, part = _between(grey.shape[1], cell, white, 1)
    columns = torch.lerp(white[:, left], white[:, right], part)
    above, below, part = _between(grey.shape[0], cell, white, 0)
    share = torch.empty_like(grey)
    for light, high, low, far, result in strips(grey, above, below, part, share):
        local = torch.lerp(columns[high], columns[low], far[:, None])
        result.copy_(torch.div(light.clamp(min=1), local, out=local).round_().clamp_(max=255))
    return share


def _between(size: int, cell: int, cells: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each of `size` pixels along a side: the two cells whose middles it lies between, and how far."""
    place = (torch.arange(size, device=cells.device) + 0.5) / cell - 0.5
    last = cells.shape[side] - 1
    before = place.floor().clamp_(0, last)
    return before.long(), (before + 1).clamp_(max=last).long(), (place - before).clamp_(0, 1)


def strips(*pages: Tensor, overlap: int = 0, rows: int = _STRIP) -> Iterator[tuple[Tensor, ...]]:
    """Pages of one height in strips of so many rows, and `overlap` more; on a GPU in one strip."""
    height = len(pages[0])
    step = rows if pages[0].device.type == "cpu" else height
    for top in range(0, max(1, height - overlap), step):
        yield tuple(page[top : top + step + overlap] for page in pages)


def window(page: Tensor, size: int, pick: Pick) -> Tensor:
    """The maximum or minimum of each `size` x `size` pixels of a page, which loses `size` - 1 a side."""
    for side in (0, 1):
        for step in steps(size):
            rest = page.shape[side] - step
            page = pick(page.narrow(side, 0, rest), page.narrow(side, step, rest))
    return page
