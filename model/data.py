"""Training data: pairs of damaged and clean pages, and clean pages to be damaged by code.

Every batch is drawn from a generator seeded by (seed, step): a training that is continued sees what it would
have seen, and two runs of one seed see the same.
"""

import fnmatch
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pypdfium2
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from model.damage import Page, damage, damage_bitonal
from model.render import render_page, system_fonts

IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
_CLEAN_NAMES = ("clean", "gt")


class DataFault(ValueError):
    """The training data can't be used; the sentence names the file or folder."""


@dataclass(frozen=True)
class Pair:
    """A damaged page and the truth; equal shapes, grey or RGB uint8."""

    name: str
    noisy: Page
    clean: Page


def load_pairs(folder: Path) -> list[Pair]:
    """Read `folder/noisy/*` with the same-named files of `folder/clean` (or `gt`), in name order.

    Raises:
        DataFault: a folder is missing or empty, a partner is missing, sizes differ, a file is no image.
    """
    clean = next((folder / name for name in _CLEAN_NAMES if (folder / name).is_dir()), None)
    if not (folder / "noisy").is_dir() or clean is None:
        raise DataFault(f"{folder} is no folder of pairs: it needs noisy/ and clean/ (or gt/) in it")
    pairs = []
    partners = {path.stem: path for path in _files(clean.iterdir(), IMAGES)}
    for path in _files((folder / "noisy").iterdir(), IMAGES):
        partner = partners.get(path.stem)
        if partner is None:
            raise DataFault(f"{path} has no partner in {clean}")
        noisy, truth = read_page(path), read_page(partner)
        if noisy.shape[:2] != truth.shape[:2]:
            raise DataFault(f"{path} and {partner} differ in size: {noisy.shape[:2]} and {truth.shape[:2]}")
        if noisy.ndim != truth.ndim:
            noisy, truth = _as_grey(noisy), _as_grey(truth)
        pairs.append(Pair(path.name, noisy, truth))
    if not pairs:
        raise DataFault(f"{folder / 'noisy'} holds no images ({', '.join(IMAGES)})")
    return pairs


def _files(paths: Iterable[Path], suffixes: Sequence[str]) -> list[Path]:
    return sorted(path for path in paths if path.suffix.lower() in suffixes and path.is_file())


def hold_out(pairs: Sequence[Pair], patterns: Sequence[str]) -> tuple[list[Pair], list[Pair]]:
    """Split by name: those that match any of the glob patterns are held out, never trained on."""
    held = [p for p in pairs if any(fnmatch.fnmatch(p.name, pattern) for pattern in patterns)]
    names = {p.name for p in held}
    return [p for p in pairs if p.name not in names], held


def read_page(path: Path) -> Page:
    """An image file as grey (H, W) or RGB (H, W, 3) uint8; what is transparent is paper.

    Raises:
        DataFault: it is no image that can be read.
    """
    try:
        with Image.open(path) as image:
            if image.mode in ("I", "F"):
                raise ValueError(f"pixels of mode {image.mode} have no known white")
            if image.mode.startswith("I;16"):  # Pillow's own conversion cuts everything above 255
                return np.asarray((np.asarray(image).astype(np.uint32) + 128) // 257, np.uint8)
            grey = image.mode in ("1", "L", "LA")
            flat: Image.Image = image
            if image.has_transparency_data:
                flat = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
            return np.asarray(flat.convert("L" if grey else "RGB"), np.uint8)
    except (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError) as error:
        raise DataFault(f"{path} can't be read as an image: {error}") from error


def load_clean_pages(folder: Path, rng: Generator, limit: int) -> list[Page]:
    """Up to `limit` clean pages: the folder's images, and pages of its PDFs drawn at 150 to 300 dpi.

    Raises:
        DataFault: the folder holds neither images nor PDFs, or one of them can't be read.
    """
    paths = _files(folder.rglob("*"), (*IMAGES, ".pdf"))
    if not paths:
        raise DataFault(f"{folder} holds no images and no PDFs to learn clean pages from")
    chosen = [paths[i] for i in rng.permutation(len(paths))[:limit]]
    return [_pdf_page(p, rng) if p.suffix.lower() == ".pdf" else read_page(p) for p in chosen]


def _pdf_page(path: Path, rng: Generator) -> Page:
    try:
        document = pypdfium2.PdfDocument(path)
        try:
            if len(document) == 0:
                raise DataFault(f"{path} has no pages")
            page = document[int(rng.integers(0, len(document)))]
            bitmap = page.render(scale=float(rng.uniform(150, 300)) / 72, grayscale=True)
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


@dataclass(frozen=True)
class Patches:
    """Draws batches of patches from pairs and clean pages; both may be empty, but not at once."""

    pairs: Sequence[Pair]
    pages: Sequence[Page]
    seed: int

    def __post_init__(self) -> None:
        if not self.pairs and not self.pages:
            raise DataFault("there is nothing to train on: neither pairs nor clean pages")

    def batches(self, first: int, last: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        """The batches of steps first..last-1: (noisy, clean), each (N, C, S, S) uint8 with C 1 or 3."""
        for step in range(first, last):
            yield self.batch(np.random.default_rng((self.seed, step)))

    def batch(self, rng: Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """One batch: small or large patches (detail or stains), grey or colour."""
        colour = bool(self.pages) and rng.random() < 0.3  # noqa: PLR2004
        count, size = (8, 256) if rng.random() < 0.7 else (3, 416)  # noqa: PLR2004
        samples = [self._sample(rng, size, colour) for _ in range(max(1, count // 3) if colour else count)]
        noisy, clean = (np.stack([_planes(s[i], colour) for s in samples]) for i in (0, 1))
        return noisy, clean

    def _sample(self, rng: Generator, size: int, colour: bool) -> tuple[Page, Page]:
        if self.pairs and not colour and (not self.pages or rng.random() < 0.5):  # noqa: PLR2004
            pair = self.pairs[int(rng.integers(0, len(self.pairs)))]
            noisy, clean = _crop(rng, size, pair.noisy, pair.clean)
            return _augment_pair(rng, _as_grey(noisy), _as_grey(clean))
        page = self._patch(rng, size, colour)
        kind = rng.random()
        if kind < 0.18:  # noqa: PLR2004
            return page, page
        if kind < 0.30 and not colour:  # noqa: PLR2004
            return damage_bitonal(page, rng)
        other = self._patch(rng, size, False)
        return damage(page, rng, other, strength=float(rng.uniform(0.15, 1.0))), page

    def _patch(self, rng: Generator, size: int, colour: bool) -> Page:
        page = self.pages[int(rng.integers(0, len(self.pages)))]
        patch = _crop(rng, size, page)[0]
        if colour and patch.ndim == 2:  # noqa: PLR2004
            return np.repeat(patch[..., None], 3, axis=2)
        return patch if colour else _as_grey(patch)


def _crop(rng: Generator, size: int, *pages: Page) -> list[Page]:
    """The same random square of each page; pages that are too small are mirrored outwards first."""
    height, width = pages[0].shape[:2]
    short_y, short_x = max(0, size - height), max(0, size - width)
    grown = pages
    if short_y or short_x:
        grown = tuple(
            np.asarray(cv2.copyMakeBorder(p, 0, short_y, 0, short_x, cv2.BORDER_REFLECT), np.uint8)
            for p in pages
        )
    y = int(rng.integers(0, grown[0].shape[0] - size + 1))
    x = int(rng.integers(0, grown[0].shape[1] - size + 1))
    return [page[y : y + size, x : x + size] for page in grown]


def _augment_pair(rng: Generator, noisy: Page, clean: Page) -> tuple[Page, Page]:
    """Flips, and the light of another scanner: pairs are few, the kinds of paper are not."""
    if rng.random() < 0.5:  # noqa: PLR2004
        noisy, clean = noisy[:, ::-1], clean[:, ::-1]
    if rng.random() < 0.5:  # noqa: PLR2004
        noisy, clean = noisy[::-1], clean[::-1]
    if rng.random() < 0.5:  # noqa: PLR2004
        gain, lift = rng.uniform(0.8, 1.1), rng.uniform(-10, 10)
        noisy = np.clip(noisy * gain + lift, 0, 255).astype(np.uint8)
    return noisy, clean


def _as_grey(page: Page) -> Page:
    return page if page.ndim == 2 else np.asarray(cv2.cvtColor(page, cv2.COLOR_RGB2GRAY), np.uint8)  # noqa: PLR2004


def _planes(page: Page, colour: bool) -> Page:
    return np.ascontiguousarray(page.transpose(2, 0, 1) if colour else page[None])
