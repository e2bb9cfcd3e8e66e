"""Paper between the strokes: found, completed, and printed on."""

import cv2
import numpy as np
import pytest

from model.drawing.real_paper import draw_cover, draw_paper, print_on, shine_through, take_apart
from model.page import Page, Pair


def textured(seed: int, colour: bool = False) -> Page:
    noise = np.random.default_rng(seed).integers(120, 240, (60, 80, 3) if colour else (60, 80))
    return np.asarray(cv2.GaussianBlur(noise.astype(np.uint8), (9, 9), 0), np.uint8)


def text(seed: int) -> Page:
    page = np.full((60, 80), 255, np.uint8)
    rng = np.random.default_rng(seed)
    for _ in range(6):
        y, x = rng.integers(0, 50), rng.integers(0, 70)
        page[y : y + 6, x : x + 2] = 0
    return page


def pair_on(paper: Page, clean: Page, name: str = "page") -> Pair:
    light = clean if paper.ndim == 2 else clean[..., None]
    return Pair(name, (paper * (light / 255)).astype(np.uint8), clean)


def test_pairs_on_one_sheet_complete_each_other() -> None:
    paper = textured(0)
    sheets = take_apart([pair_on(paper, text(seed)) for seed in range(8)])
    assert len({id(sheet.paper) for sheet in sheets}) == 1
    assert np.abs(sheets[0].paper.astype(int) - paper).max() <= 1


@pytest.mark.parametrize("colour", [False, True])
def test_a_lone_pair_is_filled_in_from_around(colour: bool) -> None:
    paper, clean = textured(1, colour), text(3)
    sheet = take_apart([pair_on(paper, clean)])[0]
    assert sheet.paper.shape == paper.shape
    hidden = clean == 0
    error = np.abs(sheet.paper.astype(int) - paper)
    assert error[~cv2.dilate(hidden.astype(np.uint8), np.ones((13, 13))).astype(bool)].max() == 0
    assert error[hidden].mean() < 15


def test_sheets_that_differ_stay_apart() -> None:
    sheets = take_apart([pair_on(textured(seed), text(seed)) for seed in (0, 1)])
    assert sheets[0].paper is not sheets[1].paper


def test_paper_times_ink_is_the_page() -> None:
    pair = pair_on(textured(2), text(5))
    sheet = take_apart([pair])[0]
    again = sheet.paper.astype(float) * sheet.ink / 255
    dark = sheet.ink < 255  # a guessed paper may be darker than what is printed on it
    assert dark.mean() > 0.04 and np.abs(again - pair.noisy)[dark].max() <= 2


@pytest.mark.parametrize("colour", [False, True])
def test_no_two_papers_are_alike(colour: bool) -> None:
    rng = np.random.default_rng(0)
    papers = [textured(0), textured(1, colour=True)]
    drawn = [draw_paper(rng, papers, 96, colour) for _ in range(6)]
    for light in drawn:
        assert light.shape == ((96, 96, 3) if colour else (96, 96)) and light.dtype == np.float32
        assert light.min() > 0 and light.max() <= 1
    assert all(not np.array_equal(a, b) for a, b in zip(drawn, drawn[1:], strict=False))


def test_printing_keeps_paper_and_darkens_ink() -> None:
    light = np.full((40, 40), 0.7, np.float32)
    page = np.full((40, 40), 255, np.uint8)
    page[:, 20:] = 0
    for seed in range(20):
        printed = print_on(np.random.default_rng(seed), light, page)
        assert printed.shape == page.shape and printed.dtype == np.uint8
        assert abs(float(printed[:, :10].mean()) - 178.5) < 4
        assert printed[:, 30:].mean() < 130


def test_the_other_side_shines_through_mirrored_and_weaker() -> None:
    light = np.full((40, 40), 0.8, np.float32)
    ink = np.full((40, 40), 255, np.uint8)
    ink[:, :8] = 60
    for seed in range(20):
        seen = shine_through(np.random.default_rng(seed), light, ink, 1.0)
        assert seen.shape == light.shape and seen.dtype == np.float32
        assert np.allclose(seen[:, :20], 0.8) and (seen[:, 36:] < 0.78).all() and seen.min() > 0.8 * 60 / 255


@pytest.mark.parametrize("colour", [False, True])
def test_covers_are_dark_rough_and_no_two_alike(colour: bool) -> None:
    drawn = [draw_cover(np.random.default_rng(seed), 96, colour) for seed in range(8)]
    assert {light.shape for light in drawn} == {(96, 96, 3) if colour else (96, 96)}
    assert all(light.min() >= 0.02 and light.max() <= 1 and light.std() > 0.005 for light in drawn)
    assert 0.1 < float(np.mean([np.median(light) for light in drawn])) < 0.7
    assert len({light.tobytes() for light in drawn}) == len(drawn)
    assert np.array_equal(drawn[0], draw_cover(np.random.default_rng(0), 96, colour))
