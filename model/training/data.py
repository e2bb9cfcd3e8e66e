"""Training data on disk: pairs of damaged and clean pages, and clean pages to be damaged by code."""

import fnmatch
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pypdfium2
from numpy.random import Generator

from model.drawing.pages import render_page, system_fonts
from model.images import IMAGES, DataFault, read_page
from model.page import Page, Pair, as_grey
from model.scoring.cases import find_cases


def load_pairs(folder: Path) -> list[Pair]:
    """Read `folder/noisy/*` with the same-named files of `folder/clean` (or `gt`), in name order.

    Raises:
        DataFault: a folder is missing or empty, a partner is missing, sizes differ, a file is no image.
    """
    pairs = []
    for case in find_cases(folder):
        noisy, truth = case.read()
        assert truth is not None  # without OCR, whoever has no truth is refused
        pairs.append(Pair(case.name, noisy, as_grey(truth) if noisy.ndim == 2 else truth))  # noqa: PLR2004
    return pairs


def _files(paths: Iterable[Path], suffixes: Sequence[str]) -> list[Path]:
    return sorted(path for path in paths if path.suffix.lower() in suffixes and path.is_file())


def hold_out(pairs: Sequence[Pair], patterns: Sequence[str]) -> tuple[list[Pair], list[Pair]]:
    """Split by name: those that match any of the glob patterns are held out, never trained on."""
    held = [any(fnmatch.fnmatch(pair.name, pattern) for pattern in patterns) for pair in pairs]
    known = [pair for pair, out in zip(pairs, held, strict=True) if not out]
    return known, [pair for pair, out in zip(pairs, held, strict=True) if out]


def load_clean_pages(folder: Path, rng: Generator, limit: int) -> list[Page]:
    """Up to `limit` clean pages: the folder's images, and pages of its PDFs drawn at 150 to 350 dpi.

    Raises:
        DataFault: the folder holds neither images nor PDFs, or one of them can't be read.
    """
    paths = _files(folder.rglob("*"), (*IMAGES, ".pdf"))
    if not paths:
        raise DataFault(f"{folder} holds no images and no PDFs to learn clean pages from")
    chosen = [paths[i] for i in rng.permutation(len(paths))[:limit]]
    return [pdf_page(p, rng) if p.suffix.lower() == ".pdf" else read_page(p) for p in chosen]


def pdf_page(path: Path, rng: Generator) -> Page:
    """A page of a PDF drawn at 150 to 350 dpi; raises DataFault."""
    try:
        document = pypdfium2.PdfDocument(path)
        try:
            if len(document) == 0:
                raise DataFault(f"{path} has no pages")
            page = document[int(rng.integers(0, len(document)))]
            bitmap = page.render(
                scale=float(np.exp(rng.uniform(np.log(150), np.log(350)))) / 72, grayscale=True
            )
            return np.ascontiguousarray(
                bitmap.to_numpy()[..., 0] if bitmap.n_channels > 1 else _plane(bitmap)
            )
        finally:
            document.close()
    except pypdfium2.PdfiumError as error:
        raise DataFault(f"{path} can't be read as a PDF: {error}") from error


def _plane(bitmap: "pypdfium2.PdfBitmap") -> Page:
    return np.asarray(bitmap.to_numpy(), np.uint8).reshape(bitmap.height, -1)[:, : bitmap.width].copy()


def render_pages(rng: Generator, count: int, pictures: bool = True) -> list[Page]:
    """Pages drawn by our own code at 150 to 300 dpi, half of them in colour."""
    fonts = system_fonts()
    pages = []
    for index in range(count):
        dpi = float(rng.uniform(150, 300))
        side = int(4.5 * dpi)
        colour = index % 2 == 1
        page = render_page(rng, side, side, dpi, fonts=fonts, colour=colour, pictures=pictures)
        pages.append(page)
    return pages
