"""Structural similarity against its formula and values worked out by hand."""

import cv2
import numpy as np
import pytest

from model.judging.ssim import ssim
from tests.model.scoring.test_measures import grey, noise


def test_ssim_of_equal_and_of_flat_pages() -> None:
    page = noise(0, 40, 50)
    assert ssim(page, page) == 1
    c1 = (0.01 * 255) ** 2
    assert ssim(grey(100), grey(120)) == pytest.approx(
        (2 * 100 * 120 + c1) / (100**2 + 120**2 + c1), abs=1e-4
    )
    assert -1 <= ssim(page, 255 - page) < -0.9


def test_ssim_of_one_window_by_its_formula() -> None:
    x, y = noise(1, 11, 11).astype(float), noise(2, 11, 11).astype(float)
    distance = np.arange(-5, 6)
    weights = np.exp(-(distance**2) / (2 * 1.5**2))
    window = np.outer(weights, weights) / weights.sum() ** 2
    mean_x, mean_y = (window * x).sum(), (window * y).sum()
    var_x, var_y = (window * (x - mean_x) ** 2).sum(), (window * (y - mean_y) ** 2).sum()
    covariance = (window * (x - mean_x) * (y - mean_y)).sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    expected = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    expected /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    assert ssim(x.astype(np.uint8), y.astype(np.uint8)) == pytest.approx(expected, abs=1e-4)


def test_ssim_falls_with_noise_and_takes_tiny_pages() -> None:
    page = cv2.GaussianBlur(noise(3, 60, 60), (0, 0), 3).astype(np.int16)
    noisy = [
        np.clip(page + np.random.default_rng(4).normal(0, s, page.shape), 0, 255).astype(np.uint8)
        for s in (0, 3, 9, 27)
    ]
    scores = [ssim(noisy[0], other) for other in noisy]
    assert scores[0] == 1 and scores == sorted(scores, reverse=True) and scores[-1] < 0.5
    assert ssim(grey(9, 1, 3), grey(9, 1, 3)) == 1
