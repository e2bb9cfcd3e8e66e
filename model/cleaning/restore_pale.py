"""No mark becomes darker than it was, unless the page's writing is as dark; and rests of dirt go.

Faint ink on dark paper has to become dark. A pale blotch far from any writing may be faint ink, too, as far
as a network can tell that sees some hundred pixels around. The whole page shows more: where its writing is
far darker than the blotch, the blotch is not writing. So this rule measures how dark the page's writing was
in the scan, beside its paper, and gives marks that were much paler no more contrast than they had. That
erases nothing: pencil beside print stays as it was. Where the network itself hesitated to make writing dark,
nothing is known, and its result stands.

Of a rough paper's texture, of salt and pepper, of a stain's grain the network removes most and leaves some.
So where most of the pale marks went, the rest of them goes, too. Pencil that the network recognises it
leaves, and then most of the marks around stay.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from model.cleaning.page_view import POWER, PageView, around, near, weighted_mean

PALE = 0.55
"""Marks with less than this share of the writing's darkness are not writing."""

CERTAIN = (0.83, 0.89)
"""How dark writing has become (0..1): up to the first value the network's result stands, from the second on
nothing pale becomes darker. Scans of faint ink lie below, full pages with dark ink above."""

MOST = (0.5, 0.7)
"""The share of the pale marks around that the network removed: up to the first value they stay, from the
second on they are dirt."""

_PALER, _SOFT = 0.7, 0.1
"""Marks with less than this share of the writing's darkness may be dirt; and the width of the transition."""

_GRAIN = 0.25
"""Marks that are no darker than this, beside their paper, are grain and have no weight."""

_BLOCK, _BLOCKS = 8, 7
"""The surroundings of a mark are 7 x 7 blocks of 8 cells a side, about 2 cm on A4."""

_NEXT = 2
_RISE = 8.0
_LEAST = 1e-3


def restore_pale(view: PageView, cleaned: Tensor) -> Tensor:
    """Take back what cleaning made too dark, and remove what it left of dirt.

    Args:
        view: whole pages as they were scanned, in cells that hold little more than a stroke's width.
        cleaned: (N, H, W, 1 or 3) uint8 or uint16, what a network made of them.

    Returns:
        New pages of the shape, dtype and device of `cleaned`. No pixel becomes darker, and a page that
        cleaning left as it was is returned as it was.
    """
    result = PageView(cleaned, view.cell)
    depth, dark = view.depth, 1 - result.darkest
    weight = dark**POWER
    writing, became = (weighted_mean(each, weight, torch.float32) for each in (depth, dark))
    unknown = 1 - _rising(became, CERTAIN)
    # A stroke's edge is paler than the stroke, and may become as dark as it has to.
    beside = near(depth, _NEXT)
    allowed = torch.maximum(depth, _RISE * (beside - PALE * writing))
    allowed = allowed * (1 - _dirt(depth, beside, dark, writing)) + unknown
    return _at_least(cleaned, result.paper * (1 - allowed), view.cell)


def _dirt(depth: Tensor, beside: Tensor, dark: Tensor, writing: Tensor) -> Tensor:
    """0..1: how surely marks are dirt: whether the network removed most of the pale marks around them."""
    pale = ((_PALER * writing - beside) / _SOFT + 0.5).clamp_(0, 1)
    weight = depth * (depth > _GRAIN) * pale
    went = weight * (1 - near(dark, _NEXT) / beside.clamp(min=_GRAIN)).clamp_(0, 1)
    sums = [around(each, _BLOCK, _BLOCKS) for each in (went, weight)]
    share = sums[0] / sums[1].clamp(min=_LEAST)
    size = depth.shape[2:]
    share = F.interpolate(share, scale_factor=float(_BLOCK), mode="bilinear")[..., : size[0], : size[1]]
    return pale * _rising(share, MOST)


def _rising(x: Tensor, bounds: tuple[float, float]) -> Tensor:
    """0 up to the first bound, 1 from the second on."""
    return ((x - bounds[0]) / (bounds[1] - bounds[0])).clamp_(0, 1)


def _at_least(cleaned: Tensor, light: Tensor, cell: int) -> Tensor:
    """The pages, every pixel at least as light as `light` (0..1) has its cell."""
    height, width = cleaned.shape[1:3]
    white = torch.iinfo(cleaned.dtype).max
    whole = torch.int32 if white > 255 else cleaned.dtype  # noqa: PLR2004 - torch compares no uint16
    least = (light.clamp_(0, 1) * white).to(whole).permute(0, 2, 3, 1)
    least = least.repeat_interleave(cell, 1)[:, :height].repeat_interleave(cell, 2)[:, :, :width]
    return torch.maximum(cleaned.to(whole), least).to(cleaned.dtype)
