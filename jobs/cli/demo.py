"""The material of the demo: a small damaged archive, and a picture of its pages before and after cleaning."""

import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from model.drawing.damage import damage, damage_bitonal
from model.drawing.pages import render_page

SEED = 1847
DPI = 150
A4_INCHES = (11.69, 8.27)

_TILE = (620, 438)


def make_archive(folder: Path, dpi: int = DPI) -> None:
    """Draw, damage and pack pages of all kinds: a tar, a zip with a multi-page TIFF, loose scans.

    Raises:
        OSError: the folder can't be written.
    """
    (folder / "loose").mkdir(parents=True, exist_ok=True)
    pages = list(_pages(dpi))
    with tarfile.open(folder / "letters.tar", "w") as tar:
        for index, page in enumerate(pages[:4]):
            _add(tar, f"letters/{index + 1:03d}.png", _encode(page, "PNG", dpi))
        _add(tar, "letters/index.txt", b"Four letters, found in a damp cellar.\n")
    with zipfile.ZipFile(folder / "minutes.zip", "w") as archive:
        moment = (2026, 1, 1, 0, 0, 0)
        archive.writestr(zipfile.ZipInfo("minutes-1912.tif", moment), _encode_fax(pages[4:6], dpi))
        archive.writestr(zipfile.ZipInfo("stamped.jpg", moment), _encode(pages[6], "JPEG", dpi))
    (folder / "loose" / "receipt.jpg").write_bytes(_encode(pages[7], "JPEG", dpi))
    (folder / "loose" / "broken.png").write_bytes(_encode(pages[0], "PNG", dpi)[:1000])


def _pages(dpi: int) -> Iterator[Image.Image]:
    for index in range(8):
        rng = np.random.default_rng((SEED, index))
        height, width = (round(inches * dpi) for inches in A4_INCHES)
        clean = render_page(rng, height, width, dpi, colour=index in (2, 6, 7))
        if index in (4, 5):
            yield Image.fromarray(damage_bitonal(clean, rng)[0]).convert("1", dither=Image.Dither.NONE)
        else:
            other = render_page(rng, height, width, dpi)
            yield Image.fromarray(damage(clean, rng, other, strength=0.7))


def _encode(page: Image.Image, format: str, dpi: int) -> bytes:
    buffer = io.BytesIO()
    page.save(buffer, format, dpi=(dpi, dpi))
    return buffer.getvalue()


def _encode_fax(pages: list[Image.Image], dpi: int) -> bytes:
    buffer = io.BytesIO()
    pages[0].save(
        buffer, "TIFF", save_all=True, append_images=pages[1:], compression="group4", dpi=(dpi, dpi)
    )
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def make_contact_sheet(source: Path, destination: Path, sheet: Path) -> None:
    """Draw before/after pairs of what `make_archive` made, as one PNG.

    Raises:
        OSError: a place can't be read or written.
    """
    pairs = list(zip(_pictures(source), _pictures(destination), strict=True))
    height, width = _TILE
    columns, gap, label = 4, 12, 20
    rows = -(-len(pairs) // columns)
    picture = Image.new(
        "RGB", (columns * (2 * width + 3 * gap), rows * (height + label + gap) + gap), "#44505c"
    )
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(14)
    for index, ((name, before), (_, after)) in enumerate(pairs):
        x = index % columns * (2 * width + 3 * gap) + gap
        y = index // columns * (height + label + gap) + gap
        draw.text((x, y), name, fill="white", font=font)
        for page, offset in ((before, 0), (after, width + gap // 2)):
            small = page.convert("RGB").resize((width, height), Image.Resampling.BOX)
            picture.paste(small, (x + offset, y + label))
    picture.save(sheet)


def _pictures(folder: Path) -> Iterator[tuple[str, Image.Image]]:
    with tarfile.open(folder / "letters.tar") as tar:
        for member in tar.getmembers():
            stream = tar.extractfile(member)
            if stream is not None and member.name.endswith(".png"):
                yield member.name, _load(stream.read())
    with zipfile.ZipFile(folder / "minutes.zip") as archive:
        with Image.open(io.BytesIO(archive.read("minutes-1912.tif"))) as fax:
            for frame in range(fax.n_frames):  # type: ignore[attr-defined]
                fax.seek(frame)
                yield f"minutes-1912.tif, page {frame + 1}", fax.copy()
        yield "stamped.jpg", _load(archive.read("stamped.jpg"))
    yield "receipt.jpg", _load((folder / "loose" / "receipt.jpg").read_bytes())


def _load(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        return image.copy()
