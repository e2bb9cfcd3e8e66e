"""The cases of an evaluation: pairs of scans and truths, or scans with transcriptions."""

import struct
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from model.images import IMAGES, DataFault, read_page
from model.page import Page
from model.scoring.tesseract import transcription_of

_TRUTHS = ("clean", "gt")
_CREDIBLE_DPI = (100, 2400)
"""Lower are the 72 and 96 of screens, which tell nothing about a scan; Tesseract accepts nothing higher."""


@dataclass(frozen=True)
class Case:
    """One scan and what it is compared with: a truth image, a text or both.

    Attributes:
        name: the name of the scan's file, relative to the folder of scans.
        scan: the image to clean.
        truth: the image that it should become.
        text: the text of the page, from the transcription beside the scan or the truth.
    """

    name: str
    scan: Path
    truth: Path | None = None
    text: str | None = None

    def read(self) -> tuple[Page, Page | None]:
        """The pixels of the scan and its truth, of equal height and width.

        Raises:
            DataFault: one of them can't be read, or they differ in size.
        """
        scan = read_page(self.scan)
        if self.truth is None:
            return scan, None
        truth = read_page(self.truth)
        if scan.shape[:2] != truth.shape[:2]:
            raise _unequal(self.scan, self.truth, scan.shape[1::-1], truth.shape[1::-1])
        return scan, truth

    def dpi(self) -> float | None:
        """The scan's resolution from its file, None where it is missing or not credible."""
        with Image.open(self.scan) as image:
            dpi = float(image.info.get("dpi", (0,))[0])
        return dpi if _CREDIBLE_DPI[0] <= dpi <= _CREDIBLE_DPI[1] else None


def find_cases(folder: Path, ocr: bool = False) -> list[Case]:
    """All scans of a folder, in the order of their names.

    A folder that contains `noisy/` and `clean/` (or `gt/`) holds pairs: files with the same name except for
    the ending. In any other folder and its subfolders, images with transcriptions beside them are scans.
    Sizes are compared here, from the files' headers, so that no evaluation fails at its last pair.

    Args:
        folder: where to look.
        ocr: whether text will be scored; if not, transcriptions are ignored.

    Raises:
        DataFault: the folder is missing or empty; a partner or a transcription is missing; sizes differ; a
            file can't be read. The sentence names the file.
    """
    if not folder.is_dir():
        raise DataFault(f"{folder} is no folder: name one with noisy/ and clean/ (or gt/) in it")
    truths = next((folder / name for name in _TRUTHS if (folder / name).is_dir()), None)
    if truths is None and not (folder / "noisy").is_dir():
        return _transcribed(folder, ocr)
    if truths is None or not (folder / "noisy").is_dir():
        missing = "clean/ (or gt/)" if truths is None else "noisy/"
        raise DataFault(f"{folder} is only half a folder of pairs: {missing} is missing")
    return _pairs(folder / "noisy", truths, ocr)


def _pairs(scans: Path, truths: Path, ocr: bool) -> list[Case]:
    noisy, clean = _images(scans), _images(truths)
    partners = {path.stem: path for path in clean}
    stems = {path.stem for path in noisy}
    alone = [p for p in noisy if p.stem not in partners] + [p for p in clean if p.stem not in stems]
    if alone:
        other = truths if alone[0].parent == scans else scans
        raise DataFault(f"{alone[0]} has no partner in {other}: add it, or remove the file")
    cases = []
    for scan in noisy:
        truth = partners[scan.stem]
        sizes = _size(scan), _size(truth)
        if sorted(sizes[0]) != sorted(sizes[1]):  # a TIFF's orientation tag may still turn the page
            raise _unequal(scan, truth, *sizes)
        text = _text_beside(scan, truth) if ocr else None
        cases.append(Case(scan.name, scan, truth, text))
    return cases


def _text_beside(scan: Path, truth: Path) -> str | None:
    text = transcription_of(scan)
    return transcription_of(truth) if text is None else text


def _transcribed(folder: Path, ocr: bool) -> list[Case]:
    scans = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGES and p.is_file())
    if not scans:
        raise DataFault(f"{folder} holds nothing to score: it needs noisy/ and clean/ (or gt/) with images")
    if not ocr:
        raise DataFault(
            f"{folder} is no folder of pairs: it needs noisy/ and clean/ (or gt/) in it, or, for images with "
            "transcriptions beside them, --ocr"
        )
    cases = []
    for scan in scans:
        text = transcription_of(scan)
        if text is None:
            raise DataFault(f"{scan} has neither a truth nor a transcription (.txt, ALTO or hOCR) beside it")
        cases.append(Case(scan.relative_to(folder).as_posix(), scan, text=text))
    return cases


def _images(folder: Path) -> list[Path]:
    images = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGES and p.is_file())
    if not images:
        raise DataFault(f"{folder} holds no images ({', '.join(IMAGES)})")
    return images


def _size(path: Path) -> tuple[int, int]:
    """Width and height from the file's header."""
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError) as error:
        raise DataFault(f"{path} can't be read as an image: {error}") from error


def _unequal(scan: Path, truth: Path, *sizes: tuple[int, ...]) -> DataFault:
    first, second = (f"{width}x{height}" for width, height in sizes)
    return DataFault(f"{scan} and {truth} differ in size: {first} and {second} pixels")
