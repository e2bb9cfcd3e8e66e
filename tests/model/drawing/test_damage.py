"""Seeded dirt: the same for a seed, of the page's shape, and darker or lighter only as it should be."""

import numpy as np
import pytest
from numpy.random import Generator

from model.drawing import damage as dirt
from model.drawing.damage import damage, damage_bitonal
from model.drawing.pages import render_page
from model.drawing.textures import (
    fractal_noise,
    grain,
    hide,
    line_distance,
    smooth_noise,
    weave,
    wobbly_disc,
    wrinkles,
)
from model.page import Page, Plane


def clean_page(colour: bool = False) -> Page:
    return render_page(np.random.default_rng(7), 240, 200, 100, colour=colour)


SHAPES = [(1, 1), (1, 300), (300, 1), (2, 5), (40, 2000), (31, 33, 3), (1, 1, 3)]


@pytest.mark.parametrize("colour", [False, True])
def test_a_seed_decides_the_damage(colour: bool) -> None:
    page = clean_page(colour)
    before = page.copy()
    for seed in range(6):
        one = damage(page, np.random.default_rng(seed), page, 0.8)
        two = damage(page, np.random.default_rng(seed), page, 0.8)
        assert np.array_equal(one, two)
        assert one.shape == page.shape and one.dtype == np.uint8
        assert not np.array_equal(one, damage(page, np.random.default_rng(seed + 100), page, 0.8))
    assert np.array_equal(page, before), "the clean page itself stays clean"


@pytest.mark.parametrize("shape", SHAPES)
def test_any_shape_can_be_damaged(shape: tuple[int, ...]) -> None:
    page = np.full(shape, 255, np.uint8)
    for seed in range(8):
        result = damage(page, np.random.default_rng(seed), page)
        assert result.shape == shape and result.dtype == np.uint8
        if len(shape) == 2:
            dirty, clean = damage_bitonal(page, np.random.default_rng(seed))
            assert dirty.shape == clean.shape == shape


@pytest.mark.parametrize("colour", [False, True])
def test_no_strength_leaves_the_page_nearly_as_it_is(colour: bool) -> None:
    page = clean_page(colour)
    for seed in range(12):
        change = np.abs(damage(page, np.random.default_rng(seed), page, 0.0).astype(int) - page)
        assert np.median(change) <= 2 and change.mean() < 10, "a scanner's blur and JPEG are left"


def test_strength_darkens() -> None:
    page = np.full((150, 150), 255, np.uint8)
    levels = [
        np.mean([damage(page, np.random.default_rng(seed), None, strength).mean() for seed in range(10)])
        for strength in (0.0, 0.5, 1.0)
    ]
    assert levels[0] > levels[1] > levels[2]


def _stain(rng: Generator, height: int, width: int) -> Plane:
    return dirt._stain(rng, height, width, whole=max(height, width))


def _ring_of_a_larger_page(rng: Generator, height: int, width: int) -> Plane:
    return dirt._ring(rng, height, width, whole=3000)


DARK_ONLY = [_stain, _ring_of_a_larger_page, dirt._blotches, dirt._border]
BOTH_WAYS = [dirt._fold, dirt._crease, dirt._wrinkled]


@pytest.mark.parametrize("mark", [*DARK_ONLY, *BOTH_WAYS])
@pytest.mark.parametrize("shape", [(120, 90), (3, 500), (1, 1)])
def test_every_mark_stays_within_its_range(mark: dirt.Mark, shape: tuple[int, int]) -> None:
    for seed in range(10):
        shade = mark(np.random.default_rng(seed), *shape)
        assert shade.shape == shape and shade.dtype == np.float32
        assert np.isfinite(shade).all() and shade.max() <= 0.95
        assert shade.min() >= (0 if mark in DARK_ONLY else -0.5)
        assert np.array_equal(shade, mark(np.random.default_rng(seed), *shape))


def test_a_patch_of_a_larger_page_may_lie_inside_a_stain() -> None:
    def covered(whole: int) -> int:
        """Stains that darken every corner of a patch."""
        patches = [dirt._stain(np.random.default_rng(seed), 300, 300, whole) for seed in range(60)]
        return sum(bool((patch[::299, ::299] > 0.02).all()) for patch in patches)

    assert covered(300) == 0 and covered(3000) > 5


def test_a_one_bit_scan_stays_one_bit_and_keeps_its_shape() -> None:
    for colour in (False, True):
        page = clean_page(colour)
        for seed in range(6):
            dirty, clean = damage_bitonal(page, np.random.default_rng(seed))
            again, _ = damage_bitonal(page, np.random.default_rng(seed))
            assert np.array_equal(dirty, again)
            assert dirty.shape == clean.shape == page.shape[:2]
            assert set(np.unique(clean)) <= {0, 255}
            assert dirty.dtype == clean.dtype == np.uint8


def test_show_through_only_darkens() -> None:
    other = clean_page(True)
    factor = dirt._show_through(np.random.default_rng(0), other, 100, 90, 1.0)
    assert factor.shape == (100, 90) and factor.min() > 0.5 and factor.max() <= 1 + 1e-6


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (50, 3), (64, 64)])
def test_textures_have_the_shape_and_range_they_promise(shape: tuple[int, int]) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        for feature in (1.5, 10.0, 500.0):
            smooth, fractal = smooth_noise(rng, *shape, feature), fractal_noise(rng, *shape, feature)
            assert smooth.shape == fractal.shape == shape and smooth.dtype == fractal.dtype == np.float32
            assert smooth.min() >= 0 and smooth.max() <= 1
            assert np.abs(fractal).max() <= 1
            for texture in (wrinkles, hide, weave):
                relief = texture(rng, *shape, feature)
                assert relief.shape == shape and relief.dtype == np.float32 and np.abs(relief).max() <= 1
        for plane in (grain(rng, *shape), wobbly_disc(rng, *shape, 20.0), line_distance(rng, *shape)):
            assert plane.shape == shape and plane.dtype == np.float32 and np.isfinite(plane).all()


def test_grain_is_as_strong_as_it_promises() -> None:
    noise = grain(np.random.default_rng(0), 200, 200)
    assert abs(float(noise.mean())) < 0.1 and float(noise.std()) == pytest.approx(1, abs=0.01)
