from pathlib import Path

import numpy as np
import pytest

from model.cleaning.cleaner import Cleaner, load_cleaner
from model.drawing.pages import render_page
from model.guard.network import CELL, load_guard
from model.shipped import CLEANER
from model.training.cleaner_samples import _LARGE, _SMALL, Patches
from model.training.guard_samples import GuardSamples
from model.training.guard_train import GuardSettings, train_guard
from model.training.settings import TrainingFault
from tests.samples import Inverter


class Untouched(Inverter):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, bool]] = []

    def clean(self, pages):  # type: ignore[no-untyped-def]
        return [page.copy() for page in pages]

    def clean_parts(self, pages, large):  # type: ignore[no-untyped-def]
        self.seen.append((pages[0].shape[0], large))
        return self.clean(pages)


def samples(cleaner: Cleaner | None = None) -> GuardSamples:
    pages = [render_page(np.random.default_rng(seed), 400, 320, 120) for seed in range(3)]
    return GuardSamples([Patches([], pages, 5)], cleaner or Untouched(), pages[:1], 5)  # type: ignore[arg-type]


def test_batches_hold_scans_results_and_what_is_wrong_with_them() -> None:
    planted = 0
    for batch in samples().batches(0, 8):
        count, two, height, width = batch.pages.shape
        assert two == 2 and batch.pages.dtype == np.uint8
        assert batch.wrong.shape == batch.sure.shape == (count, 2, height // CELL, width // CELL)
        planted += int((batch.wrong & batch.sure).sum())
    assert planted > 20


def test_parts_of_large_pages_are_cleaned_as_such() -> None:
    cleaner = Untouched()
    list(samples(cleaner).batches(0, 100))  # type: ignore[arg-type]
    expected = {(size, view is _LARGE) for view in (_SMALL, _LARGE) for _, size in view.sizes}
    assert set(cleaner.seen) == expected


def test_a_batch_is_decided_by_its_step_alone() -> None:
    together = list(samples().batches(0, 7))
    (alone,) = samples().batches(6, 7)
    assert np.array_equal(together[6].pages, alone.pages) and np.array_equal(together[6].wrong, alone.wrong)
    assert not np.array_equal(together[5].pages, alone.pages)


def test_what_the_real_cleaner_does_to_clean_pages_is_no_loss() -> None:
    batches = samples(load_cleaner(CLEANER)).batches(0, 4)
    wrong = [batch.wrong[:, 0].mean() for batch in batches]
    assert max(wrong) < 0.3


@pytest.mark.timeout(120)
def test_a_training_goes_on_where_it_stopped(tmp_path: Path) -> None:
    at_once = train_guard(samples(), GuardSettings(2, 1, focus=2), tmp_path / "at once")
    train_guard(samples(), GuardSettings(2, 1, focus=2), tmp_path / "resumed")
    again = train_guard(samples(), GuardSettings(2, 1, focus=2), tmp_path / "resumed")
    assert at_once.read_bytes() == again.read_bytes()
    assert load_guard(again).head.bias is not None
    with pytest.raises(TrainingFault, match="other settings"):
        train_guard(samples(), GuardSettings(2, 1), tmp_path / "resumed")
    assert train_guard(samples(), GuardSettings(1, 1), tmp_path / "on", again).is_file()
