"""A page's figures: right where they are known by construction; more of the damage is more of the measure."""

from collections.abc import Callable
from dataclasses import astuple, replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.drawing.pages import render_page
from model.judging.condition import at_scale, condition
from model.judging.figures import Condition

Page = NDArray[np.uint8]


def as_page(light: NDArray[np.floating[Any]]) -> Page:
    return np.asarray(np.clip(light * 255 + 0.5, 0, 255), np.uint8)


def blank(level: float = 0.8) -> NDArray[np.float64]:
    return np.full((600, 500), level)


def ruled(ink: float = 0.2, paper: float = 0.8) -> NDArray[np.float64]:
    """Bars of 10 pixels on paper, a tenth of the page's width each 100."""
    page = blank(paper)
    for left in range(40, 500, 100):
        page[:, left : left + 10] = ink
    return page


def test_blank_paper_is_but_light() -> None:
    found = condition(as_page(blank(0.8)))
    assert found == Condition(pytest.approx(0.8, abs=0.003), 0, 0, 0, None, 0, 0)


def test_bars_of_ink() -> None:
    found = condition(as_page(ruled(0.2, 0.8)))
    assert found.paper_level == pytest.approx(0.8, abs=0.003) and found.unevenness == 0 and found.noise == 0
    assert found.contrast == pytest.approx(0.75, abs=0.01), "ink takes three quarters of the paper's light"
    assert found.sharpness == pytest.approx(1, abs=0.02), "a step"
    assert found.ink_coverage == pytest.approx(0.1, abs=0.002) and found.dirt == 0


@pytest.mark.parametrize("sigma", [1.0, 1.6, 2.5])
def test_the_sharpness_of_a_blurred_step(sigma: float) -> None:
    page = blank(0.9)
    page[:, 230:270] = 0.1
    blurred = cv2.GaussianBlur(page, (0, 0), sigma)
    assert condition(as_page(blurred)).sharpness == pytest.approx(1 / (sigma * np.sqrt(2 * np.pi)), rel=0.12)


@pytest.mark.parametrize("sigma", [0.005, 0.02, 0.04])
def test_the_noise_of_grainy_paper(sigma: float) -> None:
    grain = np.random.default_rng(0).normal(0, sigma, blank().shape)
    found = condition(as_page(ruled(0.1, 0.7) + grain))
    assert found.noise == pytest.approx(sigma, rel=0.15)
    assert found.contrast == pytest.approx(0.86, abs=0.05)


def test_light_that_falls_off_is_uneven() -> None:
    shade = np.linspace(0.9, 0.5, 500)[None, :]
    found = condition(as_page(ruled(0.1, 1.0) * shade))
    assert found.unevenness == pytest.approx(0.9 * 0.4, abs=0.04), "5th to 95th percentile of a ramp of 0.4"
    assert found.paper_level == pytest.approx(0.7, abs=0.02)
    assert found.ink_coverage == pytest.approx(0.1, abs=0.005), "ink is told from the paper that is near"


def test_a_stain_is_dirt_and_ink_is_none() -> None:
    page = ruled(0.1, 1.0)
    page[100:200, 60:120] = np.minimum(page[100:200, 60:120], 0.85)
    stained = 100 * 60 - 100 * 0  # the stain lies between two bars
    found = condition(as_page(page))
    free = page.size - 5 * 600 * 14  # what is within two pixels of ink counts for nothing
    assert found.dirt == pytest.approx(0.15 * stained / free, rel=0.12)
    assert condition(as_page(ruled(0.1, 1.0))).dirt == 0


def specks(page: NDArray[np.float64], amount: float) -> NDArray[np.float64]:
    hit = np.random.default_rng(3).random(page.shape) < 0.02 * amount
    return np.where(hit, page * 0.88, page)


def stained(page: NDArray[np.float64], amount: float) -> NDArray[np.float64]:
    rows, columns = np.mgrid[: page.shape[0], : page.shape[1]]
    ring = np.exp(-(((rows - 300) ** 2 + (columns - 250) ** 2) / 120**2))
    return np.asarray(page * (1 - 0.4 * amount * ring))


DAMAGE: dict[str, tuple[str, Callable[[NDArray[np.float64], float], NDArray[np.float64]], int]] = {
    "grain": ("noise", lambda p, a: p + np.random.default_rng(1).normal(0, 0.03 * a, p.shape), 1),
    "grey paper": ("paper_level", lambda p, a: p * (1 - 0.4 * a), -1),
    "a falling light": ("unevenness", lambda p, a: p * np.linspace(1, 1 - 0.4 * a, p.shape[1])[None], 1),
    "faded ink": ("contrast", lambda p, a: 1 - (1 - p) * (1 - 0.7 * a), -1),
    "a blur": ("sharpness", lambda p, a: cv2.GaussianBlur(p, (0, 0), 0.4 + 1.5 * a), -1),
    "stains": ("dirt", stained, 1),
    "specks": ("dirt", specks, 1),
    "thicker strokes": ("ink_coverage", lambda p, a: cv2.erode(p, np.ones((1, 1 + round(4 * a)))), 1),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_more_of_the_damage_is_more_of_the_measure(name: str) -> None:
    measure, harm, direction = DAMAGE[name]
    page = render_page(np.random.default_rng(4), 900, 700, 150, pictures=False).astype(np.float64) / 255
    if page.ndim == 3:
        page = page.mean(2)
    figures = [getattr(condition(as_page(harm(page, amount))), measure) for amount in (0.1, 0.4, 0.7, 1.0)]
    steps = np.diff(figures) * direction
    assert (steps > 0).all(), figures


@pytest.mark.parametrize("dpi", [300, 600])
def test_a_finer_scan_of_one_page_has_the_same_figures(dpi: int) -> None:
    coarse = as_page(cv2.GaussianBlur(stained(ruled(), 0.5), (0, 0), 1.0))
    times = dpi // 150
    fine = coarse.repeat(times, 0).repeat(times, 1)
    grey, scale = at_scale(fine, (dpi, dpi))
    assert scale == 150 and condition(grey, scale) == condition(coarse)


def test_pages_of_any_kind_come_to_grey_at_scale() -> None:
    page = as_page(ruled())
    colour = np.repeat(page[..., None], 3, axis=2)
    for one in (page, colour, page.astype(np.uint16) * 257, colour.astype(np.uint16) * 257):
        grey, scale = at_scale(one, (150, 150))
        assert grey.dtype == np.uint8 and np.array_equal(grey, page) and scale == 150
    fax, scale = at_scale(page, (204, 98))
    assert scale == 98 and fax.shape == (600, round(500 * 98 / 204)), "square pixels again"
    assert at_scale(page, (72, 72))[1] == 72 and at_scale(page, (72, 72))[0] is page


@pytest.mark.parametrize("dpi", [None, (0.0, 0.0), (1e9, 1e9), (float("nan"), 300.0)])
def test_a_page_without_a_sensible_resolution_is_judged_as_a4(dpi: tuple[float, float] | None) -> None:
    grey, scale = at_scale(np.full((2340, 1654), 200, np.uint8), dpi)
    assert scale == 150 and abs(grey.shape[0] - 1755) <= 1 or dpi is not None


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (3, 2), (14, 15), (40, 16)])
@pytest.mark.parametrize("level", [0, 3, 255])
def test_tiny_and_extreme_pages_are_judged_too(shape: tuple[int, int], level: int) -> None:
    found = condition(np.full(shape, level, np.uint8))
    assert found.paper_level == pytest.approx(level / 255)
    assert replace(found, paper_level=0, dirt=0) == Condition(0, 0, 0, 0, None, 0, 0)


def test_how_many_threads_share_the_work_makes_no_difference() -> None:
    rng = np.random.default_rng(9)
    page = as_page(stained(ruled(), 1.0) + rng.normal(0, 0.03, blank().shape))
    threads = torch.get_num_threads()
    found = set()
    for number in (1, 2, 3):
        torch.set_num_threads(number)
        found.add(condition(page))
    torch.set_num_threads(threads)
    assert len(found) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_finds_the_same() -> None:
    page = render_page(np.random.default_rng(4), 900, 700, 150, pictures=False)
    here, there = (astuple(condition(page, device=torch.device(device))) for device in ("cpu", "cuda"))
    assert there == pytest.approx(here, abs=0.004)
