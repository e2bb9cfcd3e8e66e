"""Fashion-MNIST's files: read as they are, and refused in a sentence where they aren't what they say."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from model.gallery.garments import load_garments, salt_and_pepper
from model.gallery.idx import MAX_BYTES, read_idx
from model.gallery.systems import FASHION_MNIST
from model.images import DataFault
from tests.garments import draw_garments, idx, write_fashion_mnist

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def head(*shape: int, kind: int = 8) -> bytes:
    return bytes((0, 0, kind, len(shape))) + struct.pack(f">{len(shape)}I", *shape)


def test_an_array_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(idx(IMAGES)))
    assert np.array_equal(read_idx(path, 3), IMAGES)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "no IDX file"),
        (b"no gzip at all", "can't be read as a gzipped IDX file"),
        (gzip.compress(b"something else"), "no IDX file of bytes with 3 axes"),
        (gzip.compress(head(2, 3, 4, kind=13)), "no IDX file of bytes"),
        (gzip.compress(idx(IMAGES[0])), "with 3 axes"),
        (gzip.compress(head(2, 3)[:4].replace(b"\2", b"\3") + b"\0\0"), "can't be read"),
        (gzip.compress(head(2**31, 2**31, 2**31)), f"Pumice reads 1 to {MAX_BYTES}"),
        (gzip.compress(head(0, 28, 28)), "declares 0 bytes"),
        (gzip.compress(idx(IMAGES)[:-1]), "less than the 24 bytes"),
        (gzip.compress(idx(IMAGES) + b"\0"), "more than the 24 bytes"),
        (gzip.compress(idx(IMAGES))[:-9], "can't be read"),
        (gzip.compress(idx(IMAGES))[:-8] + b"\1\2\3\4\0\0\0\0", "CRC|more|can't be read"),
    ],
)
def test_hostile_files_are_named(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "bad.gz"
    path.write_bytes(content)
    with pytest.raises(DataFault, match=sentence) as caught:
        read_idx(path, 3)
    assert "bad.gz" in str(caught.value)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb") as file:
        file.write(head(1, 2, 2))
        for _ in range(32):
            file.write(bytes(2**20))
    with pytest.raises(DataFault, match="more than the 4 bytes"):
        read_idx(path, 3)


def test_a_missing_folder_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataFault, match="apt install dataset-fashion-mnist"):
        load_garments(tmp_path)


def test_what_is_known_held_and_tested_is_apart(tmp_path: Path) -> None:
    garments = load_garments(write_fashion_mnist(tmp_path, 96, 48))
    images, _ = draw_garments(96, 1)
    assert (len(garments.known), len(garments.held), len(garments.test)) == (88, 8, 48)
    assert np.array_equal(garments.held, images[::12])
    assert np.array_equal(garments.labels, draw_garments(48, 2)[1])


@pytest.mark.parametrize(
    ("name", "array", "sentence"),
    [
        ("t10k-labels-idx1", np.zeros(5, np.uint8), "5 labels for 48 images"),
        ("t10k-labels-idx1", np.full(48, 10, np.uint8), "labels above 9"),
        ("train-images-idx3", np.zeros((96, 32, 30), np.uint8), "30x32 pixels, not 28x28"),
    ],
)
def test_files_that_do_not_fit_are_named(
    tmp_path: Path, name: str, array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], sentence: str
) -> None:
    folder = write_fashion_mnist(tmp_path)
    (folder / f"{name}-ubyte.gz").write_bytes(gzip.compress(idx(array)))
    with pytest.raises(DataFault, match=sentence) as caught:
        load_garments(folder)
    assert name in str(caught.value)


@pytest.mark.skipif(not FASHION_MNIST.is_dir(), reason="needs Debian's dataset-fashion-mnist")
def test_the_real_one_is_read() -> None:
    garments = load_garments(FASHION_MNIST)
    assert len(garments.known) + len(garments.held) == 60_000 and len(garments.test) == 10_000
    assert (np.bincount(garments.labels) == 1000).all()


def test_salt_and_pepper_spoils_a_tenth() -> None:
    clean = np.full((50, 28, 28), 0.5, np.float32)
    noisy = salt_and_pepper(np.random.default_rng(0), clean)
    assert float((noisy == 0).mean()) == pytest.approx(0.05, abs=0.005)
    assert float((noisy == 1).mean()) == pytest.approx(0.05, abs=0.005)
    assert ((noisy == 0) | (noisy == 1) | (noisy == 0.5)).all() and (clean == 0.5).all()
