"""Scores against values that are known by construction."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest

from model.cleaner import Cleaner, Pixels
from model.data import Pair
from model.evaluate import (
    CleanScore,
    PairScore,
    by_pattern,
    compare_clean,
    rmse,
    score_clean,
    score_pairs,
    total,
)


class Brighter:
    """A cleaner that adds ten levels and can't go beyond white."""

    def clean(self, pages: Sequence[Pixels]) -> list[Pixels]:
        return [np.minimum(page.astype(np.uint16) + 10, 255).astype(np.uint8) for page in pages]


BRIGHTER = cast(Cleaner, Brighter())


def grey(level: int, *shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full(shape or (20, 20), level, np.uint8)


def test_rmse_of_known_differences() -> None:
    assert rmse(grey(0), grey(255)) == 1
    assert rmse(grey(7), grey(7)) == 0
    assert rmse(grey(51), grey(0)) == pytest.approx(0.2)
    half = grey(0)
    half[:10] = 255
    assert rmse(half, grey(0)) == pytest.approx(0.5**0.5)
    assert rmse(grey(51, 9, 9, 3), grey(0, 9, 9, 3)) == pytest.approx(0.2)


def test_pairs_are_scored_before_and_after() -> None:
    told: list[PairScore] = []
    scores = score_pairs(
        BRIGHTER, [Pair("x.png", grey(80), grey(90)), Pair("y", grey(90), grey(90))], told.append
    )
    assert told == scores
    assert scores[0].rmse_before == pytest.approx(10 / 255) and scores[0].rmse_after == 0
    assert scores[1].rmse_before == 0 and scores[1].rmse_after == pytest.approx(10 / 255)
    assert scores[0].psnr_before == pytest.approx(28.1308, abs=1e-3) and scores[0].psnr_after == float("inf")


def test_the_total_is_the_mean_of_pages() -> None:
    scores = [PairScore("a", 0.1, 0.2), PairScore("b", 0.3, 0.0)]
    everything = total(scores)
    assert everything.name == "all"
    assert everything.rmse_before == pytest.approx(0.2) and everything.rmse_after == pytest.approx(0.1)
    assert everything.psnr_after == pytest.approx(20)
    with pytest.raises(ValueError, match="no pages"):
        total([])


def test_groups_by_pattern() -> None:
    scores = [
        PairScore("FontA_ink.png", 0.1, 0.1),
        PairScore("FontB_ink.png", 0.3, 0.1),
        PairScore("z", 1, 1),
    ]
    groups = by_pattern(scores, ["*_ink*", "FontB*", "nothing*"])
    assert [(g.name, round(g.rmse_before, 6)) for g in groups] == [("*_ink*", 0.2), ("FontB*", 0.3)]


def strokes() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    page = grey(255, 40, 40)
    page[5, 5:15] = 0
    page[20, 5:15] = 100
    page[30, 5:7] = 0  # two pixels are no stroke
    return page


def test_a_clean_page_that_stays_is_clean() -> None:
    assert compare_clean(strokes(), strokes()) == CleanScore(0, 2, 0)
    assert compare_clean(grey(255), grey(255)) == CleanScore(0, 0, 0)
    assert compare_clean(grey(0), grey(0)) == CleanScore(0, 1, 0)


@pytest.mark.parametrize(("level", "lost"), [(190, 0), (191, 1), (255, 1)])
def test_a_stroke_that_pales_is_lost(level: int, lost: int) -> None:
    after = strokes()
    after[20, 5:15] = level
    score = compare_clean(strokes(), after)
    assert (score.strokes, score.strokes_lost) == (2, lost)
    assert score.mean_change == pytest.approx(10 * (level - 100) / 1600)


def test_one_pixel_keeps_a_stroke_and_colours_count_as_ink() -> None:
    after = strokes()
    after[5, 5:14] = 255
    assert compare_clean(strokes(), after).strokes_lost == 0
    red = grey(255, 40, 40, 3)
    red[5, 5:15] = (200, 0, 0)
    assert compare_clean(red, red).strokes == 1
    assert compare_clean(red, grey(255, 40, 40, 3)).strokes_lost == 1


def test_clean_pages_go_through_the_cleaner() -> None:
    dark, white = score_clean(BRIGHTER, [grey(0), grey(255)])
    assert dark == CleanScore(10, 1, 0) and white == CleanScore(0, 0, 0)
