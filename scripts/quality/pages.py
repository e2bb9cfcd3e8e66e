"""Pages rendered from born-digital PDFs: damaged ones with the PDF's own text as truth, and clean ones.

One seed that no training uses decides the order of the PDFs, the page of each, and the damage.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pypdfium2

from model.drawing.damage import damage
from model.images import DataFault
from model.page import Page, as_grey, black_and_white
from model.scoring.tesseract import character_error_rate, read_text
from model.training.data import render_pages
from scripts.quality.case import Case, Task
from scripts.quality.data import Material
from scripts.quality.scores import score_page, score_untouched

SEED = 20_000
RESOLUTIONS = (150, 200, 300)
FEWEST_LETTERS = 200
READABLE = 0.005
"""The largest CER that Tesseract may have on a clean page. Hidden text, text in another order than the page's
and letters that it never reads right can't tell cleaners apart."""

_AHEAD = 4


@dataclass(frozen=True)
class Sheet:
    """A clean page of a PDF, and another page of the same size from it, if there is one."""

    name: str
    page: Page
    back: Page | None
    text: str
    dpi: int

    @property
    def group(self) -> str:
        """The page's resolution: tables have a column for each."""
        return f"{self.dpi} dpi"


def pages_task(material: Material, pool: ThreadPoolExecutor) -> Task | None:
    """Rendered pages, damaged."""
    sheets, words = _sheets(material)
    if not words:
        return None
    wanted = 2 if material.quick else material.pages
    cases = [_damaged(sheet, index) for index, sheet in enumerate(islice(_readable(sheets, pool), wanted))]
    about = f"{len(cases)} pages rendered from PDFs ({words}) and damaged by code with seed {SEED}"
    return Task("pages", about, cases, score_page)


def clean_task(material: Material, _pool: ThreadPoolExecutor) -> Task | None:
    """Pages that need no cleaning: from PDFs, in grey and 1-bit; drawn by our code, also with photographs."""
    wanted = 2 if material.quick else material.pages
    sheets, words = _sheets(material)
    pdfs = [Case(s.name, "PDFs", s.page, s.dpi) for s in islice(sheets, wanted)]
    cases = [*pdfs, *(_in_1_bit(case) for case in pdfs)]
    for group, pictures in (("drawn", False), ("drawn, photographs", True)):
        drawn = render_pages(np.random.default_rng(SEED), wanted, pictures)
        cases += [Case(f"{group} {index}", group, page) for index, page in enumerate(drawn)]
    of_pdfs = f"{len(pdfs)} pages rendered from PDFs ({words}), the same in 1-bit, " if words else ""
    about = f"{of_pdfs}{wanted} drawn by our own code, {wanted} with photographs among them"
    return Task("clean", about, cases, score_untouched)


def _in_1_bit(case: Case) -> Case:
    page = black_and_white(as_grey(case.page))
    return replace(case, name=f"{case.name}, 1-bit", group="PDFs, 1-bit", page=page)


def _sheets(material: Material) -> tuple[Iterator[Sheet], str]:
    """Pages with enough text, one of each PDF, and the PDFs in words; none if there is no PDF."""
    paths = {f"{path.parent.name}/{path.name}": path for path in pdf_files(material.folder)}
    if not paths:
        return iter(()), ""
    names, words = material.choose(sorted(paths))
    order = np.random.default_rng(SEED).permutation(len(names))
    drawn = (draw(paths[names[which]], index) for index, which in enumerate(order))
    return (sheet for sheet in drawn if len(sheet.text) >= FEWEST_LETTERS), words


def pdf_files(folder: Path) -> list[Path]:
    """The PDFs of the material, in the order of their names."""
    return sorted((folder / "born-digital-pdf").glob("*.pdf"))


def draw(path: Path, index: int) -> Sheet:
    """A page of a PDF, chosen by the index; raises DataFault."""
    rng = np.random.default_rng((SEED, index))
    dpi = RESOLUTIONS[index % len(RESOLUTIONS)]
    try:
        with pypdfium2.PdfDocument(path) as document:
            number = int(rng.integers(0, len(document)))
            page = _picture(document[number], dpi)
            back = _picture(document[(number + 1) % len(document)], dpi)
            text = document[number].get_textpage().get_text_bounded()
    except pypdfium2.PdfiumError as error:
        raise DataFault(f"{path} can't be read as a PDF: {error}") from error
    # PDFium has characters of its own for hyphens at a line's end.
    text = text.replace("\ufffe", "-").replace("\x02", "-")
    name = f"{path.parent.name}/{path.name}#{number + 1}"
    return Sheet(name, page, back if back.shape == page.shape else None, text, dpi)


def _picture(page: pypdfium2.PdfPage, dpi: int) -> Page:
    return np.asarray(page.render(scale=dpi / 72, grayscale=True).to_pil().convert("L"), np.uint8)


def _readable(sheets: Iterator[Sheet], pool: ThreadPoolExecutor) -> Iterator[Sheet]:
    """The sheets on which Tesseract finds the PDF's text, in order."""

    def wrong(sheet: Sheet) -> float:
        return character_error_rate(read_text(sheet.page, sheet.dpi), sheet.text)

    waiting: deque[tuple[Sheet, Future[float]]] = deque()
    while True:
        waiting.extend((sheet, pool.submit(wrong, sheet)) for sheet in islice(sheets, _AHEAD - len(waiting)))
        if not waiting:
            return
        sheet, error = waiting.popleft()
        if error.result() <= READABLE:
            yield sheet


def _damaged(sheet: Sheet, index: int) -> Case:
    rng = np.random.default_rng((SEED, index, 1))
    dirty = damage(sheet.page, rng, sheet.back)
    return Case(sheet.name, sheet.group, dirty, sheet.dpi, sheet.page, sheet.text)
