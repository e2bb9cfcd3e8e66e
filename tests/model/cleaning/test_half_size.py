"""A page is cleaned as its half was: what was left stays to the bit, what changed keeps its edges."""

import cv2
import numpy as np
import pytest

from model.cleaning import half_size as halves
from model.cleaning.half_size import carried, halved
from model.page import Pixels


def some_page(*shape: int, dtype: type = np.uint8) -> Pixels:
    return np.random.default_rng(4).integers(0, int(np.iinfo(dtype).max) + 1, shape).astype(dtype)


SIZES = [(1, 1), (2, 3), (41, 30), (64, 64, 3), (33, 51, 3)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", SIZES)
def test_what_cleaning_left_as_it_was_stays_so(size: tuple[int, ...], dtype: type) -> None:
    page = some_page(*size, dtype=dtype)
    half = halved(page)
    assert half.shape == (-(-size[0] // 2), -(-size[1] // 2), *size[2:]) and half.dtype == dtype
    result = carried(page, half, half.copy())
    assert np.array_equal(result, page) and result.dtype == dtype


def test_half_a_page_is_the_mean_of_its_squares() -> None:
    page = np.array([[10, 20, 7], [30, 40, 9], [50, 70, 5]], np.uint8)
    assert halved(page).tolist() == [[25, 8], [60, 5]]


def test_strips_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    page = some_page(150, 40, 3)
    half = halved(page)
    cleaned = 255 - half
    whole = carried(page, half, cleaned)
    for samples in (1, 7 * half[0].size):
        monkeypatch.setattr(halves, "_SAMPLES", samples)
        assert np.array_equal(carried(page, half, cleaned), whole)


def test_pages_may_be_turned_views() -> None:
    page = some_page(41, 30, 3)
    for view in (np.rot90(page), page.transpose(1, 0, 2), page[::-1, ::-2]):
        half = halved(view)
        assert np.array_equal(half, halved(view.copy()))
        assert np.array_equal(carried(view, half, half), view)


def test_paper_becomes_white_and_edges_stay_sharp() -> None:
    page = np.full((80, 80), 180, np.uint8)
    page[:, 31:50] = 100
    scan = (page + np.random.default_rng(2).integers(-4, 5, page.shape)).astype(np.uint8)
    half = halved(scan)
    cleaned = np.where(half > 150, 255, 20).astype(np.uint8)
    result = carried(scan, half, cleaned)
    assert result[:, :28].min() == 255 and result[:, 53:].min() == 255, "without its grain"
    assert np.abs(result[:, 33:48].astype(int) - 20).max() <= 8
    step = result[:, 31].astype(int) - result[:, 30]
    assert step.mean() < -70, "the scan's own edge, and no smoother one"
    blurred = cv2.resize(cleaned, (80, 80), interpolation=cv2.INTER_LINEAR)
    assert step.mean() < 1.2 * (blurred[:, 31].astype(int) - blurred[:, 30]).mean()
