import numpy as np
import pytest
from PIL import Image

from jobs.codecs.codec import decode, inspect
from jobs.config import OnSuspicion
from jobs.errors import PageError
from jobs.shard.inspector import Inspector, blended
from model.drawing.pages import render_page
from model.guard.guard import Guard
from model.judging.paper_map import paper_map
from model.page import Pixels
from model.training.faults import plant
from tests.samples import encoded

DPI = 150


@pytest.fixture(scope="module")
def guard() -> Guard:
    return Guard()


def page_of(pixels: Pixels, **options: object):  # type: ignore[no-untyped-def]
    data = encoded(Image.fromarray(pixels), "PNG", dpi=(DPI, DPI), **options)
    return decode(data, inspect(data, "PNG"), 0)


def text(seed: int, colour: bool = False) -> Pixels:
    return render_page(np.random.default_rng(seed), 480, 400, DPI, colour=colour, pictures=False)


def without_a_word(clean: Pixels) -> tuple[Pixels, np.ndarray]:
    planted = plant(np.random.default_rng(2), clean, clean, DPI, "word")
    assert planted is not None
    return planted[0], planted[1]


def scanned(clean: Pixels) -> Pixels:
    return (clean * 0.8).astype(np.uint8)


def test_an_honest_page_is_measured_and_not_suspected(guard: Guard) -> None:
    inspector = Inspector(guard, "keep-original")
    scan = inspector.look(page_of(scanned(text(1))))
    pixels, verdict = inspector.judge(scan, text(1))
    assert np.array_equal(pixels, text(1)) and verdict.reasons == ()
    assert verdict.before.paper_level == pytest.approx(0.8, abs=0.01) and verdict.after.paper_level == 1


@pytest.mark.parametrize("mode", ["flag", "keep-original", "blend"])
def test_what_becomes_of_a_page_that_lost_a_word(guard: Guard, mode: OnSuspicion) -> None:
    clean = text(1)
    spoilt, word = without_a_word(clean)
    inspector = Inspector(guard, mode)
    scan = inspector.look(page_of(scanned(clean)))
    if mode == "keep-original":
        with pytest.raises(PageError, match=r"suspected: ink_lost [01]\.\d\d") as caught:
            inspector.judge(scan, spoilt)
        assert caught.value.code == "suspected" and caught.value.reasons == ("ink_lost",)
        return
    pixels, verdict = inspector.judge(scan, spoilt)
    assert verdict.reasons == ("ink_lost",)
    if mode == "flag":
        assert np.array_equal(pixels, spoilt)
    else:
        back = np.abs(pixels.astype(int) - clean)
        assert back[word].mean() < 12 and back[~word].mean() < 0.5
        assert (pixels <= spoilt).all()


def test_strokes_come_back_on_white_paper_in_their_own_colour(guard: Guard) -> None:
    clean = np.full((160, 160, 3), 255, np.uint8)
    clean[70:74, 20:140] = (160, 40, 40)
    scan = Inspector(guard).look(page_of((clean * 0.7).astype(np.uint8)))
    lost = np.zeros(scan.grey.shape, np.float32)
    lost[64:80, 40:100] = 1
    assert paper_map(scan.grey, DPI).min() > 170
    empty = np.full((160, 160, 3), 255, np.uint8)
    mixed = blended(scan, empty, lost)
    assert np.abs(mixed[70:74, 50:90].astype(int) - (160, 40, 40)).max() < 12
    assert (mixed[:50] == 255).all() and (mixed[70:74, 125:] == 255).all()


def test_what_is_no_text_is_left_alone(guard: Guard) -> None:
    with pytest.raises(PageError, match="looks like no text") as caught:
        Inspector(guard).look(page_of(255 - text(1)))
    assert caught.value.code == "unlike_training" and caught.value.reasons == ("inverted",)
