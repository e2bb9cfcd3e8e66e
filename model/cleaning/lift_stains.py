"""What a network left of a stain goes, too.

A stain is larger than the part of it that a network sees, and from inside its texture looks like faint
writing. So pale clouds stay on dark stains, and Tesseract reads them as text. But what is wide is no stroke:
it is in the closing of the page (`model.squares`) by a window that is wider than strokes. Shade that was
there in the scan, below the level of its paper, and that the network removed in part is removed further: at
most `MORE` times as much as the network removed. Where the network left a shade as it was, as in a tinted
field or a photograph, nothing more goes.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model.cleaning.page_view import DARKEST, PageView, level_of_channels
from model.cleaning.stroke_width import median_run

MORE = 2.0
"""How many times as much goes as the network removed."""

_RUNS, _NARROWEST, _WIDEST = 2.4, 3, 9
"""The window's side: in median runs of dark pixels; in squares, at least and at most."""

_STRIP = 16


def lift_stains(view: PageView, cleaned: Tensor) -> Tensor:
    """Remove what is left of stains.

    Args:
        view: whole pages as they were scanned.
        cleaned: (N, H, W, C) of the same dtype, what a network made of them; changed in place.

    Returns:
        `cleaned`; no pixel is darker than before.
    """
    result = PageView(cleaned, view.cell)
    for index, page in enumerate(cleaned):
        window = _window(page, view.side)
        before, after = (one.paper_between(index, window) for one in (view, result))
        went = after - (before / level_of_channels(before)).clamp_(max=1)
        more = torch.minimum(1 - after, MORE * went.clamp_(min=0))
        if float(more.max()) * 255 >= 1:
            light = _smooth(after)
            _lighten(page[None], (light + _smooth(more)) / light.clamp(min=DARKEST), view.side)
    return cleaned


def _window(page: Tensor, side: int) -> int:
    """The side in squares of a window that is wider than the strokes of a cleaned page (H, W, C)."""
    run = median_run(page)
    return _WIDEST if run is None else int(np.clip(round(_RUNS * run / side), _NARROWEST, _WIDEST))


def _smooth(squares: Tensor) -> Tensor:
    return F.avg_pool2d(squares, 3, 1, 1, count_include_pad=False)


def _lighten(page: Tensor, factor: Tensor, side: int) -> None:
    """Multiply (1, H, W, C) in place by factors (1, C, h, w) of squares, strip by strip, for the cache."""
    white = torch.iinfo(page.dtype).max
    fine = F.interpolate(factor, scale_factor=2.0, mode="bilinear").permute(0, 2, 3, 1)
    block = side // 2
    for top in range(0, fine.shape[1], _STRIP):
        rows = fine[:, top : top + _STRIP]
        strip = page[:, top * block : (top + _STRIP) * block]
        if strip.numel() and float(rows.max()) > 1:
            wide = rows.repeat_interleave(block, 2)[:, :, : page.shape[2]]
            factors = wide.repeat_interleave(block, 1)[:, : strip.shape[1]]
            strip.copy_((strip.float() * factors).round_().clamp_(max=white).to(torch.int32))
