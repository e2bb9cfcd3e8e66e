"""Writing is wide by its strokes in cells, whatever its darkness, its paper and its resolution."""

import cv2
import numpy as np
import pytest
import torch

from model.cleaning.page_view import PageView
from model.cleaning.stroke_width import wide_writing
from model.page import Pixels

SIDE = 480


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def written(stroke: int, ink: int = 90, paper: int = 190, seed: int = 5) -> Pixels:
    """Loops by a pen so many pixels wide, on paper with some grain."""
    rng = np.random.default_rng(seed)
    page = np.full((SIDE, SIDE), paper, np.uint8)
    for top in range(100, SIDE - 80, 120):
        x = np.arange(60, SIDE - 60)
        points = np.stack([x, top + 40 * np.sin(x / 18)], 1).astype(np.int32)
        cv2.polylines(page, [points], False, ink, stroke)
    return np.clip(page + rng.normal(0, 3, page.shape), 0, 255).astype(np.uint8)


def wide(page: Pixels, cell: int = 2) -> bool:
    answers = wide_writing(PageView(torch.from_numpy(page.reshape(1, *page.shape[:2], -1)), cell))
    assert len(answers) == 1
    return answers[0]


def test_wide_strokes_are_wide_for_cells_that_are_small_beside_them() -> None:
    pens = (2, 4, 6, 14, 18)
    assert [wide(written(pen)) for pen in pens] == [False, False, False, True, True]
    assert [wide(written(pen), 4) for pen in pens] == [False, False, False, False, True]
    assert not any(wide(written(pen), 8) for pen in pens)


@pytest.mark.parametrize("times", [2, 4])
def test_an_enlarged_page_is_wide_in_enlarged_cells(times: int) -> None:
    for pen in (4, 14):
        page = written(pen)
        enlarged = cv2.resize(page, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)
        assert wide(enlarged, 2 * times) == wide(page)  # type: ignore[arg-type]


def test_faint_writing_is_as_wide_as_dark_one() -> None:
    assert wide(written(14, ink=20, paper=250)) and wide(written(14, ink=150, paper=190))
    assert not wide(written(4, ink=150, paper=190))


def test_small_print_beside_a_title_is_seen_in_small_cells() -> None:
    page = written(16)
    page[SIDE // 2 :] = written(3)[SIDE // 2 :]
    assert not wide(page)
    assert wide(written(16))


def fine_print(ink: int) -> Pixels:
    """Lines of small letters, 2 pixels wide."""
    page = np.full((SIDE, SIDE), 225, np.uint8)
    for top in range(80, SIDE - 40, 20):
        page[top : top + 2, 40:-40] = page[top : top + 10, 40:-40:6] = page[top : top + 10, 41:-40:6] = ink
    return page


def test_a_few_dark_wide_marks_make_no_grain_of_pale_print() -> None:
    holes = fine_print(165)
    for row in (SIDE // 4, 3 * SIDE // 4):
        cv2.circle(holes, (18, row), 14, 25, -1)
    title = fine_print(150)
    title[10:70] = np.where(written(16, ink=20, paper=225)[70:130] < 120, 20, 225)
    for page in (holes, title):
        assert not wide(page) and not wide(page, 4)


def test_grey_ink_on_yellow_paper_is_ink() -> None:
    ink = written(24, ink=0, paper=255)[..., None] < 128
    assert wide(np.where(ink, np.uint8([120, 120, 120]), np.uint8([200, 180, 120])))


def test_a_black_border_is_no_ink() -> None:
    for edge in (np.s_[:, :40], np.s_[:, -40:], np.s_[:40], np.s_[-40:], np.s_[:, -4:], np.s_[:, :4]):
        page, blank = written(14, ink=150), np.full((SIDE, SIDE), 220, np.uint8)
        page[edge] = blank[edge] = 0
        assert wide(page) and not wide(blank)


def test_a_page_without_writing_has_no_wide_one() -> None:
    grain = np.random.default_rng(1).normal(200, 6, (SIDE, SIDE)).astype(np.uint8)
    for page in (np.full((SIDE, SIDE), 255, np.uint8), np.zeros((40, 30, 3), np.uint8), grain):
        assert not wide(page)


def test_depth_colour_and_company_make_no_difference() -> None:
    pages = [written(14), written(4)]
    for page in pages:
        assert wide(page.astype(np.uint16) * 257) == wide(page)
        assert wide(np.repeat(page[..., None], 3, 2)) == wide(page)
    assert wide_writing(PageView(torch.from_numpy(np.stack(pages)[..., None]), 2)) == [True, False]
