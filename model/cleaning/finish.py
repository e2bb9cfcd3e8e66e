"""The rules that finish a page after the network, in their order.

A network sees some hundred pixels around a pixel; these rules know the whole page.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.cleaning.keep_pictures import keep_pictures
from model.cleaning.lift_stains import lift_stains
from model.cleaning.page_view import PageView
from model.cleaning.restore_pale import restore_pale


@dataclass(frozen=True)
class Rule:
    """A rule.

    Attributes:
        name: unique among the rules.
        apply: takes the view of the scanned pages and the cleaned pages, which it may change in place;
            returns cleaned pages of the same shape, dtype and device.
        at_every_size: whether a page that was seen in larger cells needs the rule again in those of its size.
    """

    name: str
    apply: Callable[[PageView, Tensor], Tensor]
    at_every_size: bool = False


RULES = (
    Rule("restore-pale", restore_pale),
    Rule("lift-stains", lift_stains),
    Rule("keep-pictures", keep_pictures, at_every_size=True),
)
"""All rules. A cleaner that is given fewer leaves the others out."""


@torch.inference_mode()
def finished(view: PageView, cleaned: Tensor, rules: Sequence[Rule] = RULES) -> Tensor:
    """Apply rules one after the other.

    Args:
        view: whole pages as they were scanned, in the cells, if even, that the network saw.
        cleaned: (N, H, W, 1 or 3) of the same dtype, what it made of them; may be changed in place.
        rules: in their order.

    Returns:
        The shape, dtype and device of `cleaned`.
    """
    for rule in rules:
        cleaned = rule.apply(view, cleaned)
    return cleaned
