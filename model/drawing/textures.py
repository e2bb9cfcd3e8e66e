"""Textures for damage: smooth noise, paper grain, wrinkles, soft shapes.

All functions take a seeded generator and a size of features in pixels, and return (H, W) float32.
"""

import cv2
import numpy as np
from numpy.random import Generator

from model.page import Plane


def smooth_noise(rng: Generator, height: int, width: int, feature: float) -> Plane:
    """Value noise (H, W) in 0..1 whose bumps are about `feature` pixels wide."""
    rows = max(2, round(height / feature) + 2)
    cols = max(2, round(width / feature) + 2)
    coarse = rng.random((rows, cols), dtype=np.float32)
    return np.clip(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1)


def fractal_noise(rng: Generator, height: int, width: int, feature: float, octaves: int = 4) -> Plane:
    """Octaves of `smooth_noise` (H, W), each half as wide and half as strong; mean about 0, -1..1."""
    total = np.zeros((height, width), np.float32)
    weight = 1.0
    for octave in range(octaves):
        total += weight * (smooth_noise(rng, height, width, max(1.5, feature / 2**octave)) - 0.5)
        weight /= 2
    return total


def grain(rng: Generator, height: int, width: int) -> Plane:
    """Fine paper grain (H, W), mean 0, standard deviation about 1: fibres are a blur of white noise."""
    noise = rng.standard_normal((height, width), dtype=np.float32)
    size = int(rng.integers(1, 4)) * 2 - 1
    blurred = cv2.GaussianBlur(noise, (size, size), 0) if size > 1 else noise
    return np.asarray(blurred / (float(blurred.std()) + 1e-6), np.float32)


def wrinkles(rng: Generator, height: int, width: int, feature: float) -> Plane:
    """Crumpled paper lit from one side (H, W), about -1..1.

    Folded noise (|n| has a crease wherever n crosses zero) has facets as a crumpled sheet has. The slope of
    each facet along the light's direction gives its brightness.
    """
    relief = np.zeros((height, width), np.float32)
    for octave in range(3):
        folded = np.abs(smooth_noise(rng, height, width, feature / 2**octave) - 0.5)
        relief += folded * feature / 2**octave
    angle = rng.uniform(0, 2 * np.pi)
    slope_x = cv2.Sobel(relief, cv2.CV_32F, 1, 0, ksize=3)
    slope_y = cv2.Sobel(relief, cv2.CV_32F, 0, 1, ksize=3)
    lit = np.asarray(np.cos(angle) * slope_x + np.sin(angle) * slope_y, np.float32)
    return np.asarray(np.clip(lit / (2.5 * float(lit.std()) + 1e-6), -1, 1), np.float32)


def hide(rng: Generator, height: int, width: int, feature: float) -> Plane:
    """Leather and embossed board (H, W), -1..1: short creases, dark on one side, most in one direction."""
    side = int(np.ceil(np.hypot(height, width)))
    stretch, turn = rng.uniform(1, 4), rng.uniform(0, 180)
    short = wrinkles(rng, side, max(8, round(side / stretch)), feature)
    creased = cv2.resize(short, (side, side), interpolation=cv2.INTER_CUBIC)
    turned = np.asarray(cv2.getRotationMatrix2D((side / 2, side / 2), turn, 1), np.float64)
    turned[:, 2] += (width - side) / 2, (height - side) / 2
    creased = cv2.warpAffine(creased, turned, (width, height), borderMode=cv2.BORDER_REFLECT)
    deep = np.maximum(creased - rng.uniform(0, 0.5), 0) - 0.5 * np.maximum(-creased - 0.5, 0)
    where = np.clip(2 * smooth_noise(rng, height, width, rng.uniform(3, 12) * feature) - 0.4, 0, 1)
    return np.asarray(-np.clip(1.5 * deep * where, -1, 1), np.float32)


def weave(rng: Generator, height: int, width: int, thread: float) -> Plane:
    """Cloth of threads about `thread` pixels wide (H, W), -1..1: crossing waves, worn unevenly."""
    turn = rng.uniform(0, np.pi)
    bend = 2 * thread * fractal_noise(rng, height, width, 20 * thread, 2)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    along, across = x * np.cos(turn) + y * np.sin(turn) + bend, y * np.cos(turn) - x * np.sin(turn) + bend
    threads = np.sin(along * np.pi / thread) * np.sin(across * np.pi / thread)
    return np.asarray(threads * (0.4 + 0.6 * smooth_noise(rng, height, width, 12 * thread)), np.float32)


def wobbly_disc(rng: Generator, height: int, width: int, radius: float, beyond: float = 0.1) -> Plane:
    """Distance (H, W) in pixels from the outline of a roughly round stain, negative inside.

    Its middle lies on the page, or outside by up to the share `beyond` of the page's sides.
    """
    centre_y, centre_x = (rng.uniform(-beyond, 1 + beyond) * side for side in (height, width))
    stretch = rng.uniform(0.7, 1.4)
    y = (np.arange(height, dtype=np.float32)[:, None] - centre_y) * stretch
    x = np.arange(width, dtype=np.float32)[None, :] - centre_x
    distance = np.sqrt(x * x + y * y)
    wobble = fractal_noise(rng, height, width, radius, 3) * radius * rng.uniform(0.1, 0.7)
    return np.asarray(distance + wobble - radius, np.float32)


def line_distance(rng: Generator, height: int, width: int) -> Plane:
    """Signed distance (H, W) in pixels from a slightly bent line across the page."""
    angle = rng.choice([0, np.pi / 2]) + rng.normal(0, 0.08) if rng.random() < 0.6 else rng.uniform(0, np.pi)
    point_y, point_x = rng.uniform(0.05, 0.95) * height, rng.uniform(0.05, 0.95) * width
    y = np.arange(height, dtype=np.float32)[:, None] - point_y
    x = np.arange(width, dtype=np.float32)[None, :] - point_x
    straight = np.sin(angle) * x - np.cos(angle) * y
    bend = fractal_noise(rng, height, width, max(height, width) / 3, 3) * rng.uniform(2, 14)
    return np.asarray(straight + bend, np.float32)
