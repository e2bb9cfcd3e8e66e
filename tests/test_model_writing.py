import numpy as np
import pytest

from model.condition import Grey
from model.guard import CELL, strokes
from model.writing import CERTAIN, PALE, darkness, surer, went

RULE, DOT, SPECK = (
    (slice(46, 50), slice(20, 100)),
    (slice(36, 39), slice(60, 63)),
    (slice(28, 31), slice(60, 63)),
)
DOTS_CELL, RULES_CELL, SPECKS_CELL = (9, 15), (11, 10), (7, 15)


def page(paper: int, **marks: int) -> Grey:
    """Lines of writing on paper, and other marks by their grey."""
    drawn = np.full((128, 128), paper, np.uint8)
    drawn[40:44, 8:120] = marks["writing"]
    for name, place in (("rule", RULE), ("dot", DOT), ("speck", SPECK)):
        if name in marks:
            drawn[place] = marks[name]
    return drawn


def gone(scan: Grey, cleaned: Grey) -> np.ndarray:
    return went(*(darkness(one, strokes(one)) for one in (scan, cleaned)))


def test_darkness_is_a_share_of_the_papers_light() -> None:
    scan = page(200, writing=50, rule=150)
    dark = darkness(scan, strokes(scan))
    assert dark[42, 60] == pytest.approx(255 * 0.75, abs=1) and dark[48, 60] == pytest.approx(64, abs=1)
    assert not dark[70].any()


def test_what_went_is_measured_by_the_writing_beside_it() -> None:
    scan = page(200, writing=50, rule=125, dot=50, speck=50)
    shares = gone(scan, page(255, writing=0))
    assert shares.shape == (128 // CELL, 128 // CELL)
    assert shares[DOTS_CELL] == pytest.approx(1, abs=0.05), "as dark as the writing"
    assert shares[RULES_CELL] == pytest.approx(0.5, abs=0.05), "half as dark"
    assert shares[10, 10] == 0, "what became darker didn't go"
    assert shares[SPECKS_CELL] == 0, "dust lies anywhere, and between lines"
    thinned = gone(scan, page(255, writing=0, rule=255 - 128, dot=255 - 64))
    assert thinned[RULES_CELL] == 0, "next to the writing it is as dark as before"
    assert thinned[DOTS_CELL] == pytest.approx(0.75, abs=0.05)


def test_where_there_is_no_writing_nothing_is_measured_by_it() -> None:
    dotted, blank = np.full((64, 64), 255, np.uint8), np.full((64, 64), 255, np.uint8)
    dotted[DOT] = 30
    assert not gone(dotted, blank).any()


def test_the_guard_gets_surer_of_dark_losses_alone() -> None:
    chances = np.asarray([0.0, 0.1, 0.75, 1.0], np.float32)
    for pale in (0.0, 0.2, PALE):
        assert surer(chances, np.full(4, pale, np.float32)) == pytest.approx(chances, abs=1e-6)
    dark = surer(chances, np.full(4, 1, np.float32))
    assert dark[0] == 0 and dark[3] == 1 and 0.80 < dark[1] < 0.81 and dark[2] > 0.99
    most = surer(chances, np.full(4, CERTAIN, np.float32))
    assert (most >= dark).all() and most == pytest.approx(surer(chances, np.full(4, 2.5, np.float32)))
