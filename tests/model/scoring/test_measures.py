"""Measures against values worked out by hand, and published ones."""

import math

import cv2
import numpy as np
import pytest

from model.judging.ssim import ssim
from model.page import Page
from model.scoring.measures import BitonalScore, Mask, psnr, rmse, score_bitonal, skeleton

WEIGHTS = 4 + 4 / math.sqrt(2) + 4 / 2 + 8 / math.sqrt(5) + 4 / math.sqrt(8)
"""The sum of 1 / distance over a 5x5 window."""


def grey(level: int, *shape: int) -> Page:
    return np.full(shape or (20, 20), level, np.uint8)


def drawn(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (16, 16)) -> Page:
    """A white page with black boxes: top, left, height, width."""
    page = grey(255, *size)
    for top, left, height, width in boxes:
        page[top : top + height, left : left + width] = 0
    return page


def noise(seed: int, *shape: int) -> Page:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_rmse_of_known_differences() -> None:
    assert rmse(grey(0), grey(255)) == 1
    assert rmse(grey(7), grey(7)) == 0
    assert rmse(grey(51), grey(0)) == pytest.approx(0.2)
    half = grey(0)
    half[:10] = 255
    assert rmse(half, grey(0)) == pytest.approx(0.5**0.5)
    assert rmse(grey(51, 9, 9, 3), grey(0, 9, 9, 3)) == pytest.approx(0.2)


def test_colour_is_compared_with_grey_by_its_luma() -> None:
    red = grey(0, 30, 30, 3)
    red[..., 0] = 255
    luma = 76  # 0.299 * 255
    assert rmse(red, grey(luma, 30, 30)) == rmse(grey(luma, 30, 30), red) == 0
    assert ssim(red, grey(luma, 30, 30)) == pytest.approx(1)
    assert score_bitonal(red, drawn((0, 0, 30, 30), size=(30, 30))).f_measure == 100


def test_pages_of_other_sizes_are_refused() -> None:
    for measure in (rmse, ssim, score_bitonal):
        with pytest.raises(ValueError, match=r"\(20, 20\) and \(1, 20\)"):
            measure(grey(0), grey(0, 1, 20))


def test_psnr_of_errors() -> None:
    assert psnr(1) == 0 and psnr(0) == math.inf
    assert psnr(0.1) == pytest.approx(20) and psnr(10 / 255) == pytest.approx(28.1308, abs=1e-4)


def test_f_measure_of_dibcos_own_example() -> None:
    """27 pixels rightly found, 11 wrongly, 8 missed: F = 73.9 %, cut off (DIBCO 2009, "Evaluation")."""
    truth, result = grey(255, 10, 10), grey(255, 10, 10)
    truth.flat[: 27 + 8] = 0
    result.flat[:27] = 0
    result.flat[50 : 50 + 11] = 0
    score = score_bitonal(result, truth)
    assert score.f_measure == pytest.approx(200 * 27 / (2 * 27 + 11 + 8)) == pytest.approx(73.97, abs=0.01)
    assert score.psnr == pytest.approx(10 * math.log10(100 / 19))


def test_pages_are_cut_at_half_grey() -> None:
    truth = drawn((4, 4, 4, 4))
    assert score_bitonal(np.where(truth == 0, 127, 128).astype(np.uint8), truth).f_measure == 100
    assert score_bitonal(np.where(truth == 0, 128, 255).astype(np.uint8), truth).f_measure == 0


def test_a_perfect_page_and_blank_ones() -> None:
    truth = drawn((4, 4, 4, 4))
    assert score_bitonal(truth, truth) == BitonalScore(100, 100, math.inf, 0)
    assert score_bitonal(grey(255, 16, 16), grey(255, 16, 16)) == BitonalScore(100, 100, math.inf, 0)
    nothing_found = score_bitonal(grey(255, 16, 16), truth)
    assert (nothing_found.f_measure, nothing_found.pseudo_f) == (0, 0)
    dirt = score_bitonal(truth, grey(255, 16, 16))
    assert (dirt.f_measure, dirt.pseudo_f) == (0, 0) and math.isfinite(dirt.drd)


def test_pseudo_f_forgives_thin_strokes_but_not_broken_or_fat_ones() -> None:
    truth = drawn((6, 4, 3, 20), size=(16, 32))
    thin = score_bitonal(drawn((7, 4, 1, 20), size=(16, 32)), truth)
    assert thin.f_measure == pytest.approx(50) and thin.pseudo_f == 100
    broken = score_bitonal(drawn((6, 4, 3, 10), size=(16, 32)), truth)
    assert broken.f_measure == pytest.approx(200 / 3) and broken.pseudo_f < 75
    fat = score_bitonal(drawn((5, 4, 5, 20), size=(16, 32)), truth)
    assert fat.f_measure == fat.pseudo_f == pytest.approx(75)


def test_drd_of_single_pixels() -> None:
    truth = drawn((1, 1, 4, 4))  # one mixed block
    assert score_bitonal(drawn((1, 1, 4, 4), (12, 12, 1, 1)), truth).drd == pytest.approx(1, abs=1e-6)
    # A pixel erased from the middle of a line three pixels long: two neighbours at distance 1.
    line, gap = drawn((4, 2, 1, 3), size=(8, 8)), drawn((4, 2, 1, 1), (4, 4, 1, 1), size=(8, 8))
    assert score_bitonal(gap, line).drd == pytest.approx(2 / WEIGHTS, abs=1e-6)
    # In the page's corner what lies beyond the border costs nothing.
    corner = drawn((0, 0, 1, 2), size=(8, 8))
    assert score_bitonal(drawn((0, 1, 1, 1), size=(8, 8)), corner).drd == pytest.approx(1 / WEIGHTS, abs=1e-6)


def test_drd_is_shared_among_whole_mixed_blocks() -> None:
    """Of 8x8 pixels, all 64: ink in a block's last row and column makes it mixed, too."""
    truth = drawn(
        (7, 7, 1, 1), (7, 15, 1, 1), (17, 17, 1, 1), size=(20, 20)
    )  # the last lies in no whole block
    result = truth.copy()
    result[12, 12] = 0
    assert score_bitonal(result, truth).drd == pytest.approx(1 / 2, abs=1e-6)


def parts(mask: Mask) -> int:
    return int(cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0])


def test_skeletons_are_thin_and_hang_together() -> None:
    bar = skeleton(drawn((5, 2, 3, 12)) == 0)
    assert bar.sum(axis=0).max() == 1 and bar[6].sum() >= 10 and not bar[[5, 7]].any()
    page = cv2.GaussianBlur(noise(5, 120, 120), (0, 0), 4) < 126
    lines = skeleton(page)
    assert not (lines & ~page).any() and 0 < lines.sum() < page.sum() / 3
    assert parts(lines) == parts(page)
    ring = drawn((2, 2, 11, 11)) == 0
    ring[6:9, 6:9] = False
    thinned = skeleton(ring)
    assert cv2.connectedComponents((~thinned).astype(np.uint8), connectivity=4)[0] == 3  # label 0, out and in


def test_nothing_is_thinned_away() -> None:
    for box in ((5, 5, 1, 1), (5, 5, 2, 2), (5, 5, 1, 7), (0, 0, 16, 16)):
        assert parts(skeleton(drawn(box) == 0)) == 2
    assert not skeleton(np.zeros((5, 5), np.bool_)).any()
