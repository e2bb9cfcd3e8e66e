"""A page as squares: their lightest, darkest and mean pixels; and the closing, a page without writing.

The closing (Serra 1982) takes the lightest value in a window around each place, then the darkest of those.
Dark marks narrower than the window vanish; wide dark areas, as a stain's inside or a shaded field, stay.
"""

from collections.abc import Callable, Iterator
from functools import reduce

import torch
from torch import Tensor

from model.cells import pad

Pick = Callable[[Tensor, Tensor], Tensor]


def padded(pages: Tensor, side: int) -> tuple[Tensor, int]:
    """(N, H, W, C) uint8 or uint16 grown to whole squares, in a dtype that torch compares; and white."""
    white = torch.iinfo(pages.dtype).max
    whole = pad(pages, side)
    return (whole.to(torch.int32) if white > 255 else whole), white  # noqa: PLR2004 - torch compares no uint16


def most(pages: Tensor, side: int, pick: Pick) -> Tensor:
    """The lightest or darkest of each square's pixels.

    Args:
        pages: (N, H, W, C), whole squares.
        side: of a square, in pixels.
        pick: `torch.maximum` or `torch.minimum`.

    Returns:
        (N, C, H / side, W / side) float32, not scaled.
    """
    # Rows first, which lie side by side in memory.
    rows = reduce(pick, (pages[:, row::side] for row in range(side)))
    return _planes(reduce(pick, (rows[:, :, column::side] for column in range(side))))


def means(pages: Tensor, side: int) -> Tensor:
    """The mean of each square, by up to four of its rows; see `most`. The side is even."""
    rows = min(side, 4)
    total = reduce(torch.add, (pages[:, i * side // rows :: side].float() for i in range(rows)))
    count, height, width, channels = total.shape
    return _planes(total.view(count, height, width // side, side, channels).mean(3) / rows)


def _planes(squares: Tensor) -> Tensor:
    """(N, h, w, C) as (N, C, h, w) float32."""
    return squares.permute(0, 3, 1, 2).float()


def closed(light: Tensor, window: int) -> Tensor:
    """The closing of (N, C, h, w) by windows of so many squares a side."""
    lightest = widened(light, torch.maximum, window, ahead=True)
    return widened(lightest, torch.minimum, window, ahead=False)


def widened(x: Tensor, pick: Pick, window: int, *, ahead: bool) -> Tensor:
    """The maximum or minimum of the window that begins (`ahead`) or ends at each place, along both sides.

    Takes a tenth of the time of pooling layers.
    """
    for side in (2, 3):
        for step in steps(window):
            length = x.shape[side] - step
            if length > 0:
                near, far = x.narrow(side, 0, length), x.narrow(side, step, length)
                wider = x.clone()
                wider.narrow(side, 0 if ahead else step, length).copy_(pick(near, far))
                x = wider
    return x


def steps(window: int) -> Iterator[int]:
    """Distances between the windows to join, so that their width doubles until it is `window`."""
    wide = 1
    while wide < window:
        step = min(wide, window - wide)
        yield step
        wide += step
