"""What is left of a stain goes on going; what a network left as it was, writing and tinted fields, stays."""

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.cleaning.lift_stains import MORE, lift_stains
from model.cleaning.page_view import PageView
from model.page import Page

HEIGHT, WIDTH, CELL = 400, 480, 2
STAIN = np.s_[120:280, 140:340]
INSIDE = np.s_[140:260, 160:320]


def writing(thick: int = 3) -> NDArray[np.bool_]:
    """Lines of letters, of strokes so thick."""
    ink = np.zeros((HEIGHT, WIDTH), bool)
    for top in range(20, HEIGHT - 30, 10 * thick):
        for left in range(20, WIDTH - 30, 6 * thick):
            ink[top : top + 6 * thick, left : left + thick] = True
            ink[top : top + thick, left : left + 4 * thick] = True
    return ink


def page(paper: float, stain: float, ink: NDArray[np.bool_], dark: float = 20) -> Page:
    light = np.full((HEIGHT, WIDTH), float(paper))
    light[STAIN] = stain
    return np.where(ink, dark, cv2.GaussianBlur(light, (0, 0), 3)).astype(np.uint8)


def finished(scan: Page, cleaned: Page) -> Page:
    scans, results = (torch.from_numpy(one.reshape(1, HEIGHT, WIDTH, -1).copy()) for one in (scan, cleaned))
    return lift_stains(PageView(scans, CELL), results).numpy().reshape(cleaned.shape)


def test_what_is_left_of_a_stain_goes() -> None:
    ink = writing()
    result = finished(page(200, 100, ink), page(255, 200, ink))
    assert (result[INSIDE][~ink[INSIDE]] >= 254).all()
    assert (result[INSIDE][ink[INSIDE]] < 40).all(), "writing in it stays"
    assert np.array_equal(result[:90], page(255, 200, ink)[:90]), "the rest is as it was"


def test_no_more_goes_than_so_many_times_what_went() -> None:
    ink = writing()
    result = finished(page(255, 100, ink), page(255, 130, ink))
    paper = result[INSIDE][~ink[INSIDE]]
    assert np.allclose(paper, 130 + MORE * 30, atol=2)


@pytest.mark.parametrize("paper", [255, 190])
def test_a_page_or_a_field_left_as_it_was_stays(paper: int) -> None:
    ink = writing()
    scan = page(paper, 0.7 * paper, ink)
    assert np.array_equal(finished(scan, scan), scan)
    cleaned = page(255, 0.7 * 255, ink)
    change = finished(scan, cleaned).astype(int) - cleaned
    assert change.max() <= MORE, "as dark beside its paper as it was, but for rounding"


@pytest.mark.parametrize("thick", [3, 8, 14])
def test_faint_writing_is_no_residue_however_thick(thick: int) -> None:
    """The network made it lighter, beside its paper."""
    ink = writing(thick)
    scan, cleaned = page(230, 230, ink, dark=130), page(255, 255, ink, dark=120)
    lighter = cleaned.copy()
    lighter[200:][ink[200:]] = 190
    assert np.array_equal(finished(scan, lighter), lighter)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colours_and_sixteen_bits(dtype: type[np.uint8 | np.uint16]) -> None:
    factor, ink = np.iinfo(dtype).max // 255, writing()
    scan, cleaned = (
        np.repeat(one[..., None], 3, axis=2).astype(dtype) * dtype(factor)
        for one in (page(200, 100, ink), page(255, 200, ink))
    )
    cleaned[..., 0] = np.iinfo(dtype).max  # a reddish cloud
    result = finished(scan, cleaned)
    assert result.dtype == dtype
    assert (result[INSIDE][~ink[INSIDE]] >= 254 * factor).all()
    assert (result >= cleaned).all()


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 5, 3), (2, 9, 401, 1), (1, 65, 131, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_no_pixel_becomes_darker_on_pages_of_any_size(shape: tuple[int, ...], dtype: type) -> None:
    rng, white = np.random.default_rng(7), np.iinfo(dtype).max
    scans, cleaned = (torch.from_numpy(rng.integers(0, white, shape).astype(dtype)) for _ in range(2))
    before = cleaned.clone()
    assert bool((lift_stains(PageView(scans, CELL), cleaned).int() >= before.int()).all())
    assert torch.equal(lift_stains(PageView(scans, CELL), scans.clone()), scans)
