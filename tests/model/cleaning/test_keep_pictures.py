"""Pictures stay as they are; what is no rectangle with sharp edges, or has the tone of paper, is cleaned."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.cleaning.cleaner import load_cleaner
from model.cleaning.keep_pictures import keep_pictures
from model.cleaning.page_view import PageView
from model.drawing.photographs import photograph
from model.page import Page
from model.shipped import CLEANER

HEIGHT, WIDTH, CELL = 600, 480, 2
PICTURE = np.s_[120:360, 80:300]


def kept(page: Page, cleaned: Page) -> Page:
    batch = [
        np.ascontiguousarray(each[None, ..., None] if each.ndim == 2 else each[None])
        for each in (page, cleaned)
    ]
    scan, result = (torch.from_numpy(each.copy()) for each in batch)
    return keep_pictures(PageView(scan, CELL), result).numpy().reshape(page.shape)


def text() -> Page:
    """Paper, a little uneven, with lines of writing."""
    rng = np.random.default_rng(1)
    page = rng.integers(215, 225, (HEIGHT, WIDTH)).astype(np.uint8)
    for line in range(20, HEIGHT, 24):
        page[line : line + 3, 20:-20] = 30
        page[line : line + 12, 20:-20:9] = 30
    return page


def with_tones(tones: NDArray[np.float64] | float, where: tuple[slice, slice] = PICTURE) -> Page:
    page = text()
    page[where] = np.broadcast_to(np.asarray(tones) * 220, page[where].shape)
    return page


def picture() -> NDArray[np.float64]:
    """A dark one, lit from the left."""
    return np.broadcast_to(np.linspace(0.2, 0.7, 220), (240, 220))


def turned(page: Page, degrees: float) -> Page:
    turn = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), degrees, 1)
    return np.asarray(cv2.warpAffine(page, turn, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def test_a_picture_is_put_back_and_no_more() -> None:
    page = with_tones(picture())
    result = kept(page, np.full_like(page, 255))
    assert np.array_equal(result[PICTURE], page[PICTURE])
    around = np.ones(page.shape, bool)
    around[PICTURE[0].start - 8 : PICTURE[0].stop + 8, PICTURE[1].start - 8 : PICTURE[1].stop + 8] = False
    assert (result[around] == 255).all(), "further than two squares away nothing changes"


@pytest.mark.parametrize("degrees", [-4, 1.5, 7])
def test_a_picture_may_lie_askew(degrees: float) -> None:
    page = turned(with_tones(picture()), degrees)
    inside = turned(with_tones(0.0, np.s_[128:352, 88:292]), degrees) == 0
    result = kept(page, np.full_like(page, 255))
    assert np.mean(result[inside] == page[inside]) > 0.999


def test_so_is_a_dark_field_with_light_writing() -> None:
    tones = np.full((240, 220), 0.2)
    tones[100:104, 20:200] = 0.9
    tones[100:120, 20:200:12] = 0.9
    page = with_tones(tones)
    assert np.array_equal(kept(page, np.full_like(page, 255))[PICTURE], page[PICTURE])


def test_of_a_picture_that_fades_to_white_the_dark_part_stays() -> None:
    rows, columns = np.mgrid[:240, :220] / 240
    page = with_tones(np.clip(0.1 + 0.8 * (rows + 0.9 - columns), 0, 1))
    result = kept(page, np.full_like(page, 255))
    dark = np.zeros(page.shape, bool)
    dark[PICTURE] = page[PICTURE] < 180
    assert 0.2 < np.mean(dark[PICTURE]) < 0.5, "much of it is as light as paper"
    assert np.array_equal(result[dark], page[dark])


def test_so_does_a_picture_that_a_stain_touches() -> None:
    page = _stain(260, 130)
    page[PICTURE] = with_tones(picture())[PICTURE]
    assert np.array_equal(kept(page, np.full_like(page, 255))[PICTURE], page[PICTURE])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_each_page_of_a_batch_is_looked_at(dtype: type[np.uint8 | np.uint16]) -> None:
    factor = np.iinfo(dtype).max // 255
    pages = np.stack([text(), with_tones(picture())])[..., None].astype(dtype) * dtype(factor)
    colour = np.repeat(pages, 3, axis=3)
    cleaned = torch.from_numpy(np.full_like(colour, np.iinfo(dtype).max))
    result = keep_pictures(PageView(torch.from_numpy(colour), CELL), cleaned).numpy()
    assert result.dtype == dtype
    assert (result[0] == np.iinfo(dtype).max).all()
    assert np.array_equal(result[1][PICTURE], colour[1][PICTURE])


def _stain(row: int = 240, column: int = 190) -> Page:
    page = text()
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    page[((rows - row) / 120) ** 2 + ((columns - column) / 110) ** 2 < 1] //= 3
    return page


def _cut_stain() -> Page:
    """A stain that another sheet kept from half of the page."""
    page = _stain()
    page[240:] = text()[240:]
    return page


def _soft() -> Page:
    """A rectangle that fades out over 2 cm."""
    return np.asarray(cv2.GaussianBlur(with_tones(picture()), (0, 0), 40), np.uint8)


def _tanned() -> Page:
    """A fold kept the light from half of it; the tan fades out over the other folds."""
    page = text().astype(np.float64)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    tan = 1 - 0.5 * np.clip(np.minimum((WIDTH - 80 - columns) / 80, (HEIGHT - 80 - rows) / 80), 0, 1)
    return np.where((rows >= 60) & (columns >= 60), page * tan, page).astype(np.uint8)


def _covered_stain() -> Page:
    page = _stain()
    page[240:, 190:] = text()[240:, 190:]
    return page


CLEANED: dict[str, Callable[[], Page]] = {
    "text": text,
    "a round stain": _stain,
    "a stain with one straight edge": _cut_stain,
    "a stain with another sheet's corner on it": _covered_stain,
    "a folded sheet, tanned up to a corner": _tanned,
    "the shade of two folds that cross": lambda: with_tones(0.8, np.s_[200:-20, 200:-20]),
    "a shade without edges": _soft,
    "a shadow from the page's edge": lambda: with_tones(0.3, np.s_[:, 400:]),
    "paper of one tone": lambda: with_tones(0.8),
    "something small": lambda: with_tones(0.1, np.s_[100:150, 100:150]),
    "a brown page on a white lid": lambda: with_tones(np.linspace(0.5, 0.8, 460), np.s_[12:-12, 12:-8]),
}


@pytest.mark.parametrize("what", CLEANED)
def test_the_rest_is_cleaned(what: str) -> None:
    page = CLEANED[what]()
    assert (kept(page, np.full_like(page, 255)) == 255).all()


def test_the_cleaner_leaves_a_photograph_alone() -> None:
    page = text()
    tones = photograph(np.random.default_rng(13), 240, 220)
    page[PICTURE] = 60 + 120 * tones
    assert np.array_equal(load_cleaner(CLEANER, "cpu").clean([page])[0][PICTURE], page[PICTURE])
