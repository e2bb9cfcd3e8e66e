"""The rules come after the network in their order, and each can be left out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from model.cleaning.cleaner import load_cleaner
from model.cleaning.finish import RULES, Rule, finished
from model.cleaning.page_view import PageView
from model.network.autoencoder import Autoencoder, AutoencoderConfig
from model.network.weights import save_weights
from tests.model.cleaning.test_stroke_width import written


def adding(number: int, at_every_size: bool = False) -> Rule:
    """A rule that multiplies pages by 10 and adds a digit: they show which rules came, in which order."""

    def apply(view: PageView, cleaned: Tensor) -> Tensor:
        return cleaned * 10 + number

    return Rule(str(number), apply, at_every_size)


def test_all_rules_have_names_of_their_own() -> None:
    assert [rule.name for rule in RULES] == ["restore-pale", "lift-stains", "keep-pictures"]


def test_rules_are_applied_in_their_order() -> None:
    blank = torch.zeros((1, 8, 8, 1), dtype=torch.uint8)
    assert bool((finished(PageView(blank, 2), blank, [adding(1), adding(2)]) == 12).all())
    assert torch.equal(finished(PageView(blank, 2), blank, []), blank)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """An untrained network, which leaves pages as they are."""
    return save_weights(
        Autoencoder(AutoencoderConfig(widths=(8, 8), blocks=(1, 1))), tmp_path / "w.safetensors"
    )


def test_a_cleaner_applies_the_rules_it_is_given(weights: Path) -> None:
    page = np.zeros((40, 30), np.uint8)
    assert not load_cleaner(weights, "cpu", rules=()).clean([page])[0].any()
    assert (load_cleaner(weights, "cpu", rules=[adding(1), adding(2)]).clean([page])[0] == 12).all()


def test_pages_with_wide_writing_get_some_rules_again_at_their_own_size(weights: Path) -> None:
    seen: list[tuple[int, ...]] = []

    def noted(view: PageView, cleaned: Tensor) -> Tensor:
        seen.append((view.cell, *cleaned.shape[1:3]))
        return cleaned

    def sizes(pen: int, rule: Rule) -> list[tuple[int, ...]]:
        seen.clear()
        load_cleaner(weights, "cpu", rules=[rule]).clean([written(pen, ink=140)])
        return seen.copy()

    once, again = Rule("once", noted), Rule("again", noted, at_every_size=True)
    assert sizes(14, once) == [(4, 480, 480)]
    assert sizes(14, again) == [(4, 480, 480), (2, 480, 480)]
    assert sizes(16, once) == [(4, 240, 240)], "at half its size"
    assert sizes(16, again) == [(4, 240, 240), (4, 480, 480), (2, 480, 480)]
