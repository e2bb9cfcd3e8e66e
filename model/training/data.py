"""Training data: pairs of damaged and clean pages from disk, and clean pages that code will damage."""

import fnmatch
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pypdfium2
from numpy.random import Generator

from model.drawing.pages import render_page, system_fonts
from model.images import IMAGES, DataFault, read_page
from model.page import Page, Pair, as_grey
from model.scoring.cases import find_cases
from model.training.cleaner_samples import Patches

CLEAN_PAGES = 120
"""The most clean pages that are read from one folder."""
RENDERED_PAGES = 200


def read_pairs(folders: Sequence[Path], patterns: Sequence[str]) -> tuple[list[Pair], list[Pair]]:
    """The pairs of all folders, named `folder/name`: those to train on, and those held out by the patterns.

    Raises:
        DataFault: a folder holds no readable pairs, no pair is left to train on, or the patterns match none.
    """
    pairs = [
        replace(pair, name=f"{folder.name}/{pair.name}") for folder in folders for pair in load_pairs(folder)
    ]
    known, held = hold_out(pairs, patterns)
    if pairs and not known:
        raise DataFault("--hold-out holds out all pairs: none is left to train on")
    if patterns and not held:
        raise DataFault(f"--hold-out {' '.join(patterns)} matches none of the pairs: check the patterns")
    return known, held


def make_patches(known: Sequence[Pair], clean: Sequence[Path], seed: int) -> Patches:
    """The training samples: pairs, pages from folders of clean ones, and pages drawn by our own code.

    Raises:
        DataFault: a folder holds no readable clean pages.
    """
    rng = np.random.default_rng(seed)
    pages = [page for folder in clean for page in load_clean_pages(folder, rng, CLEAN_PAGES)]
    return Patches(known, pages + render_pages(rng, RENDERED_PAGES), seed)


def load_pairs(folder: Path) -> list[Pair]:
    """Read `folder/noisy/*` with the same-named files of `folder/clean` (or `gt`), in name order.

    Raises:
        DataFault: a folder is missing or empty, a partner is missing, sizes differ, a file is no image.
    """
    pairs = []
    for case in find_cases(folder):
        noisy, truth = case.read()
        assert truth is not None  # without OCR, a scan without a truth is refused
        pairs.append(Pair(case.name, noisy, as_grey(truth) if noisy.ndim == 2 else truth))  # noqa: PLR2004
    return pairs


def hold_out(pairs: Sequence[Pair], patterns: Sequence[str]) -> tuple[list[Pair], list[Pair]]:
    """Split by name into pairs to train on, and held-out ones: those that match any of the glob patterns."""
    held = [any(fnmatch.fnmatch(pair.name, pattern) for pattern in patterns) for pair in pairs]
    known = [pair for pair, out in zip(pairs, held, strict=True) if not out]
    return known, [pair for pair, out in zip(pairs, held, strict=True) if out]


def load_clean_pages(folder: Path, rng: Generator, limit: int) -> list[Page]:
    """Up to `limit` clean pages: the folder's images, and one page of each of its PDFs at 150 to 350 dpi.

    Raises:
        DataFault: the folder holds neither images nor PDFs, or one of them can't be read.
    """
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (*IMAGES, ".pdf") and p.is_file())
    if not paths:
        raise DataFault(f"{folder} holds no images and no PDFs to learn clean pages from")
    chosen = [paths[i] for i in rng.permutation(len(paths))[:limit]]
    return [pdf_page(p, rng) if p.suffix.lower() == ".pdf" else read_page(p) for p in chosen]


def pdf_page(path: Path, rng: Generator) -> Page:
    """A random page of a PDF in grey, drawn at 150 to 350 dpi.

    Raises:
        DataFault: the PDF can't be read or has no pages.
    """
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
