"""Beside dark writing pale marks don't become dark, and they go where most of them went."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.cleaning.page_view import PageView
from model.cleaning.restore_pale import restore_pale
from model.drawing.pages import render_page
from model.page import Page

CELL = 2
BLOTCH = np.s_[100:115, 60:75]


def scan(writing: int, blotch: int, paper: int = 180) -> Page:
    """Lines of writing, strokes 4 pixels wide, and a blotch far from them."""
    page = np.full((160, 200), paper, np.uint8)
    for line in range(10, 70, 16):
        page[line : line + 4, 10:190] = writing
        page[line : line + 12, 10:190:12] = writing
    page[BLOTCH] = blotch
    return page


def after_all(pages: torch.Tensor, cleaned: torch.Tensor, cell: int = CELL) -> torch.Tensor:
    return restore_pale(PageView(pages, cell), cleaned)


def after(page: Page, cleaned: Page) -> Page:
    tensors = (torch.from_numpy(each.copy())[None, ..., None] for each in (page, cleaned))
    return after_all(*tensors)[0, ..., 0].numpy()


def test_a_pale_blotch_keeps_the_contrast_it_had() -> None:
    result = after(scan(20, 120), scan(0, 60, 255))
    assert abs(int(result[BLOTCH].mean()) - 255 * 120 / 180) < 2
    result[BLOTCH] = 60
    assert np.array_equal(result, scan(0, 60, 255)), "writing and paper are as they were cleaned"


STANDS = {
    "a blotch that was taken out": (scan(20, 120), scan(0, 255, 255)),
    "faint writing that became dark, and what is as faint": (scan(120, 120), scan(0, 0, 255)),
    "what the network did where it hesitated": (scan(60, 130), scan(70, 70, 255)),
    "pencil beside print": (scan(20, 120), scan(0, 170, 255)),
}


@pytest.mark.parametrize("what", STANDS)
def test_the_networks_word_stands(what: str) -> None:
    page, cleaned = STANDS[what]
    assert np.array_equal(after(page, cleaned), cleaned)


def test_a_shaded_field_that_cleaning_left_alone_stays() -> None:
    page = scan(20, 235, 255)
    page[95:150, 20:180] = np.minimum(page[95:150, 20:180], 200)
    page[110:114, 30:170] = 150
    cleaned = page.copy()
    cleaned[:90] = np.where(page[:90] < 255, 0, 255)
    assert np.array_equal(after(page, cleaned)[95:150], page[95:150])


def textured(paper: int, kept: Callable[[int], bool] = lambda _: True) -> Page:
    """Writing, a texture of pale marks far below it, and a line of pencil farther below."""
    page = np.full((400, 300), paper, np.uint8)
    writing = scan(20 if paper < 255 else 0, paper, paper)
    page[:80, :200] = writing[:80]
    for number in range(180):
        row, column = 120 + number // 20 * 10, 10 + number % 20 * 14
        if kept(number):
            page[row : row + 4, column : column + 4] = paper * 0.6
    page[380:384, 10:290] = paper * 0.6
    return page


def marks(page: Page) -> Page:
    return page[110:230]


def test_where_most_pale_marks_went_the_rest_goes() -> None:
    result = after(textured(180), textured(255, lambda number: number % 6 == 0))
    assert marks(result).min() == 255, "texture is no writing"
    assert np.array_equal(result[:80], textured(255)[:80]), "writing is none of them"
    assert np.array_equal(result[380:384], textured(255)[380:384]), "pencil, too: nothing went around it"


@pytest.mark.parametrize("gone", [0, 4])
def test_where_few_pale_marks_went_the_rest_stays(gone: int) -> None:
    cleaned = textured(255, lambda number: number % 10 >= gone)
    assert np.array_equal(after(textured(180), cleaned), cleaned)


def test_grain_counts_for_nothing() -> None:
    page, cleaned = (textured(paper, lambda number: number % 6 == 0) for paper in (180, 255))
    page[::4, ::4] = np.minimum(page[::4, ::4], 150)
    lighter = after(page, cleaned).astype(int) - cleaned
    assert lighter.max() <= 3, "all of the grain went, no mark did"


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (9, 400), (65, 131)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_no_pixel_becomes_darker_and_a_page_left_alone_stays(shape: tuple[int, int], dtype: type) -> None:
    rng, white = np.random.default_rng(7), np.iinfo(dtype).max
    pages, cleaned = (
        torch.from_numpy(rng.integers(0, white, (2, *shape, 3)).astype(dtype)) for _ in range(2)
    )
    assert bool((after_all(pages, cleaned).int() >= cleaned.int()).all())
    assert torch.equal(after_all(pages, pages), pages)


@pytest.mark.parametrize("cell", [2, 4])
def test_a_drawn_page_left_alone_stays(cell: int) -> None:
    page = torch.from_numpy(render_page(np.random.default_rng(3), 700, 500, 100, colour=True))[None]
    assert torch.equal(after_all(page, page, cell), page)


def test_the_other_pages_of_a_batch_make_no_difference() -> None:
    def batch(*pages: NDArray[np.uint8]) -> torch.Tensor:
        return torch.from_numpy(np.stack(pages))[..., None]

    scans, cleaned = (scan(20, 120), scan(120, 120)), (scan(0, 60, 255), scan(0, 0, 255))
    together = after_all(batch(*scans), batch(*cleaned))
    for i in range(2):
        assert torch.equal(together[i : i + 1], after_all(batch(scans[i]), batch(cleaned[i])))
