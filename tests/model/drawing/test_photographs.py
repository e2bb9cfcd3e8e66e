"""Drawn photographs: what tells them from stains is in them, whatever their size."""

import numpy as np
import pytest

from model.drawing.photographs import halftone, photograph
from model.drawing.textures import fractal_noise


def steepest(tones: np.ndarray) -> float:
    """The difference between neighbours that one of 500 is above."""
    return float(np.percentile(np.abs(np.diff(tones, axis=1)), 99.8))


@pytest.mark.parametrize("seed", range(12))
def test_photographs_have_edges_and_depth_as_stains_have_not(seed: int) -> None:
    tones = photograph(np.random.default_rng(seed), 240, 320)
    assert tones.shape == (240, 320) and tones.dtype == np.float32
    assert tones.min() >= 0 and tones.max() <= 1 and np.ptp(tones) > 0.5
    stain = 0.5 + 0.5 * fractal_noise(np.random.default_rng(seed), 240, 320, 60, 6)
    assert steepest(tones) > 1.5 * steepest(stain)
    assert np.array_equal(tones, photograph(np.random.default_rng(seed), 240, 320))


@pytest.mark.parametrize("shape", [(8, 8), (8, 900), (900, 8)])
def test_photographs_may_be_narrow(shape: tuple[int, int]) -> None:
    assert photograph(np.random.default_rng(0), *shape).shape == shape


@pytest.mark.parametrize("tone", [0.3, 0.5, 0.7])
def test_halftones_are_black_and_white_and_as_light_on_the_whole(tone: float) -> None:
    dots = halftone(np.random.default_rng(1), np.full((300, 300), tone, np.float32), 300)
    assert set(np.unique(dots)) == {0, 1}
    assert dots.mean() == pytest.approx(tone, abs=0.08)
