"""Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747): garments of ten classes, and noise for them."""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from model.gallery.idx import read_idx
from model.gallery.systems import FASHION_MNIST
from model.images import DataFault

CLASSES = (
    "T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
SIDE = 28
NOISE = 0.1
"""The share of pixels that the article's noise makes black or white."""

_VALIDATION = 12
"""One of so many training images is kept for validation."""

Images: TypeAlias = NDArray[np.uint8]
"""(N, H, W), 0 black to 255 white."""


@dataclass(frozen=True)
class Garments:
    """Images of garments, 0 background to 255, with classes.

    Attributes:
        known: (N, 28, 28) uint8, training images to learn from.
        held: (K, 28, 28) uint8, training images kept for validation.
        test: (M, 28, 28) uint8, the test set, for the figures.
        labels: (M,) uint8, the classes of `test`.
    """

    known: Images
    held: Images
    test: Images
    labels: NDArray[np.uint8]

    def some(self, count: int) -> "Garments":
        """The first `count` images of each set."""
        return Garments(self.known[:count], self.held[:count], self.test[:count], self.labels[:count])


def no_garments() -> Garments:
    """No images, for systems that learn from something else."""
    none = np.zeros((0, SIDE, SIDE), np.uint8)
    return Garments(none, none, none, np.zeros(0, np.uint8))


def load_garments(folder: Path) -> Garments:
    """Read the four files of Fashion-MNIST, which have their original names.

    Raises:
        DataFault: a file is missing or wrong; the sentence names it.
    """
    if not (folder / "train-images-idx3-ubyte.gz").is_file():
        raise DataFault(
            f"no Fashion-MNIST in {folder}: `apt install dataset-fashion-mnist` puts it into "
            f"{FASHION_MNIST}, or name the folder of its four .gz files with --data"
        )
    train, _ = _labelled(folder, "train")
    test, labels = _labelled(folder, "t10k")
    held = np.arange(len(train)) % _VALIDATION == 0
    return Garments(train[~held], train[held], test, labels)


def _labelled(folder: Path, which: str) -> tuple[Images, NDArray[np.uint8]]:
    paths = (folder / f"{which}-{what}-ubyte.gz" for what in ("images-idx3", "labels-idx1"))
    (images_path, images), (labels_path, labels) = (
        (path, read_idx(path, axes)) for path, axes in zip(paths, (3, 1), strict=True)
    )
    if images.shape[1:] != (SIDE, SIDE):
        height, width = images.shape[1:]
        raise DataFault(f"{images_path} holds images of {width}x{height} pixels, not {SIDE}x{SIDE}")
    if len(images) != len(labels):
        raise DataFault(f"{labels_path} has {len(labels)} labels for {len(images)} images")
    if labels.max() >= len(CLASSES):
        raise DataFault(f"{labels_path} has labels above {len(CLASSES) - 1}")
    return images, labels


def fingerprint(images: Images) -> int:
    """A checksum, by which a continued training recognises its data."""
    return zlib.crc32(images.tobytes())


def salt_and_pepper(rng: Generator, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images with a tenth of their pixels (`NOISE`) made black or white, with equal chances.

    Args:
        rng: source of all random numbers.
        images: of any shape, 0..1; they are not changed.
    """
    dice = rng.random(images.shape, np.float32)
    spoilt = np.where(dice < NOISE / 2, np.float32(0), images)
    return np.where(dice > 1 - NOISE / 2, np.float32(1), spoilt)
