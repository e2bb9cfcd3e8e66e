from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from model.drawing.pages import render_page
from model.drawing.textures import fractal_noise
from model.guard.guard import Guard
from model.guard.network import CELL, STRIDE, GuardNetwork, load_guard, save_guard, strokes, strokes_changed
from model.guard.writing import PALE, darkness, surer, went
from model.judging.condition import at_scale
from model.judging.text_or_picture import unlike_text
from model.network.weights import WeightsError
from model.page import Grey
from model.shipped import CLEANER, GUARD
from model.training.faults import FAULTS, Fault, plant
from model.training.guard_samples import labels

DPI = 150


def text(seed: int, height: int = 480, width: int = 400) -> Grey:
    return render_page(np.random.default_rng(seed), height, width, DPI, pictures=False)


@pytest.fixture(scope="module")
def guard() -> Guard:
    return Guard()


def grey_paper(page: Grey) -> Grey:
    return (page * 0.8).astype(np.uint8)


@pytest.mark.parametrize("kind", ["word", "rule", "thinned", "added"])
def test_what_is_lost_or_invented_is_found_where_it_was(guard: Guard, kind: Fault) -> None:
    found = []
    for seed in range(6):
        clean = text(seed)
        planted = plant(np.random.default_rng(seed), clean, clean, DPI, kind)
        if planted is None:
            continue
        comparison = guard.compare(grey_paper(clean), planted[0])
        where = comparison.added if kind == "added" else comparison.lost
        near = cv2.dilate(planted[1].astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        assert where.shape == clean.shape
        wanted = "ink_added" if kind == "added" else "ink_lost"
        found.append(wanted in comparison.fidelity.reasons and where[near].max() > where[~near].max())
    assert len(found) >= 4 and all(found)


def test_a_page_that_only_got_white_paper_is_not_suspected(guard: Guard) -> None:
    for seed in range(6):
        comparison = guard.compare(grey_paper(text(seed)), text(seed))
        assert comparison.fidelity.reasons == ()
        assert comparison.fidelity.changed_fraction > 0.5


def test_a_page_that_was_left_as_it_was_has_all_its_ink(guard: Guard) -> None:
    fidelity = guard.compare(text(1), text(1)).fidelity
    assert (fidelity.ink_lost, fidelity.ink_added, fidelity.changed_fraction) == (0, 0, 0)
    assert fidelity.ssim == pytest.approx(1)


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (17, 31)])
def test_pages_of_any_size_can_be_compared(guard: Guard, shape: tuple[int, int]) -> None:
    comparison = guard.compare(np.full(shape, 200, np.uint8), np.full(shape, 255, np.uint8))
    assert comparison.lost.shape == comparison.added.shape == shape
    assert comparison.fidelity.reasons == ()


def test_only_strokes_count_and_no_shades() -> None:
    clean = np.full((96, 96), 255, np.uint8)
    shaded, ruled = clean.copy(), clean.copy()
    shaded[:, 40:] = 90
    ruled[48:50, 10:80] = 90
    blank = strokes(clean)
    assert not strokes_changed(strokes(shaded), blank).any()
    lost, added = strokes_changed(strokes(ruled), blank)
    assert lost.shape == (96 // CELL, 96 // CELL) and not added.any()
    assert lost[12, 3:20].all() and lost.sum() == 18
    assert np.array_equal(strokes_changed(blank, strokes(ruled))[1], lost)
    assert strokes_changed(blank[:50, :33], blank[:50, :33]).shape == (2, 64 // CELL, 48 // CELL)
    assert STRIDE == 16


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_changes_what_it_touches_and_nothing_else(kind: Fault) -> None:
    planted = [plant(np.random.default_rng(seed), text(seed), text(seed), DPI, kind) for seed in range(8)]
    count = 0
    for seed, one in enumerate(planted):
        if one is None:
            continue
        count += 1
        page, touched, name = one
        changed = page != text(seed)
        assert name == kind and changed.any()
        if kind == "added":
            assert (page <= text(seed)).all()
        else:
            assert not (changed & ~touched).any() and (page >= text(seed))[touched].all()
    assert count >= 4


def test_labels_tell_lost_ink_from_lost_dirt_and_from_sharper_edges() -> None:
    truth = np.full((64, 64), 255, np.uint8)
    truth[20:24, 8:40] = 0
    truth[40:44, 8:40] = 0
    scan = truth.copy()
    scan[52:56, 52:56] = 0  # dirt
    cleaned = truth.copy()
    cleaned[40:44, 8:40] = 255  # a rule that went
    cleaned[20, 8:40] = 200  # an edge that got lighter
    cleaned[4:8, 48:60] = 0  # ink from nowhere
    nothing = np.zeros(truth.shape, bool)
    wrong, sure = labels(scan, cleaned, truth, nothing, nothing, bitonal=False)
    assert np.array_equal(np.argwhere(wrong[0]), [(10, column) for column in range(2, 10)])
    assert np.array_equal(np.argwhere(wrong[1]), [(1, column) for column in range(12, 15)])
    assert sure.all()


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no guard's"):
        load_guard(CLEANER)
    with pytest.raises(WeightsError, match=r"nowhere\.safetensors"):
        load_guard(tmp_path / "nowhere.safetensors")
    path = save_guard(GuardNetwork(), tmp_path / "guard.safetensors")
    assert load_guard(path).state_dict().keys() == GuardNetwork().state_dict().keys()


def kind_of(page: Grey) -> str | None:
    return unlike_text(page, *at_scale(page, (DPI, DPI)))


def test_text_is_text_however_grey() -> None:
    rng = np.random.default_rng(3)
    for seed in range(4):
        coloured = render_page(np.random.default_rng(seed), 480, 400, DPI, colour=True, pictures=False)
        stained = coloured * np.linspace(0.65, 0.95, 400)[None, :, None]
        assert kind_of(stained.astype(np.uint8)) is None
        noise = rng.normal(0, 6, (480, 400))
        assert kind_of(np.clip(grey_paper(text(seed)) + noise, 0, 255).astype(np.uint8)) is None
    assert kind_of(np.full((480, 400), 255, np.uint8)) is None
    assert kind_of(np.full((1, 1), 255, np.uint8)) is None


def test_what_is_no_text_is_recognised() -> None:
    assert kind_of(255 - text(1)) == "inverted"
    tones = np.clip(0.55 + 0.5 * fractal_noise(np.random.default_rng(1), 480, 400, 60, 6), 0, 1)
    assert kind_of((tones * 255).astype(np.uint8)) == "picture"
    areas = np.digitize(fractal_noise(np.random.default_rng(1), 480, 400, 90, 4), [-0.4, 0, 0.4])
    tints = np.asarray([[170, 205, 235], [205, 230, 190], [240, 235, 170], [235, 205, 170]], np.uint8)
    map_ = tints[areas]
    assert kind_of(map_) == "colour_plate"
    assert unlike_text(map_.astype(np.uint16) * 257, *at_scale(map_, (DPI, DPI))) == "colour_plate"


def test_the_guard_judges_as_it_was_taught(guard: Guard) -> None:
    """On whole numbers as cells, its convolutions in one pass, it says what it said in training."""
    scan, cleaned = grey_paper(text(2)), text(2)
    scan[360:] = 204 - (204 - scan[360:]) // 3  # paler than the writing
    cleaned[120:240], cleaned[360:] = 255, 255
    cleaned[:120] = np.minimum(cleaned[:120], text(3)[:120])
    pages = torch.from_numpy(np.stack([scan, cleaned]))[None] / 255
    with torch.no_grad():
        expected = torch.sigmoid(load_guard(GUARD)(pages))[0].numpy()
    before, after = strokes(scan), strokes(cleaned)
    changed = strokes_changed(before, after)
    gone = went(darkness(scan, before), darkness(cleaned, after))
    dark = (gone.shares > PALE) & gone.beside
    assert changed.any((1, 2)).all() and changed[0][dark].any() and changed[0][~dark].any()
    expected[0] = surer(expected[0], gone)
    assert np.abs(guard.compare(scan, cleaned).cells - expected * changed).max() < 0.03
