"""Batches: seeded by step, of one mode and size, with truths that are marked for what they are."""

import numpy as np
import pytest

from model.drawing.variations import fainter, with_plate
from model.images import DataFault
from model.page import Page, Pair
from model.training.cleaner_samples import _LARGE, _SMALL, LARGE_SHARE, Batch, Patches, _ink_map, _View
from model.training.loss import Truth


def some_pair(name: str, grey: bool = False) -> Pair:
    rng = np.random.default_rng(len(name))
    clean = np.where(rng.random((300, 280)) < 0.1, 0, 255).astype(np.uint8)
    if grey:
        clean[:40] = 200
    return Pair(name, (clean * 0.8).astype(np.uint8), clean)


def equal(a: Batch, b: Batch) -> bool:
    parts = ((a.noisy, b.noisy), (a.clean, b.clean), (a.ink, b.ink), (a.truth, b.truth))
    return a.large == b.large and all(np.array_equal(x, y) for x, y in parts)


def test_seed_and_step_decide_a_batch() -> None:
    pages = [np.full((90, 500, 3), 255, np.uint8), some_pair("x").clean]
    data = Patches([some_pair("a")], pages, seed=5)
    first = list(data.batches(0, 12))
    again = [batch for step in range(12) for batch in data.batches(step, step + 1)]
    for one, two in zip(first, again, strict=True):
        assert equal(one, two)
        assert one.noisy.shape == one.clean.shape and one.noisy.shape[1] in (1, 3)
        assert (
            one.ink.shape == (len(one.noisy), 1, *one.noisy.shape[2:])
            and one.truth.shape == one.noisy.shape[:1]
        )
        assert one.noisy.dtype == one.clean.dtype == one.ink.dtype == np.uint8
    others = Patches([some_pair("a")], pages, seed=6).batches(0, 12)
    assert not any(equal(a, b) for a, b in zip(first, others, strict=True))
    assert {batch.noisy.shape[1] for batch in first} == {1, 3}, "grey and colour"


def test_so_many_batches_are_of_large_pages() -> None:
    data = Patches([], [some_pair("b").clean], 0)
    large = [batch.large for batch in data.batches(0, 60)]
    assert np.mean(large) == pytest.approx(LARGE_SHARE, abs=0.2)


def test_strokes_are_wider_on_large_pages() -> None:
    clean = np.full((600, 600), 255, np.uint8)
    clean[:, ::40] = clean[:, 1::40] = 0
    pair = Pair("rules", (clean * 0.8).astype(np.uint8), clean)

    def width(view: _View) -> float:
        samples = [
            Patches([pair], [], 0)._pair(np.random.default_rng(n), 256, False, view) for n in range(30)
        ]
        return float(np.median([(s.clean[128] == 0).sum() / max(1, _starts(s.clean[128])) for s in samples]))

    assert 1.5 * width(_SMALL) < width(_LARGE)


def _starts(row: Page) -> int:
    return int(np.count_nonzero(np.diff((row == 0).astype(int)) == 1))


def test_a_shaded_field_shows_an_edge() -> None:
    page = np.full((80, 90), 255, np.uint8)
    for seed in range(200):
        plate = with_plate(np.random.default_rng(seed), page)
        assert (plate == 255).any(), "nobody can tell a field that covers all from a stain"


def test_samples_are_turned_and_never_mirrored() -> None:
    noisy = np.arange(16, dtype=np.uint8).reshape(4, 4)
    shown = [
        Patches._finish(np.random.default_rng(seed), noisy, noisy, Truth.PAGE, False) for seed in range(30)
    ]
    assert all(np.array_equal(one.noisy, one.clean) for one in shown)
    assert {one.noisy.tobytes() for one in shown} == {noisy.tobytes(), np.rot90(noisy, 2).tobytes()}


def test_some_damaged_pages_bear_no_writing() -> None:
    written = np.zeros((300, 300), np.uint8)
    data = Patches([], [written], 0, spared=0)
    drawn = [data._damaged(np.random.default_rng(seed), 64, True, _SMALL) for seed in range(60)]
    blank = [one for one in drawn if (one.clean == 255).all()]
    assert 0 < len(blank) < 30, "dirt alone is dirt too"
    assert any(one.noisy.min() < 200 for one in blank)


def test_pairs_alone_and_pages_alone_will_do() -> None:
    for pairs, pages in (([some_pair("a")], []), ([], [some_pair("b").clean])):
        for batch in Patches(pairs, pages, 0).batches(0, 4):
            assert batch.noisy.shape == batch.clean.shape
    with pytest.raises(DataFault, match="nothing to train on"):
        Patches([], [], 0)


def test_truths_of_black_and_white_are_marked_and_stay_so() -> None:
    for grey in (False, True):
        for batch in Patches([some_pair("a", grey)], [], 0).batches(0, 6):
            assert (batch.truth == Truth.BITONAL).all() != grey
            assert (batch.truth == Truth.TONES).any() == (grey and not batch.large)
            assert grey or set(np.unique(batch.clean)) <= {0, 255}


def test_how_many_pairs_there_are_of_either_truth_makes_no_difference() -> None:
    many = [some_pair(f"{'x' * n}", grey=True) for n in range(1, 6)]
    data = Patches([some_pair("one"), *many], [], 0)
    rng = np.random.default_rng(0)
    for greys in (0, 0.2, 0.75):
        drawn = [not data._sheet(rng, greys).pair.bitonal for _ in range(1000)]
        assert np.mean(drawn) == pytest.approx(greys, abs=0.05)


def test_strokes_meet_the_paper_of_others() -> None:
    clean = np.full((300, 300), 255, np.uint8)
    clean[:, 150:154] = 0
    dark = Pair("dark", np.where(clean == 0, 20, 100).astype(np.uint8), clean)
    light = Pair("light", np.where(clean == 0, 20, 220).astype(np.uint8), clean)
    data = Patches([dark, light], [], 0)
    rng = np.random.default_rng(1)
    samples = [data._on_other_paper(rng, 200, False, _SMALL) for _ in range(12)]
    papers = [float(np.median(s.noisy[s.clean == 255])) for s in samples if (s.clean == 255).any()]
    assert min(papers) < 130 and max(papers) > 180, "both papers, whichever the strokes came from"
    for s in samples:
        ink = s.clean == 0
        if ink.sum() > 400:
            assert np.median(s.noisy[ink]) < np.median(s.noisy[~ink])


def test_the_ink_map_knows_ink_and_edges() -> None:
    page = np.full((9, 9), 255, np.uint8)
    assert not _ink_map(page).any()
    page[4, 4] = 0
    ink = _ink_map(page)
    assert ink[4, 4] == ink[3, 3] == 127 + 127 and not ink[0].any() and np.count_nonzero(ink) == 9


def test_faint_ink_is_paler_and_paper_stays_white() -> None:
    page = np.full((20, 20, 3), 255, np.uint8)
    page[5:10] = (0, 60, 120)
    for seed in range(20):
        faint = fainter(np.random.default_rng(seed), page)
        assert faint.dtype == np.uint8 and (faint[:5] == 255).all() and (faint[10:] == 255).all()
        left = (255 - faint[5:10].astype(float)) / (255 - page[5:10])
        assert left.min() > 0.24 and left.max() < 0.66 and np.ptp(left) < 0.01, "ink keeps its hue"
