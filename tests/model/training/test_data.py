"""Training data: what can't be learned from is refused by name; batches are decided by seed and step."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.images import DataFault, read_page
from model.page import Pair
from model.training.data import hold_out, load_clean_pages, load_pairs, render_pages


def picture(path: Path, height: int = 20, width: int = 30, mode: str = "L") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (width, height), "white").save(path)
    return path


def refused(folder: Path, *names: str) -> None:
    with pytest.raises(DataFault) as caught:
        load_pairs(folder)
    assert all(name in str(caught.value) for name in names) and "\n" not in str(caught.value)


@pytest.mark.parametrize("clean", ["clean", "gt"])
def test_pairs_come_in_the_order_of_their_names(tmp_path: Path, clean: str) -> None:
    for name in ("b", "a", "a.c"):
        picture(tmp_path / "noisy" / f"{name}.png")
        picture(tmp_path / clean / f"{name}.tif", mode="RGB" if name == "b" else "L")
        (tmp_path / clean / f"{name}.json").write_text("{}")
    pairs = load_pairs(tmp_path)
    assert [p.name for p in pairs] == ["a.c.png", "a.png", "b.png"]
    assert all(p.noisy.shape == p.clean.shape == (20, 30) for p in pairs)


def test_pairs_that_are_none(tmp_path: Path) -> None:
    refused(tmp_path, str(tmp_path), "noisy/ and clean/")
    (tmp_path / "noisy").mkdir()
    refused(tmp_path, str(tmp_path), "half a folder of pairs")
    (tmp_path / "clean").mkdir()
    refused(tmp_path, "noisy", "holds no images")
    picture(tmp_path / "noisy" / "one.png")
    refused(tmp_path, "clean", "holds no images")
    picture(tmp_path / "clean" / "one.two.png")
    refused(tmp_path, "one.png", "has no partner")
    (tmp_path / "clean" / "one.two.png").unlink()
    picture(tmp_path / "clean" / "one.png", height=21)
    refused(tmp_path, "one.png", "differ in size", "21")
    (tmp_path / "clean" / "one.png").write_bytes(b"no image")
    refused(tmp_path, "clean/one.png", "can't be read as an image")


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG\r\n\x1a\n", b"II*\x00\x08\x00\x00\x00", b"BM" + b"\xff" * 60]
)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_what_is_no_image_is_named(tmp_path: Path, content: bytes, suffix: str) -> None:
    (tmp_path / f"x{suffix}").write_bytes(content)
    with pytest.raises(DataFault, match=rf"x\{suffix} can't be read as an image"):
        read_page(tmp_path / f"x{suffix}")


def test_a_picture_too_large_to_decode_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(DataFault, match="x.png"):
        read_page(picture(tmp_path / "x.png"))


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    greys = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    Image.fromarray(greys).save(tmp_path / "deep.png")
    assert np.array_equal(read_page(tmp_path / "deep.png"), np.arange(256, dtype=np.uint8).reshape(16, 16))


@pytest.mark.parametrize(("mode", "shape"), [("LA", (8, 8)), ("RGBA", (8, 8, 3))])
def test_what_is_transparent_is_paper(tmp_path: Path, mode: str, shape: tuple[int, ...]) -> None:
    Image.new(mode, (8, 8)).save(tmp_path / "clear.png")
    page = read_page(tmp_path / "clear.png")
    assert page.shape == shape and page.dtype == np.uint8 and page.min() == 255


def test_pixels_without_a_white_are_refused(tmp_path: Path) -> None:
    Image.new("F", (8, 8)).save(tmp_path / "float.tif")
    with pytest.raises(DataFault, match="float.tif.*mode F"):
        read_page(tmp_path / "float.tif")


def test_clean_pages_come_from_images_and_pdfs(tmp_path: Path) -> None:
    picture(tmp_path / "deep" / "one.png")
    Image.new("L", (60, 90), "white").save(tmp_path / "two.pdf", resolution=150)
    pages = load_clean_pages(tmp_path, np.random.default_rng(0), 10)
    assert sorted(p.ndim for p in pages) == [2, 2] and all(p.dtype == np.uint8 for p in pages)
    assert (20, 30) in [p.shape for p in pages]
    assert len(load_clean_pages(tmp_path, np.random.default_rng(0), 1)) == 1


def test_folders_without_clean_pages(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(DataFault, match="no images and no PDFs"):
            load_clean_pages(folder, np.random.default_rng(0), 5)
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4 broken")
    with pytest.raises(DataFault, match="a.pdf can't be read as a PDF"):
        load_clean_pages(tmp_path, np.random.default_rng(0), 5)


def test_a_pdf_without_pages(tmp_path: Path) -> None:
    import pypdfium2

    document = pypdfium2.PdfDocument.new()
    document.save(tmp_path / "empty.pdf")
    document.close()
    with pytest.raises(DataFault, match="empty.pdf"):
        load_clean_pages(tmp_path, np.random.default_rng(0), 5)


def some_pair(name: str) -> Pair:
    rng = np.random.default_rng(len(name))
    clean = np.where(rng.random((300, 280)) < 0.1, 0, 255).astype(np.uint8)
    return Pair(name, (clean * 0.8).astype(np.uint8), clean)


def test_what_is_held_out_is_never_trained_on() -> None:
    pairs = [some_pair(name) for name in ("a-ink.png", "b-ink.png", "a-oil.png")]
    kept, held = hold_out(pairs, ["*oil*", "b-*"])
    assert [p.name for p in kept] == ["a-ink.png"] and [p.name for p in held] == ["b-ink.png", "a-oil.png"]


def test_pages_of_our_own_are_half_in_colour() -> None:
    assert [p.ndim for p in render_pages(np.random.default_rng(0), 2)] == [2, 3]
