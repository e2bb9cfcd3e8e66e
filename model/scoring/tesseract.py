"""Tesseract's reading of a page, and its character error rate against the page's text.

Tesseract runs as a separate program, on one thread. The text of a page comes from a transcription beside its
image: plain text, ALTO or hOCR.
"""

import os
import subprocess
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np

from model.images import IMAGES, DataFault
from model.page import Page

TRANSCRIPTIONS = (".txt", ".gt.txt", ".alto", ".alto.xml", ".xml", ".hocr", ".html")
"""Endings of transcriptions, in the order in which they are tried."""

_TIMEOUT_S = 600


class OcrFault(RuntimeError):
    """Tesseract failed; the sentence holds its message."""


class OcrMissing(OcrFault):
    """Tesseract or its data for a language is not installed; the sentence says how to install it."""


def read_text(page: Page, dpi: float | None = None, languages: str = "eng") -> str:
    """The text that Tesseract reads on a page, line by line.

    Args:
        page: grey or RGB.
        dpi: the scan's resolution; if None, Tesseract estimates it from the height of letters.
        languages: codes of Tesseract's data, joined by `+`, as in `fra+lat`.

    Raises:
        OcrMissing: Tesseract is not installed.
        OcrFault: it refused, died or took longer than ten minutes.
    """
    _, png = cv2.imencode(".png", page if page.ndim == 2 else cv2.cvtColor(page, cv2.COLOR_RGB2BGR))  # noqa: PLR2004
    resolution = ["--dpi", str(round(dpi))] if dpi else []
    return _tesseract("stdin", "stdout", "-l", languages, *resolution, given=png.tobytes()).strip()


def require_languages(languages: str) -> None:
    """Check, before hours of work, that Tesseract and its data for these languages are installed.

    Raises:
        OcrMissing: they are not.
        OcrFault: Tesseract doesn't run.
    """
    installed = _tesseract("--list-langs").splitlines()[1:]  # the first line is a heading
    for language in languages.split("+"):
        if language not in installed:
            package = f"tesseract-ocr-{language.lower().replace('_', '-')}"
            raise OcrMissing(f"Tesseract has no data for the language {language!r}: apt install {package}")


def _tesseract(*words: str, given: bytes = b"") -> str:
    # More threads make Tesseract slower, and the other cores have other work.
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    try:
        run = subprocess.run(
            ["tesseract", *words], input=given, capture_output=True, check=False,
            timeout=_TIMEOUT_S, env=environment,
        )  # fmt: skip
    except OSError as error:
        raise OcrMissing("Tesseract is not installed: apt install tesseract-ocr") from error
    except subprocess.TimeoutExpired as error:
        raise OcrFault(f"Tesseract needed more than {_TIMEOUT_S} s for a page") from error
    if run.returncode:
        said = run.stderr.decode("utf-8", "replace").split("\n")
        reason = next((line for line in reversed(said) if line.strip()), f"exit code {run.returncode}")
        raise OcrFault(f"Tesseract failed: {reason.strip()}")
    return run.stdout.decode("utf-8", "replace")


def normalised(text: str) -> str:
    """Text in Unicode NFC, with each run of white space as one space, and none at the ends."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def character_error_rate(read: str, truth: str) -> float:
    """Insertions, deletions and substitutions (Levenshtein 1966) per character of the truth.

    Both texts are `normalised` first. 0 is perfect; more than 1 is possible. If the truth is empty: 0 if
    nothing was read, else 1.
    """
    read, truth = normalised(read), normalised(truth)
    if not truth:
        return float(bool(read))
    return _edits(read, truth) / len(truth)


def _edits(a: str, b: str) -> int:
    """Levenshtein's distance: the table of Wagner and Fischer, row by row."""
    codes = np.array([ord(character) for character in b], np.int64)
    columns = np.arange(len(b) + 1)
    row = columns
    for index, character in enumerate(a, 1):
        best = np.empty_like(row)
        best[0] = index
        best[1:] = np.minimum(row[1:] + 1, row[:-1] + (codes != ord(character)))
        # An insertion comes from the left: the smallest of best[k] + (j - k) for all k up to j.
        row = np.minimum.accumulate(best - columns) + columns
    return int(row[-1])


def transcription_of(image: Path) -> str | None:
    """The text of the transcription beside an image; None if there is no transcription.

    For `page.tif.jpeg` this tries `page.tif.jpeg.txt`, `page.tif.txt` and `page.txt`, and the same with the
    other endings of `TRANSCRIPTIONS`. XML that isn't ALTO and HTML that isn't hOCR are ignored.

    Raises:
        DataFault: a transcription can't be read.
    """
    for path in _beside(image):
        if path.is_file() and (text := _text_of(path)) is not None:
            return text
    return None


def _beside(image: Path) -> Iterator[Path]:
    stems = [image.name, image.stem]
    if Path(image.stem).suffix.lower() in IMAGES:
        stems.append(Path(image.stem).stem)
    return (image.with_name(stem + ending) for stem in stems for ending in TRANSCRIPTIONS)


def _text_of(path: Path) -> str | None:
    try:
        if path.suffix == ".txt":
            return path.read_text("utf-8-sig")
        if path.suffix in (".xml", ".alto"):
            return _alto(ElementTree.parse(path).getroot())
        return _hocr(path.read_text("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataFault(f"{path} is no UTF-8 text: save it as UTF-8") from error
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # the latter two for its encoding
        raise DataFault(f"{path} is broken XML: {error}") from error
    except OSError as error:
        raise DataFault(f"{path} can't be read: {error.strerror or error}") from error


def _alto(root: ElementTree.Element) -> str | None:
    """The lines of ALTO of any version (loc.gov/standards/alto); words divided at line ends stay divided."""
    if _tag(root) != "alto":
        return None
    lines = []
    for line in root.iter():
        if _tag(line) == "TextLine":
            words = " ".join(word.get("CONTENT", "") for word in line if _tag(word) == "String")
            hyphens = "".join(hyphen.get("CONTENT", "-") for hyphen in line if _tag(hyphen) == "HYP")
            lines.append(words + hyphens)
    return "\n".join(lines)


def _tag(element: ElementTree.Element) -> str:
    """An element's name without its namespace, which differs between versions."""
    return element.tag.rpartition("}")[2]


def _hocr(content: str) -> str | None:
    parser = _HocrParser()
    parser.feed(content)
    parser.close()
    lines = "".join(parser.pieces).split("\n")
    return "\n".join(" ".join(line.split()) for line in lines if line.strip()) if parser.in_page else None


class _HocrParser(HTMLParser):
    """Collects the text of hOCR pages (kba.github.io/hocr-spec), which are HTML and not always XML."""

    def __init__(self) -> None:
        super().__init__()
        self.in_page = False
        self.pieces: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Separate words by spaces, and lines, paragraphs and columns by line feeds."""
        classes = (dict(attrs).get("class") or "").split()
        self.in_page = self.in_page or "ocr_page" in classes
        if "ocrx_word" in classes:
            self.pieces.append(" ")
        elif any(name.startswith("ocr") and name != "ocrx_cinfo" for name in classes):
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        """Keep text; the file's line feeds count as spaces."""
        if self.in_page:
            self.pieces.append(data.replace("\n", " "))
