import numpy as np
import pytest

from model.guard.network import CELL, strokes
from model.guard.writing import CERTAIN, PALE, Gone, darkness, surer, went
from model.page import Grey

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


def gone(scan: Grey, cleaned: Grey) -> Gone:
    return went(*(darkness(one, strokes(one)) for one in (scan, cleaned)))


def gone_beside(scan: Grey, cleaned: Grey) -> np.ndarray:
    """What went where writing is near; 0 elsewhere."""
    found = gone(scan, cleaned)
    return np.where(found.beside, found.shares, 0)


def test_darkness_is_a_share_of_the_papers_light() -> None:
    scan = page(200, writing=50, rule=150)
    dark = darkness(scan, strokes(scan))
    assert dark[42, 60] == pytest.approx(255 * 0.75, abs=1) and dark[48, 60] == pytest.approx(64, abs=1)
    assert not dark[70].any()


def test_what_went_is_measured_by_the_writing_beside_it() -> None:
    scan = page(200, writing=50, rule=125, dot=50, speck=50)
    shares = gone_beside(scan, page(255, writing=0))
    assert shares.shape == (128 // CELL, 128 // CELL)
    assert shares[DOTS_CELL] == pytest.approx(1, abs=0.05), "as dark as the writing"
    assert shares[RULES_CELL] == pytest.approx(0.5, abs=0.05), "half as dark"
    assert shares[10, 10] == 0, "what became darker didn't go"
    assert shares[SPECKS_CELL] == 0, "dust lies anywhere, and between lines"
    thinned = gone_beside(scan, page(255, writing=0, rule=255 - 128, dot=255 - 64))
    assert thinned[RULES_CELL] == 0, "next to the writing it is as dark as before"
    assert thinned[DOTS_CELL] == pytest.approx(0.75, abs=0.05)


def test_where_there_is_no_writing_nothing_is_measured_by_it() -> None:
    dotted, blank = np.full((64, 64), 255, np.uint8), np.full((64, 64), 255, np.uint8)
    dotted[DOT] = 30
    assert not gone_beside(dotted, blank).any()


def everywhere(share: float) -> Gone:
    return Gone(np.full(4, share, np.float32)[None], np.ones((1, 4), bool))


def test_the_guard_gets_surer_of_dark_losses_alone() -> None:
    chances = np.asarray([[0.0, 0.1, 0.75, 1.0]], np.float32)
    for pale in (0.0, 0.2, PALE):
        assert surer(chances, everywhere(pale)) == pytest.approx(chances, abs=1e-6)
    dark = surer(chances, everywhere(1))
    assert dark[0, 0] == 0 and dark[0, 3] == 1 and 0.93 < dark[0, 1] < 0.94 and dark[0, 2] > 0.99
    most = surer(chances, everywhere(CERTAIN))
    assert (most >= dark).all() and most == pytest.approx(surer(chances, everywhere(2.5)))
    elsewhere = Gone(everywhere(1).shares, np.zeros((1, 4), bool))
    assert surer(chances, elsewhere) == pytest.approx(chances)


def dusty(count: int) -> Gone:
    """A page with writing on its upper half, and specks that went from its lower one."""
    shares, beside = np.zeros((64, 64), np.float32), np.zeros((64, 64), bool)
    beside[:32] = True
    for place in range(count):
        shares[40 + place // 16 * 4, place % 16 * 4] = 1
    shares[10, 10] = 1
    return Gone(shares, beside)


def test_of_dust_as_much_is_expected_beside_writing_as_elsewhere() -> None:
    assert dusty(0).dust()[1] == 0
    assert dusty(10).dust()[1] == pytest.approx(10), "as large a part of the page"
    quarter = dusty(10).beside.copy()
    quarter[16:32] = False
    assert Gone(dusty(10).shares, quarter).dust()[1] == pytest.approx(10 / 3)
    stroke = dusty(0).shares.copy()
    stroke[50, 5:25] = 1
    large, specks = Gone(stroke, dusty(0).beside).dust()
    assert specks == 0, "nothing as long as that is a speck"
    assert large[50, 5:25].all() and np.count_nonzero(large) == 20


def test_on_dusty_pages_the_guard_is_less_sure() -> None:
    chances = np.full((64, 64), 0.3, np.float32)
    found = [float(surer(chances, dusty(count))[10, 10]) for count in (0, 3, 30)]
    assert found[0] > found[1] > found[2] > 0.3
    shares = dusty(30).shares.copy()
    shares[20, 5:25] = 1
    word = float(surer(chances, Gone(shares, dusty(30).beside))[20, 15])
    assert word == pytest.approx(found[0]), "a word is no dust"
    many = Gone(np.where(np.arange(64 * 64).reshape(64, 64) % 2, 0.55, 0).astype(np.float32), dusty(0).beside)
    assert (surer(chances, many) >= chances).all(), "never less sure than the network"
