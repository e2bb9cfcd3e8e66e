"""Photographs by our own code: unlike stains they have hard edges, some of them straight, and depth.

A patch may lie inside of a photograph or of a stain, and a network has to tell one from the other there. So
photographs are not noise: shapes with outlines cover one another, each of an even shade from black to white.
"""

import cv2
import numpy as np
from numpy.random import Generator

from model.drawing.textures import grain, smooth_noise
from model.page import Plane

_THINGS = 60
"""The most shapes in a photograph."""


def photograph(rng: Generator, height: int, width: int) -> Plane:
    """A picture in soft tones, (H, W) float32 in 0..1."""
    side = max(height, width)
    ramp = rng.uniform(-0.4, 0.4) * np.arange(height, dtype=np.float32)[:, None] / height
    tones = np.ascontiguousarray(np.broadcast_to(rng.uniform(0.3, 0.9) + ramp, (height, width)), np.float32)
    for _ in range(int(rng.integers(8, _THINGS))):
        middle = rng.uniform(0, (width, height))
        reach = side * np.exp(rng.uniform(np.log(0.01), np.log(0.4)))
        tone = float(rng.uniform(0, 1))
        if rng.random() < 0.4:
            axes = np.maximum(1, reach * rng.uniform(0.2, 1, 2)).astype(int).tolist()
            cv2.ellipse(tones, middle.astype(int).tolist(), axes, rng.uniform(0, 180), 0, 360, tone, -1)
        else:
            turns = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
            corners = middle + reach * rng.uniform(0.3, 1) * np.stack((np.cos(turns), np.sin(turns)), 1)
            cv2.fillPoly(tones, [corners.astype(np.int32)], tone)
    tones *= 0.75 + 0.5 * smooth_noise(rng, height, width, side * rng.uniform(0.1, 0.5))
    tones = np.asarray(cv2.GaussianBlur(tones, (0, 0), rng.uniform(0.4, 1.5)), np.float32)
    return np.clip(tones + rng.uniform(0, 0.04) * grain(rng, height, width), 0, 1)


def halftone(rng: Generator, tones: Plane, dpi: float) -> Plane:
    """The same picture as the dots of a printer's screen, 45 to 85 per inch: (H, W), 0 or 1."""
    height, width = tones.shape
    pitch = max(3.0, dpi / rng.uniform(45, 85))
    y, x = np.mgrid[0:height, 0:width] / pitch * np.pi
    screen = 0.5 + 0.25 * (np.sin(x + y) + np.sin(x - y))
    return np.asarray(tones > screen, np.float32)
