"""Structural similarity of two pages."""

import cv2
import numpy as np

from model.page import Page, Plane, as_grey

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ssim(a: Page, b: Page) -> float:
    """Mean structural similarity (Wang et al. 2004) of two pages' luma; 1 where they are equal, down to -1.

    The window is a Gaussian of 11 pixels with sigma 1.5, K1 = 0.01, K2 = 0.03, as in the paper. Only windows
    that lie within the page count; pages that are too small for one have their borders mirrored.

    Raises:
        ValueError: the pages differ in size.
    """
    x, y = (as_grey(page).astype(np.float32) for page in in_same_channels(a, b))
    mean_x, mean_y = _blur(x), _blur(y)
    variances = (_blur(x * x) - mean_x**2) + (_blur(y * y) - mean_y**2)
    covariance = _blur(x * y) - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    similarity /= (mean_x**2 + mean_y**2 + _C1) * (variances + _C2)
    rim = _WINDOW // 2 if min(x.shape) >= _WINDOW else 0
    return float(similarity[rim : x.shape[0] - rim, rim : x.shape[1] - rim].mean(dtype=np.float64))


def _blur(plane: Plane) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, (_WINDOW, _WINDOW), _SIGMA), np.float32)


def in_same_channels(a: Page, b: Page) -> tuple[Page, Page]:
    """Two pages with the same number of channels: both grey unless both are RGB.

    Raises:
        ValueError: the pages differ in size.
    """
    if a.shape[:2] != b.shape[:2]:
        raise ValueError(f"pages of {a.shape[:2]} and {b.shape[:2]} pixels can't be compared")
    return (a, b) if a.ndim == b.ndim else (as_grey(a), as_grey(b))
