"""Pages of our own: decided by the seed, of any size, with and without fonts."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from model.drawing import ink
from model.drawing import pages as render
from model.drawing.pages import render_page, system_fonts


@pytest.mark.parametrize("colour", [False, True])
def test_a_seed_decides_a_page(colour: bool) -> None:
    for seed in range(4):
        one = render_page(np.random.default_rng(seed), 300, 240, 100, colour=colour)
        two = render_page(np.random.default_rng(seed), 300, 240, 100, colour=colour)
        assert np.array_equal(one, two)
        assert one.shape == ((300, 240, 3) if colour else (300, 240)) and one.dtype == np.uint8
        assert one.max() == 255 and one.flags.writeable


def test_pages_are_mostly_paper_and_some_ink() -> None:
    pages = [render_page(np.random.default_rng(seed), 600, 480, 100) for seed in range(6)]
    assert all(0.5 < (page == 255).mean() < 1 for page in pages)
    assert all((page < 128).any() for page in pages)


SIZES = [(1, 1), (1, 500), (500, 1), (3, 7), (20, 3000), (2000, 20), (64, 64)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dpi", [72.0, 300.0])
def test_any_size_can_be_drawn(size: tuple[int, int], dpi: float) -> None:
    for seed in range(8):
        page = render_page(np.random.default_rng(seed), *size, dpi, colour=seed % 2 == 1)
        assert page.shape[:2] == size


def test_a_coarse_page_can_be_drawn() -> None:
    for seed in range(10):
        assert render_page(np.random.default_rng(seed), 60, 50, 12).shape == (60, 50)


def test_fonts_make_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    fonts = system_fonts()
    assert fonts == sorted(fonts)
    if not fonts:
        pytest.skip("no font files here")
    one, two = (render_page(np.random.default_rng(1), 300, 240, 100, fonts=f) for f in (fonts, ()))
    assert not np.array_equal(one, two)


def test_a_machine_without_fonts_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(render, "Path", lambda _: tmp_path / "none")
    assert system_fonts() == []


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("painter", list(render._PAINTERS))
def test_every_block_moves_on_and_stays_in_its_page(painter: str, colour: bool) -> None:
    for seed in range(6):
        sheet = Image.new("RGB" if colour else "L", (200, 300), "white")
        used = render._PAINTERS[painter](np.random.default_rng(seed), sheet, (10, 10, 190, 290), 72.0, ())
        assert used >= 1, "or a page would never be full"
        assert not (np.asarray(sheet)[:9] != 255).any()


@pytest.mark.parametrize("colour", [False, True])
def test_what_hands_add_only_darkens_paper(colour: bool) -> None:
    paper = np.full((220, 180, 3) if colour else (220, 180), 255, np.uint8)
    for seed in range(6):
        for draw in (ink.handwriting, ink.stamp, *([ink.highlight] if colour else [])):
            page = paper.copy()
            draw(np.random.default_rng(seed), page, 100)
            again = paper.copy()
            draw(np.random.default_rng(seed), again, 100)
            assert np.array_equal(page, again)
            assert page.min() < 255 or draw is ink.handwriting, "a scrawl may run off the page"


def test_a_stamp_never_lightens_what_is_under_it() -> None:
    page = render_page(np.random.default_rng(3), 220, 180, 100)
    before = page.copy()
    ink.stamp(np.random.default_rng(0), page, 100)
    assert (page.astype(int) <= before.astype(int) + 1).all()


def test_a_highlight_keeps_ink_black() -> None:
    page = np.zeros((100, 100, 3), np.uint8)
    ink.highlight(np.random.default_rng(0), page, 100)
    assert page.max() == 0


def test_writing_has_soft_edges() -> None:
    page = np.full((200, 200), 255, np.uint8)
    for seed in range(5):
        ink.handwriting(np.random.default_rng(seed), page, 150)
    greys = cv2.calcHist([page], [0], None, [256], [0, 256])
    assert int((greys > 0).sum()) > 10
