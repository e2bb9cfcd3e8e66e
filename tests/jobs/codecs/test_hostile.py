import io
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jobs.codecs.codec import MAX_FRAMES, decode, encode, inspect
from jobs.errors import PageError

ROOT = Path(__file__).parents[3]
HOSTILE = ROOT.parent / "shared" / "data" / "hostile"


def page() -> Image.Image:
    rng = np.random.default_rng(3)
    pixels = np.full((120, 160), 255, np.uint8)
    pixels[rng.integers(0, 120, 900), rng.integers(0, 160, 900)] = rng.integers(0, 200, 900)
    return Image.fromarray(pixels)


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def refusal(data: bytes, format: str) -> str:
    with pytest.raises(PageError) as caught:
        decode(data, inspect(data, format), 0)
    assert "0x" not in str(caught.value)
    return caught.value.code


FILES = [
    ("JPEG", "L", {}),
    ("JPEG", "RGB", {"progressive": True}),
    ("PNG", "L", {}),
    ("TIFF", "1", {"compression": "group4"}),
    ("TIFF", "1", {"compression": "group3"}),
    ("TIFF", "L", {"compression": "tiff_lzw"}),
    ("TIFF", "L", {"compression": "packbits"}),
    ("TIFF", "L", {}),
    ("TIFF", "RGB", {"compression": "jpeg"}),
    ("BMP", "L", {}),
    ("PPM", "L", {}),
    ("WEBP", "RGB", {}),
    ("JPEG2000", "L", {}),
]


@pytest.mark.parametrize(("format", "mode", "options"), FILES)
def test_a_file_cut_anywhere_is_refused_never_half_decoded(
    format: str, mode: str, options: dict[str, object]
) -> None:
    data = saved(page().convert(mode), format, **options)
    for cut in range(0, len(data) - 1, max(1, len(data) // 60)):
        assert refusal(data[:cut], format) in ("unreadable", "too_large"), cut


def test_a_gif_cut_in_its_pixels_is_refused() -> None:
    data = saved(page(), "GIF")
    assert refusal(data[: len(data) // 2], "GIF") == "unreadable"


@pytest.mark.parametrize(("format", "mode", "options"), FILES)
def test_a_file_with_flipped_bytes_is_decoded_or_refused(
    format: str, mode: str, options: dict[str, object]
) -> None:
    data = saved(page().convert(mode), format, **options)

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(1, 255)), min_size=1, max_size=4))
    def flipped(changes: list[tuple[int, int]]) -> None:
        broken = bytearray(data)
        for position, flip in changes:
            broken[position] ^= flip
        try:
            result = decode(bytes(broken), inspect(bytes(broken), format), 0)
            encode(result, result.pixels)
        except PageError:
            pass

    flipped()


def test_a_png_with_a_flipped_bit_in_its_pixels_is_refused() -> None:
    data = bytearray(saved(page(), "PNG"))
    data[data.find(b"IDAT") + 200] ^= 1
    assert refusal(bytes(data), "PNG") == "unreadable"


def png_claiming(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">LLBBBBB", width, height, 8, 0, 0, 0, 0)
    body = b"IDAT" + zlib.compress(bytes(100))
    chunks = [
        struct.pack(">L", len(c) - 4) + c + struct.pack(">L", zlib.crc32(c)) for c in (header, body, b"IEND")
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("size", [(100_000, 100_000), (30_000, 20_000)])
def test_a_giant_png_costs_nothing(size: tuple[int, int]) -> None:
    tracemalloc.start()
    assert refusal(png_claiming(*size), "PNG") == "too_large"
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_jpeg_with_thousands_of_scans_is_refused() -> None:
    data = saved(page(), "JPEG", progressive=True)
    at = data.rfind(b"\xff\xda")
    assert refusal(data[:at] + data[at:-2] * 200 + data[-2:], "JPEG") == "too_large"


def tiff_chain(frames: int, loop: bool) -> bytes:
    """Many directories over one strip; the last points to the first or ends."""
    head = b"II*\0" + struct.pack("<L", 16) + bytes(8)
    out = bytearray(head)
    for index in range(frames):
        start = 16 + index * 78
        entries = [(256, 8), (257, 1), (258, 8), (262, 1), (273, 8), (279, 8)]
        following = start + 78 if index + 1 < frames else (16 if loop else 0)
        out += struct.pack("<H", len(entries))
        out += b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in entries)
        out += struct.pack("<L", following)
    return bytes(out)


def test_a_tiff_that_bites_its_tail_ends_there() -> None:
    assert len(inspect(tiff_chain(3, loop=True), "TIFF").frames) == 3


def test_a_tiff_with_too_many_pages_is_refused() -> None:
    assert refusal(tiff_chain(MAX_FRAMES + 1, loop=False), "TIFF") == "too_large"


def test_tags_that_share_one_long_value_are_refused() -> None:
    value = bytes(100_000)
    tags = b"".join(struct.pack("<HHLL", 40000 + i, 1, len(value), 8) for i in range(2000))
    data = b"II*\0" + struct.pack("<L", 8 + len(value)) + value + struct.pack("<H", 2000) + tags + bytes(4)
    tracemalloc.start()
    assert refusal(data, "TIFF") == "unreadable"
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def frames(count: int) -> list[Image.Image]:
    return [page().rotate(90 * index) for index in range(count)]


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_moving_pictures_are_refused(format: str) -> None:
    first, *rest = frames(3)
    data = saved(first, format, save_all=True, append_images=rest, lossless=True)
    assert refusal(data, format) == "animated"


def test_multi_picture_jpegs_are_refused() -> None:
    first, *rest = frames(2)
    assert refusal(saved(first, "MPO", save_all=True, append_images=rest), "JPEG") == "animated"


def test_modes_without_a_way_back_are_refused() -> None:
    grey = page()
    for data, format in (
        (saved(grey.convert("CMYK"), "JPEG"), "JPEG"),
        (saved(grey.convert("CMYK"), "TIFF"), "TIFF"),
        (saved(grey.convert("RGB").convert("LAB"), "TIFF"), "TIFF"),
        (saved(grey.convert("I"), "TIFF"), "TIFF"),
        (saved(grey.convert("F"), "TIFF"), "TIFF"),
    ):
        assert refusal(data, format) == "unsupported_mode"


def test_sixteen_bit_colour_is_refused_not_halved() -> None:
    header = b"IHDR" + struct.pack(">LLBBBBB", 4, 4, 16, 2, 0, 0, 0)
    body = b"IDAT" + zlib.compress(bytes(4 * 25))
    chunks = [
        struct.pack(">L", len(c) - 4) + c + struct.pack(">L", zlib.crc32(c)) for c in (header, body, b"IEND")
    ]
    assert refusal(b"\x89PNG\r\n\x1a\n" + b"".join(chunks), "PNG") == "unsupported_mode"
    assert refusal(b"P6 2 2 65535\n" + bytes(24), "PPM") == "unsupported_mode"


@pytest.mark.parametrize("format", ["PDF", "ICO", "EPS"])
def test_other_formats_are_never_tried(format: str) -> None:
    assert refusal(saved(page(), "ICO" if format == "ICO" else "PNG"), format) == "unsupported_format"


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "BMP", "GIF", "PPM", "WEBP", "JPEG2000"])
@pytest.mark.parametrize("data", [b"", b"x", b"%!PS-Adobe", bytes(500)])
def test_what_is_no_image_is_unreadable(format: str, data: bytes) -> None:
    assert refusal(data, format) == "unreadable"


PROGRAM = """
import faulthandler, resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
from jobs.codecs.codec import assemble, decode, encode, inspect, sniff
from jobs.errors import PageError
for path in sorted(Path(sys.argv[1]).iterdir()):
    print("at", path.name, flush=True)
    faulthandler.dump_traceback_later(20, exit=True)
    data = path.read_bytes()
    format = sniff(path.name, data[:64])
    try:
        if format:
            document = inspect(data, format)
            pages = [decode(data, document, index) for index in range(len(document.frames))]
            result = inspect(assemble(document, [encode(page, page.pixels) for page in pages]), format)
            old, new = ([(f.width, f.height, f.dpi) for f in d.frames] for d in (document, result))
            assert old == new, (path.name, old, new)
    except PageError:
        pass
print("done")
"""


@pytest.mark.skipif(not HOSTILE.is_dir(), reason="no ../shared/data/hostile here")
def test_real_hostile_files_neither_crash_nor_hang_nor_eat_memory() -> None:
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(HOSTILE)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert result.stdout.splitlines()[-1] == "done", (result.stdout[-200:], result.stderr[-2000:])
