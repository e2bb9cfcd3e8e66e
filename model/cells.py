"""Pixels as cells: each square of pixels becomes one vector, which is how a network's branches see pages.

Cells stay integers: they move faster than floats, and several of them at a time faster still.
"""

import torch
from torch import Tensor


def pad(pages: Tensor, stride: int) -> Tensor:
    """Grow (N, H, W, C) to multiples of the stride by repeating the last row and column."""
    count, height, width, channels = pages.shape
    padded = pages.new_empty(count, height + -height % stride, width + -width % stride, channels)
    # Plain copies: they are all that torch promises for uint16.
    padded[:, :height, :width] = pages
    padded[:, :height, width:] = pages[:, :, -1:]
    padded[:, height:] = padded[:, height - 1 : height]
    return padded


def cells_of(pages: Tensor, top: int, bottom: int, shuffle: int) -> Tensor:
    """Rows top..bottom of the cells of (N, H, W, C): (N, rows, columns, shuffle * shuffle, C)."""
    count, _, width, channels = pages.shape
    rows = pages[:, top * shuffle : bottom * shuffle]
    lines = _wide(rows.reshape(count, bottom - top, shuffle, width // shuffle, shuffle * channels))
    cells = lines.transpose(2, 3).contiguous().view(pages.dtype)
    return cells.view(count, bottom - top, width // shuffle, shuffle**2, channels)


def rows_of(cells: Tensor, shuffle: int) -> Tensor:
    """The pixels of cells: (N, h, w, shuffle * shuffle, C) to (N, h * shuffle, w * shuffle, C)."""
    count, height, width, _, channels = cells.shape
    lines = _wide(cells.view(count, height, width, shuffle, shuffle * channels))
    rows = lines.transpose(2, 3).contiguous().view(cells.dtype)
    return rows.view(count, height * shuffle, width * shuffle, channels)


def _wide(x: Tensor) -> Tensor:
    """Each row of the last axis as one wider integer, if there is one that wide: it moves faster."""
    wide = {2: torch.int16, 4: torch.int32, 8: torch.int64}.get(x.shape[-1] * x.element_size())
    return x.view(wide) if wide else x


def cleaned_cells(cells: Tensor, gain: Tensor, correction: Tensor) -> Tensor:
    """`Autoencoder.predicted`, cut to 0..1, for cells of integers (N, h, w, s * s, C).

    Gain is (N, h, w, C). Correction is (N, h, w, s * s * C), in grey levels of 255.
    """
    white = torch.iinfo(cells.dtype).max
    x = correction.float().reshape(cells.shape)
    if white > 255:  # noqa: PLR2004
        x *= white / 255
    x.addcmul_(cells.float(), (gain.float() + 1)[:, :, :, None])
    return x.round_().clamp_(0, white).to(cells.dtype)
