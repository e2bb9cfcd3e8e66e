"""Garments drawn by code, in the files of Fashion-MNIST, so that tests need no download."""

import gzip
import struct
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from model.gallery.garments import CLASSES, Garments, Images

SIDE = 28


def draw_garments(count: int, seed: int) -> tuple[Images, NDArray[np.uint8]]:
    """(N, 28, 28) images and their classes: boxes and ellipses, by class of other proportions."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(CLASSES), count).astype(np.uint8)
    images = np.zeros((count, SIDE, SIDE), np.uint8)
    for image, label in zip(images, labels, strict=True):
        width, height = 3 + label % 5 * 2 + int(rng.integers(0, 2)), 11 - label // 5 * 5
        shade = int(rng.integers(110, 256))
        if label % 2:
            cv2.ellipse(image, (14, 14), (width, height), 0, 0, 360, shade, -1)
        else:
            cv2.rectangle(image, (14 - width, 14 - height), (14 + width, 14 + height), shade, -1)
    return images, labels


def drawn(known: int = 256, test: int = 64) -> Garments:
    """What `load_garments` gives, small."""
    images, _ = draw_garments(known + 32, 1)
    tests, labels = draw_garments(test, 2)
    return Garments(images[:known], images[known:], tests, labels)


def idx(array: NDArray[np.uint8]) -> bytes:
    """An IDX file's bytes, without gzip."""
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_fashion_mnist(folder: Path, known: int = 96, test: int = 48) -> Path:
    """The four files; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for which, count, seed in (("train", known, 1), ("t10k", test, 2)):
        images, labels = draw_garments(count, seed)
        (folder / f"{which}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (folder / f"{which}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    return folder
