import numpy as np
import pytest

from model.condition import Grey
from model.guard import CELL, strokes
from model.writing import CERTAIN, PALE, darkness, surer, went

RULE, DOT = (slice(80, 84), slice(20, 100)), (slice(20, 23), slice(60, 63))
DOTS_CELL = (5, 15)


def page(paper: int, **marks: int) -> Grey:
    """Lines of writing on paper, and other marks by their grey."""
    drawn = np.full((128, 128), paper, np.uint8)
    drawn[40:44, 8:120] = marks["writing"]
    if "rule" in marks:
        drawn[RULE] = marks["rule"]
    if "dot" in marks:
        drawn[DOT] = marks["dot"]
    return drawn


def gone(scan: Grey, cleaned: Grey) -> np.ndarray:
    return went(*(darkness(one, strokes(one)) for one in (scan, cleaned)))


def test_darkness_is_a_share_of_the_papers_light() -> None:
    scan = page(200, writing=50, rule=150)
    dark = darkness(scan, strokes(scan))
    assert dark[42, 60] == pytest.approx(255 * 0.75, abs=1) and dark[82, 60] == pytest.approx(64, abs=1)
    assert not dark[60].any()


def test_what_went_is_measured_by_the_writing() -> None:
    scan = page(200, writing=50, rule=125, dot=50)
    shares = gone(scan, page(255, writing=0))
    assert shares.shape == (128 // CELL, 128 // CELL)
    assert shares[DOTS_CELL] == pytest.approx(1, abs=0.05), "as dark as the writing"
    assert shares[20, 10] == pytest.approx(0.5, abs=0.05), "half as dark"
    assert shares[10, 10] == 0 and (shares > 0).sum() == 21, "what became darker didn't go"
    thinned = gone(scan, page(255, writing=0, rule=255 - 128, dot=255 - 64))
    assert thinned[20, 10] == 0, "next to the writing it is as dark as before"
    assert thinned[DOTS_CELL] == pytest.approx(0.75, abs=0.05)


def test_writing_is_black_where_there_is_none() -> None:
    blank, dotted = np.full((64, 64), 255, np.uint8), np.full((64, 64), 255, np.uint8)
    dotted[DOT] = 30
    dotted[40:42, 8:40] = 180
    shares = gone(dotted, blank)
    assert shares[DOTS_CELL] == pytest.approx(225 / 255, abs=0.01) and shares[10, 5] < 0.3


def test_the_guard_gets_surer_of_dark_losses_alone() -> None:
    chances = np.asarray([0.0, 0.1, 0.75, 1.0], np.float32)
    for pale in (0.0, 0.3, PALE):
        assert surer(chances, np.full(4, pale, np.float32)) == pytest.approx(chances, abs=1e-6)
    dark = surer(chances, np.full(4, 1, np.float32))
    assert dark[0] == 0 and dark[3] == 1 and 0.85 < dark[1] < 0.87 and dark[2] > 0.99
    most = surer(chances, np.full(4, CERTAIN, np.float32))
    assert (most >= dark).all() and most == pytest.approx(surer(chances, np.full(4, 2.5, np.float32)))
