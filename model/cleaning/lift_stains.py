"""What is left of a stain: where a network took shade away and left some, the rest goes, too.

A stain is larger than what a network sees of it, and its texture looks like faint writing from inside. So
pale clouds stay on dark stains, and Tesseract reads them. But what is wide is no stroke: it is in the closing
of the page by a window that is wider than strokes. What shade was there in the scan, below the level of its
paper, and went in part goes on going: at most `MORE` times as much as went. Where the network left a shade as
it was, a tinted field, a photograph, nothing more goes.

How wide strokes are says the page: half of the runs of dark pixels along its rows are no longer.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model.squares import closed, most, padded

MORE = 2.0
"""How many times as much goes as the network took."""

_RUNS, _NARROWEST, _WIDEST = 2.4, 3, 9
"""The window: how many runs wide, and how many squares at least and at most."""

_FEWEST = 30
"""Runs that say how wide strokes are."""

_ROWS = 16
_LEVEL = 0.95
"""The share of a page's squares that are no lighter than its paper."""

_DARKEST = 0.1
_STRIP = 16


def without_residue(pages: Tensor, cleaned: Tensor, side: int) -> Tensor:
    """Finish stains.

    Args:
        pages: (N, H, W, C) uint8 or uint16, whole pages as they were scanned.
        cleaned: what a network made of them, alike; changed in place.
        side: of the squares to look at, in pixels.

    Returns:
        `cleaned`; no pixel is darker than before.
    """
    for index in range(len(cleaned)):
        page = cleaned[index : index + 1]
        window = _window(page, side)
        before, after = (_paper(one, side, window) for one in (pages[index : index + 1], page))
        went = after - (before / _level(before)).clamp_(max=1)
        more = torch.minimum(1 - after, MORE * went.clamp_(min=0))
        if float(more.max()) * 255 >= 1:
            light = _smooth(after)
            _lighten(page, (light + _smooth(more)) / light.clamp(min=_DARKEST), side)
    return cleaned


def _window(page: Tensor, side: int) -> int:
    """How many squares a side are wider than the strokes of a cleaned page (1, H, W, C)."""
    rows = page[0, _ROWS // 2 :: _ROWS].cpu().numpy()
    dark = rows.mean(2) < np.iinfo(rows.dtype).max / 2
    edges = np.diff(np.pad(dark, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    runs = np.nonzero(edges < 0)[1] - np.nonzero(edges > 0)[1]
    if len(runs) < _FEWEST:
        return _WIDEST
    return int(np.clip(round(_RUNS * float(np.median(runs)) / side), _NARROWEST, _WIDEST))


def _paper(page: Tensor, side: int, window: int) -> Tensor:
    """(1, C, h, w), 0..1: a page without its writing."""
    whole, white = padded(page, side)
    return closed(most(whole, side, torch.maximum) / white, window)


def _level(paper: Tensor) -> Tensor:
    """How light the page's paper is, (1, C, 1, 1)."""
    places = paper.flatten(2)
    level = places.kthvalue(max(1, int(_LEVEL * places.shape[2])), keepdim=True).values
    return level[..., None].clamp_(min=_DARKEST)


def _smooth(squares: Tensor) -> Tensor:
    return F.avg_pool2d(squares, 3, 1, 1, count_include_pad=False)


def _lighten(page: Tensor, factor: Tensor, side: int) -> None:
    """Multiply (1, H, W, C) in place by what (1, C, h, w) says of squares, strip by strip, for the cache."""
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
