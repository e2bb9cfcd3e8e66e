"""Scores against values that are known by construction."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from PIL import Image

from model.cleaning.cleaner import Cleaner, Pixels
from model.page import Pair
from model.scoring.cases import Case
from model.scoring.evaluate import (
    CleanScore,
    ImageScore,
    PageScore,
    PairScore,
    by_pattern,
    compare_clean,
    evaluate,
    score_clean,
    score_pairs,
    total,
    total_of_pages,
)
from model.scoring.measures import BitonalScore
from model.scoring.reading import TextScore


class Brighter:
    """A cleaner that adds ten levels and can't go beyond white."""

    def clean(self, pages: Sequence[Pixels]) -> list[Pixels]:
        return [np.minimum(page.astype(np.uint16) + 10, 255).astype(np.uint8) for page in pages]


BRIGHTER = cast(Cleaner, Brighter())


def grey(level: int, *shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full(shape or (20, 20), level, np.uint8)


def score(name: str, rmse_before: float, rmse_after: float) -> PairScore:
    return PairScore(name, ImageScore(rmse_before, 0.25), ImageScore(rmse_after, 0.75))


def test_pairs_are_scored_before_and_after() -> None:
    pairs = [Pair("x.png", grey(80), grey(90)), Pair("y", grey(90), grey(90))]
    first, second = score_pairs(BRIGHTER, pairs)
    assert first.before.rmse == pytest.approx(10 / 255) and first.after.rmse == 0
    assert second.before.rmse == 0 and second.after.rmse == pytest.approx(10 / 255)
    assert first.before.psnr == pytest.approx(28.1308, abs=1e-3) and first.after.psnr == math.inf
    assert first.before.ssim == pytest.approx(0.9931, abs=1e-3) and first.after.ssim == 1
    assert first.before.bitonal is None


def test_one_bit_truths_have_dibcos_measures() -> None:
    truth = grey(255)
    truth[8:12, 2:18] = 0
    scan = np.where(truth == 0, 120, 250).astype(np.uint8)
    colours = np.stack([scan, scan, np.minimum(scan, 240)], axis=-1)
    for page in (scan, colours):  # ten levels brighter, and the ink is no ink any more
        (found,) = score_pairs(BRIGHTER, [Pair("p", page, truth)])
        assert found.before.bitonal == BitonalScore(100, 100, math.inf, 0)
        assert found.after.bitonal is not None and found.after.bitonal.f_measure == 0
        assert found.after.bitonal.psnr == pytest.approx(10 * math.log10(400 / 64))


def test_the_total_is_the_mean_of_pages() -> None:
    everything = total([score("a", 0.1, 0.2), score("b", 0.3, 0.0)])
    assert everything.name == "all"
    assert everything.before.rmse == pytest.approx(0.2) and everything.after.rmse == pytest.approx(0.1)
    assert everything.after.psnr == pytest.approx(20)
    assert (everything.before.ssim, everything.after.ssim) == (0.25, 0.75)
    assert everything.after.bitonal is None
    with pytest.raises(ValueError, match="no pages"):
        total([])


def test_the_total_of_one_bit_pages_leaves_perfect_psnrs_and_grey_pages_out() -> None:
    scores = [BitonalScore(80, 90, 12, 3), BitonalScore(60, 70, 18, 5), BitonalScore(100, 100, math.inf, 0)]
    pages = [
        PairScore("p", ImageScore(0.1, 0.5), ImageScore(0.1, 0.5, bitonal)) for bitonal in (*scores, None)
    ]
    everything = total(pages)
    assert everything.before.bitonal is None
    assert everything.after.bitonal == BitonalScore(80, pytest.approx(260 / 3), 15, pytest.approx(8 / 3))
    perfect = total(pages[2:3]).after.bitonal
    assert perfect is not None and perfect.psnr == math.inf


def test_groups_by_pattern() -> None:
    scores = [score("FontA_ink.png", 0.1, 0.1), score("FontB_ink.png", 0.3, 0.1), score("z", 1, 1)]
    groups = by_pattern(scores, ["*_ink*", "FontB*", "nothing*"])
    assert [(g.name, round(g.before.rmse, 6)) for g in groups] == [("*_ink*", 0.2), ("FontB*", 0.3)]


def test_cases_are_scored_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text is read off the page's level: 90 is what the transcription says, 80 is one letter of two off."""
    monkeypatch.setattr("model.scoring.reading.read_text", lambda page, dpi, languages: f"{page.max()}")
    Image.fromarray(grey(80)).save(tmp_path / "scan.png")
    Image.fromarray(grey(90)).save(tmp_path / "truth.png")
    scan, truth = tmp_path / "scan.png", tmp_path / "truth.png"
    cases = [Case("both", scan, truth, "90"), Case("image", scan, truth), Case("text", scan, text="90")]
    scored = list(evaluate(BRIGHTER, cases, "eng"))
    assert [s.score.name for s in scored] == ["both", "image", "text"]
    assert [s.score.pair is None for s in scored] == [False, False, True]
    assert [(s.scan.max(), s.cleaned.max()) for s in scored] == [(80, 90)] * 3
    texts = [s.score.text for s in scored]
    assert all(text and (text.cer_before, text.cer_after) == (0.5, 0) for text in texts)
    assert [text.references for text in texts if text] == [
        ("transcription",), ("clean page as read",), ("transcription",)
    ]  # fmt: skip
    assert [s.score.text for s in evaluate(BRIGHTER, cases[:2])] == [None, None]


def test_totals_of_pages_take_what_there_is() -> None:
    text = TextScore("p", 0.5, 0.25, 8, ("transcription",))
    pages = [PageScore("p", score("p", 0.1, 0.2), None), PageScore("q", None, text)]
    both = total_of_pages(pages)
    assert both.pair and both.pair.after.rmse == pytest.approx(0.2)
    assert both.text and both.text.cer_after == 0.25
    assert total_of_pages(pages[:1]).text is None and total_of_pages(pages[1:]).pair is None


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
