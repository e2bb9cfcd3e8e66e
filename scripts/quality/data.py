"""Cases from the material in `--data`: pairs, 1-bit truths, old books and office scans.

The folder is laid out as the project's own material: `noisyoffice` and each folder in `dibco` hold noisy/ and
clean/ (or gt/), `old-books` images with ALTO beside them, `office-scans` TIFFs, `born-digital-pdf` PDFs. A
folder that isn't there is skipped.
"""

import fnmatch
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from model.images import IMAGES, read_page
from model.scoring.cases import Case as Scan
from model.scoring.tesseract import read_text, transcription_of
from model.training.data import load_pairs
from scripts.quality.case import Case, Task
from scripts.quality.scores import read_words, score_ink, score_pair, score_reading

T = TypeVar("T")
BOOKS_LANGUAGE = "fra"
ENLARGED = (2, 3, 4)
"""How many times pages are enlarged, so that their writing becomes wide."""


@dataclass(frozen=True)
class Material:
    """What to measure on.

    Attributes:
        folder: `--data`.
        held_out: glob patterns on folder/name; if none of them matches, all is taken.
        pages: how many pages to render.
        quick: whether to take only two cases of a kind.
        reads: whether Tesseract is installed.
    """

    folder: Path
    held_out: Sequence[str]
    pages: int
    quick: bool
    reads: bool

    def some(self, cases: list[T]) -> list[T]:
        """All of them, or two if `quick`."""
        return cases[:2] if self.quick else cases

    def choose(self, names: Sequence[str]) -> tuple[list[str], str]:
        """The names that are held out, and that in words."""
        held = [name for name in names if any(fnmatch.fnmatch(name, pattern) for pattern in self.held_out)]
        if not held:
            return list(names), f"all {len(names)}, nothing held out"
        patterns = [p for p in self.held_out if any(fnmatch.fnmatch(name, p) for name in names)]
        return held, f"{len(held)} of {len(names)}, held out by {', '.join(f'`{p}`' for p in patterns)}"


def pairs_task(material: Material, pool: ThreadPoolExecutor) -> Task | None:
    """Pairs with grey truths."""
    found = _pairs([material.folder / "noisyoffice"])
    if not found:
        return None
    cases, words = _held_out(material, found)
    if material.reads:
        texts = pool.map(lambda case: read_text(case.clean, case.dpi, case.languages), cases)
        cases = [replace(case, text=text) for case, text in zip(cases, texts, strict=True)]
    return Task("pairs", f"pairs of damaged and clean pages: {words}", cases, score_pair)


def ink_task(material: Material, _pool: ThreadPoolExecutor) -> Task | None:
    """Pairs with 1-bit truths."""
    found = _pairs(folders_in(material.folder / "dibco"))
    if not found:
        return None
    cases, words = _held_out(material, found)
    return Task("dibco", f"pages with 1-bit truths: {words}", cases, score_ink)


def scales_task(material: Material, pool: ThreadPoolExecutor) -> Task | None:
    """The same pages, enlarged: scans of the same writing at higher resolutions."""
    task = ink_task(material, pool)
    if task is None:
        return None
    cases = [_enlarged(case, times) for times in ENLARGED for case in task.cases]
    return Task("scales", f"{task.about}, enlarged bicubically", cases, score_ink)


def _enlarged(case: Case, times: int) -> Case:
    page = cv2.resize(case.page, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)
    truth = cv2.resize(case.clean, None, fx=times, fy=times, interpolation=cv2.INTER_LINEAR)
    page, truth = (np.asarray(one, np.uint8) for one in (page, truth))
    return replace(case, name=f"{case.name} x {times}", group=f"{times} times", page=page, truth=truth)


def _pairs(folders: Iterable[Path]) -> list[Case]:
    return [
        Case(f"{folder.name}/{pair.name}", folder.name, pair.noisy, truth=pair.clean)
        for folder in folders if folder.is_dir() for pair in load_pairs(folder)
    ]  # fmt: skip


def _held_out(material: Material, cases: list[Case]) -> tuple[list[Case], str]:
    names, words = material.choose([case.name for case in cases])
    chosen = set(names)
    return material.some([case for case in cases if case.name in chosen]), words


def real_task(material: Material, pool: ThreadPoolExecutor) -> Task | None:
    """Old books with transcriptions, and office scans, which have only Tesseract's own reading."""
    books = material.some(_books(material.folder / "old-books"))
    office = material.some(_office(material.folder / "office-scans"))
    if not books and not office:
        return None
    readings = pool.map(lambda case: read_words(case.page, case.dpi, case.languages)[0], office)
    office = [replace(case, text=text) for case, text in zip(office, readings, strict=True)]
    about = f"{len(books)} transcribed pages of old books, the first pages of {len(office)} office scans"
    return Task("real", about, [*books, *office], score_reading)


def _books(folder: Path) -> list[Case]:
    cases = []
    for path in image_files(folder):
        text = transcription_of(path)
        if text is not None:
            case = _scan(path, f"{folder.name}/{path.parent.name}")
            cases.append(replace(case, text=text, languages=BOOKS_LANGUAGE))
    return cases


def _office(folder: Path) -> list[Case]:
    return [replace(_scan(path, folder.name), own_reading=True) for path in image_files(folder)]


def _scan(path: Path, group: str) -> Case:
    return Case(f"{group}/{path.name}", group, read_page(path), Scan(path.name, path).dpi())


def image_files(folder: Path) -> list[Path]:
    """The images below a folder, in the order of their paths."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGES)


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, in the order of their names; none if it doesn't exist."""
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
