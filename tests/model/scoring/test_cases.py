"""What is found to score, and what is refused by name before any work."""

from pathlib import Path

import pytest
from PIL import Image

from model.images import DataFault
from model.scoring.cases import Case, find_cases


def picture(path: Path, width: int = 30, height: int = 20, mode: str = "L", dpi: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (width, height), "white").save(path, **({"dpi": (dpi, dpi)} if dpi else {}))
    return path


def refused(folder: Path, *words: str, ocr: bool = False) -> None:
    with pytest.raises(DataFault) as caught:
        find_cases(folder, ocr)
    assert all(word in str(caught.value) for word in words), caught.value
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("truths", ["clean", "gt"])
def test_pairs_by_name_in_order(tmp_path: Path, truths: str) -> None:
    for name in ("b", "a", "a.c"):
        picture(tmp_path / "noisy" / f"{name}.png", mode="RGB")
        picture(tmp_path / truths / f"{name}.tif")
        (tmp_path / truths / f"{name}.txt").write_text(f"text of {name}")
    (tmp_path / "noisy" / "a.txt").write_text("text beside the scan")
    cases = find_cases(tmp_path)
    assert [(c.name, c.text) for c in cases] == [("a.c.png", None), ("a.png", None), ("b.png", None)]
    assert cases[0].scan == tmp_path / "noisy" / "a.c.png"
    assert cases[0].truth == tmp_path / truths / "a.c.tif"
    texts = [case.text for case in find_cases(tmp_path, ocr=True)]
    assert texts == ["text of a.c", "text beside the scan", "text of b"]
    scan, truth = cases[0].read()
    assert scan.shape == (20, 30, 3) and truth is not None and truth.shape == (20, 30)


def test_scans_with_transcriptions_only(tmp_path: Path) -> None:
    picture(tmp_path / "box" / "p1.jpg")
    (tmp_path / "box" / "p1.xml").write_text("<alto><TextLine><String CONTENT='one'/></TextLine></alto>")
    picture(tmp_path / "p2.png")
    (tmp_path / "p2.txt").write_text("two")
    (tmp_path / "notes.pdf").write_bytes(b"no image")
    cases = find_cases(tmp_path, ocr=True)
    assert [(c.name, c.text) for c in cases] == [("box/p1.jpg", "one"), ("p2.png", "two")]
    assert cases[0].truth is None and cases[0].read()[1] is None
    refused(tmp_path, str(tmp_path), "noisy/ and clean/", "--ocr")
    (tmp_path / "p2.txt").unlink()
    refused(tmp_path, "p2.png", "transcription", ocr=True)


def test_folders_that_hold_nothing(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "nowhere", "is no folder")
    refused(picture(tmp_path / "file.png"), "file.png", "is no folder")
    (tmp_path / "empty").mkdir()
    for ocr in (False, True):
        refused(tmp_path / "empty", "empty", "holds nothing to score", ocr=ocr)
    (tmp_path / "half" / "noisy").mkdir(parents=True)
    refused(tmp_path / "half", "half", "clean/ (or gt/) is missing")
    (tmp_path / "half" / "gt").mkdir()
    refused(tmp_path / "half", "half/noisy holds no images")
    picture(tmp_path / "half" / "noisy" / "a.png")
    refused(tmp_path / "half", "half/gt holds no images")
    picture(tmp_path / "other" / "clean" / "a.png")
    refused(tmp_path / "other", "other", "noisy/ is missing")


@pytest.mark.parametrize("lonely", ["noisy", "clean"])
def test_missing_partners(tmp_path: Path, lonely: str) -> None:
    for folder in ("noisy", "clean"):
        picture(tmp_path / folder / "a.png")
    picture(tmp_path / lonely / "b.png")
    other = {"noisy": "clean", "clean": "noisy"}[lonely]
    refused(tmp_path, f"{lonely}/b.png has no partner in", f"/{other}:")


def test_pairs_of_unequal_size(tmp_path: Path) -> None:
    picture(tmp_path / "noisy" / "a.png", 30, 20)
    picture(tmp_path / "clean" / "a.png", 30, 21)
    refused(tmp_path, "noisy/a.png and", "clean/a.png differ in size: 30x20 and 30x21")
    picture(tmp_path / "clean" / "a.png", 20, 30)  # as one that its orientation tag turns
    (case,) = find_cases(tmp_path)
    with pytest.raises(DataFault, match="differ in size: 30x20 and 20x30"):
        case.read()


def test_images_that_are_none(tmp_path: Path) -> None:
    picture(tmp_path / "noisy" / "a.png")
    picture(tmp_path / "clean" / "a.png").write_bytes(b"no image")
    refused(tmp_path, "clean/a.png can't be read as an image")


@pytest.mark.parametrize(("stated", "meant"), [(300, 300), (None, None), (96, None), (9999, None)])
def test_resolutions_that_can_be_meant(tmp_path: Path, stated: int | None, meant: int | None) -> None:
    dpi = Case("a", picture(tmp_path / "a.png", dpi=stated)).dpi()
    assert dpi == (None if meant is None else pytest.approx(meant, abs=0.1))
