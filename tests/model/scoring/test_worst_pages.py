"""The sheet of the worst pages: who is on it, in which order, and which detail of them."""

import numpy as np
import pytest

from model.page import Page
from model.scoring.evaluate import ImageScore, PageScore, PairScore, Scored
from model.scoring.measures import BitonalScore
from model.scoring.reading import TextScore
from model.scoring.worst_pages import WorstPages

BLANK = np.full((400, 700), 255, np.uint8)
GROUND = (0x44, 0x50, 0x5C)


def pair(name: str, rmse: float, f_measure: float | None = None) -> PairScore:
    bitonal = None if f_measure is None else BitonalScore(f_measure, 90, 12, 3)
    return PairScore(name, ImageScore(0.5, 0.1, bitonal), ImageScore(rmse, 0.1, bitonal))


def scored(
    name: str, images: PairScore | None = None, cer: float | None = None, page: Page = BLANK
) -> Scored:
    text = None if cer is None else TextScore(name, 0.5, cer, 100, ("transcription",))
    return Scored(PageScore(name, images, text), page, page, page if images else None)


def names(worst: WorstPages) -> list[str]:
    return [label.split()[0] for label in worst.labels]


def test_the_worst_are_kept_in_order() -> None:
    worst = WorstPages(limit=3)
    for name, rmse in (("a", 0.2), ("b", 0.1), ("c", 0.4), ("d", 0.05), ("e", 0.3)):
        worst.add(scored(name, pair(name, rmse)))
    assert names(worst) == ["c", "e", "a"]
    assert worst.labels[0] == "c   RMSE 0.5000 to 0.4000"


def test_one_bit_truths_are_ranked_by_f_and_text_by_its_errors() -> None:
    worst = WorstPages()
    worst.add(scored("pale", pair("pale", 0.3, f_measure=95)))
    worst.add(scored("lost", pair("lost", 0.1, f_measure=40), cer=0.9))
    assert names(worst) == ["lost", "pale"]
    assert worst.labels[0] == "lost   CER 50.0% to 90.0%,  RMSE 0.5000 to 0.1000,  F 40.0 to 40.0 %"
    read = WorstPages()
    for name, cer in (("x", 0.01), ("y", 0.4)):
        read.add(scored(name, cer=cer))
    assert names(read) == ["y", "x"]


@pytest.mark.parametrize("colour", [False, True])
def test_the_detail_is_where_the_result_is_furthest_from_the_truth(colour: bool) -> None:
    truth, cleaned = BLANK.copy(), BLANK.copy()
    cleaned[300:320, 600:640] = 0
    scan = np.stack([cleaned] * 3, axis=-1) if colour else cleaned
    result = WorstPages()
    result.add(Scored(PageScore("p", pair("p", 0.2), None), scan, cleaned, truth))
    sheet = np.asarray(result.draw())
    assert sheet.shape == (20 + 20 + 240 + 12 + 12, 3 * (480 + 12) + 12, 3)
    before, after, clean = (sheet[40:280, 12 + i * 492 : 492 + i * 492] for i in range(3))
    assert (clean == 255).all()
    assert (before == 0).all(axis=2).sum() == (after == 0).all(axis=2).sum() == 20 * 40


def test_without_truth_the_detail_is_where_most_is_to_read() -> None:
    scan = np.full((400, 900), 180, np.uint8)
    scan[330:370, 800:860:6] = 90
    cleaned = scan + np.linspace(70, 0, 900).astype(np.uint8)  # paper made lighter, on the left most of all
    text = TextScore("p", 0.5, 0.5, 9, ("transcription",))
    worst = WorstPages()
    worst.add(Scored(PageScore("p", None, text), scan, cleaned, None))
    before = np.asarray(worst.draw())[40:280, 12:492]
    assert (before == 90).all(axis=2).sum() == 40 * 10


def test_pages_without_truth_and_small_ones_have_their_place() -> None:
    worst = WorstPages()
    worst.add(scored("small", cer=0.5, page=np.zeros((30, 40), np.uint8)))
    sheet = np.asarray(worst.draw())
    assert sheet.shape[1] == 2 * 492 + 12
    assert (sheet[40:70, 12:52] == 0).all() and tuple(sheet[75, 60]) == GROUND
    assert WorstPages().draw().width > 0
