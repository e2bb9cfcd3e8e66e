import io
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from jobs.codecs.codec import Document, Page, assemble, decode, encode, inspect, raw_frame, sniff

H, W = 61, 77
SCANS = Path(__file__).parents[4] / "shared" / "data" / "office-scans"
ICC = b"profile" * 40
EXIF = b"Exif\0\0" + b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # orientation 6


def picture(mode: str) -> Image.Image:
    noise = np.random.default_rng(7).integers(0, 256, (H, W, 4), dtype=np.uint8)
    if mode == "1":
        return Image.fromarray(noise[..., 0] > 128)
    if mode == "I;16":
        return Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
    if mode == "P":
        return Image.fromarray(noise[..., :3].copy()).quantize(200)
    if mode == "LA":
        return Image.merge("LA", [Image.fromarray(noise[..., i].copy()) for i in (0, 1)])
    channels = {"L": 1, "RGB": 3, "RGBA": 4}[mode]
    return Image.fromarray(np.squeeze(noise[..., :channels]).copy())


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def pages_of(data: bytes) -> tuple[Document, list[Page]]:
    format = sniff("scan", data[:64])
    assert format
    document = inspect(data, format)
    return document, [decode(data, document, index) for index in range(len(document.frames))]


def again(data: bytes) -> bytes:
    document, pages = pages_of(data)
    return assemble(document, [encode(page, page.pixels) for page in pages])


def assert_same(data: bytes, result: bytes, *, lossless: bool = True) -> None:
    (before, old), (after, new) = pages_of(data), pages_of(result)
    assert before.frames == after.frames and before.format == after.format
    for a, b in zip(old, new, strict=True):
        assert a.carry.metadata == b.carry.metadata and a.carry.grey == b.carry.grey
        if lossless:
            assert np.array_equal(a.pixels, b.pixels)
            assert np.array_equal(a.carry.alpha, b.carry.alpha) if a.carry.alpha is not None else True


LOSSLESS = (
    [("PNG", mode, {"dpi": (300, 200)}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")]
    + [("PNG", "L", {"bits": 4})]
    + [("BMP", mode, {"dpi": (300, 200)}) for mode in ("1", "L", "P", "RGB")]
    + [("PPM", mode, {}) for mode in ("1", "L", "RGB", "I;16")]
    + [("GIF", mode, {}) for mode in ("L", "P")]
    + [("WEBP", mode, {"lossless": True, "exact": True}) for mode in ("RGB", "RGBA")]
    + [("JPEG2000", mode, {"no_jp2": raw}) for mode in ("L", "LA", "RGB", "RGBA", "I;16") for raw in (0, 1)]
    + [
        ("TIFF", mode, {"compression": compression, "dpi": (204, 196)})
        for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd")
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
    ]
    + [("TIFF", "1", {"compression": fax}) for fax in ("group3", "group4", "tiff_ccitt")]
)


@pytest.mark.parametrize(("format", "mode", "options"), LOSSLESS)
def test_lossless_formats_come_back_identical(format: str, mode: str, options: dict[str, object]) -> None:
    data = saved(picture(mode), format, **options)
    assert_same(data, again(data))


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_jpegs_keep_their_kind(mode: str, progressive: bool, subsampling: int) -> None:
    data = saved(
        picture(mode),
        "JPEG",
        progressive=progressive,
        subsampling=subsampling,
        dpi=(300, 200),
        comment=b"note",
    )
    result = again(data)
    assert_same(data, result, lossless=False)
    old, new = pages_of(data)[1][0], pages_of(result)[1][0]
    assert old.carry.options == new.carry.options


def test_metadata_of_pngs_and_jpegs_is_kept_byte_for_byte() -> None:
    for format, more in (("PNG", {"dpi": (118, 118)}), ("JPEG", {"comment": b"box 17"})):
        data = saved(picture("RGB"), format, icc_profile=ICC, exif=EXIF, **more)
        with Image.open(io.BytesIO(data)) as a, Image.open(io.BytesIO(again(data))) as b:
            assert a.info == b.info and a.info["icc_profile"] == ICC and a.info["exif"]


def test_orientation_is_metadata_and_turns_nothing() -> None:
    for data in (
        saved(picture("L"), "PNG", exif=EXIF),
        saved(picture("L"), "JPEG", exif=EXIF),
        *(saved(picture("L"), "TIFF", tiffinfo={274: turn}) for turn in range(1, 9)),
    ):
        _, (page,) = pages_of(data)
        assert page.pixels.shape == (H, W)
        if data[:2] != b"\xff\xd8":
            assert np.array_equal(page.pixels, np.asarray(picture("L")))
        with Image.open(io.BytesIO(data)) as a, Image.open(io.BytesIO(again(data))) as b:
            assert a.getexif().get(274) == b.getexif().get(274) and a.size == b.size


def test_jfif_density_in_centimetres_stays_so() -> None:
    data = bytearray(saved(picture("L"), "JPEG", dpi=(300, 300)))
    data[13:18] = b"\x02\x00\x76\x00\x50"
    result = again(bytes(data))
    assert result[13:18] == data[13:18]
    assert inspect(result, "JPEG").frames[0].dpi == pytest.approx((299.72, 203.2))


def test_webp_and_jp2_metadata() -> None:
    webp = saved(picture("RGB"), "WEBP", icc_profile=ICC, exif=EXIF, xmp=b"<x/>")
    with Image.open(io.BytesIO(webp)) as a, Image.open(io.BytesIO(again(webp))) as b:
        assert {k: a.info[k] for k in ("icc_profile", "exif", "xmp")} == {
            k: b.info[k] for k in ("icc_profile", "exif", "xmp")
        }
    plain = saved(picture("L"), "JPEG2000")
    resolution = b"\0\0\0\x1ares \0\0\0\x12resc" + b"\x2e\x23\0\1\x2e\x23\0\1\0\0"
    at = plain.find(b"jp2h")
    size = int.from_bytes(plain[at - 4 : at], "big")
    data = plain[: at - 4] + (size + 26).to_bytes(4, "big") + plain[at : at - 4 + size] + resolution
    data += plain[at - 4 + size :] + b"\0\0\0\x0cxml <x/>"
    assert inspect(data, "JPEG2000").frames[0].dpi == pytest.approx((300, 300), abs=0.1)
    result = again(data)
    assert_same(data, result)
    assert result.endswith(b"xml <x/>")


@pytest.mark.parametrize(
    ("mode", "compression"),
    [("1", c) for c in ("group3", "group4", "packbits", "tiff_lzw", None)] + [("L", "tiff_lzw"), ("L", None)],
)
@pytest.mark.parametrize("photometric", [0, 1])
def test_white_stays_white(mode: str, compression: str | None, photometric: int) -> None:
    image = picture(mode)
    data = saved(image, "TIFF", compression=compression, tiffinfo={262: photometric})
    _, (page,) = pages_of(data)
    assert np.array_equal(page.pixels, np.asarray(image.convert("L")))
    cleaned = np.full_like(page.pixels, 255)
    cleaned[5:9] = 0
    with Image.open(io.BytesIO(encode(page, cleaned))) as result:
        assert result.tag_v2[262] == photometric and result.info["compression"] == (compression or "raw")
        assert np.array_equal(np.asarray(result.convert("L")), cleaned)


def test_one_bit_pages_are_cut_at_half() -> None:
    _, (page,) = pages_of(saved(picture("1"), "PNG"))
    ramp = np.tile(np.linspace(0, 255, W).astype(np.uint8), (H, 1))
    _, (result,) = pages_of(encode(page, ramp))
    assert np.array_equal(result.pixels, np.where(ramp >= 128, 255, 0))


def test_grey_pages_in_colour_files_are_two_dimensional() -> None:
    grey = picture("L")
    for image in (grey.convert("RGB"), grey.convert("RGBA"), grey.convert("P")):
        data = saved(image, "PNG")
        _, (page,) = pages_of(data)
        assert page.pixels.shape == (H, W) and page.carry.grey
        cleaned = 255 - page.pixels
        result = encode(page, cleaned)
        assert inspect(result, "PNG").frames[0].mode == image.mode
        assert np.array_equal(pages_of(result)[1][0].pixels, cleaned)


def test_coloured_palettes_are_filled_anew_without_dither() -> None:
    _, (page,) = pages_of(saved(picture("P"), "PNG"))
    cleaned = np.asarray(picture("RGB"))
    one, two = encode(page, cleaned), encode(page, cleaned)
    assert one == two and inspect(one, "PNG").frames[0].mode == "P"


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_palette_transparency_is_kept(format: str) -> None:
    image = picture("P")
    data = saved(image, format, transparency=3)
    _, (page,) = pages_of(data)
    assert page.carry.alpha is not None and (page.carry.alpha == 0).any()
    _, (result,) = pages_of(encode(page, page.pixels))
    assert result.carry.alpha is not None and np.array_equal(result.carry.alpha, page.carry.alpha)
    seen = page.carry.alpha > 0
    assert np.array_equal(result.pixels[seen], page.pixels[seen])


def tiff_of(images: list[tuple[Image.Image, dict[str, object]]], **options: object) -> bytes:
    buffer = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(buffer) as writer:
        for image, own in images:
            image.save(writer, "TIFF", **own, **options)
            writer.newFrame()
    return buffer.getvalue()


@pytest.mark.parametrize("big", [False, True])
def test_multi_page_tiffs_keep_order_kinds_and_tags(big: bool) -> None:
    tags = {
        269: "doc",
        270: "desc",
        271: "make",
        285: "page é".encode(),
        297: (1, 3),
        305: "sw",
        306: "2001:02:03",
    }
    # Pillow can't write compressed BigTIFFs.
    packed = [("1", "group4"), ("RGB", "tiff_lzw"), ("L", None), ("P", "packbits"), ("I;16", None)]
    kinds = [(mode, None) for mode, _ in packed] if big else packed
    data = tiff_of(
        [
            (picture(mode), {"compression": compression, "tiffinfo": tags | {700: b"<xmp/>", 33723: b"iptc"}})
            for mode, compression in kinds
        ],
        big_tiff=big,
        resolution_unit=3,
        x_resolution=118.5,
        y_resolution=77.25,
        icc_profile=ICC,
    )
    result = again(data)
    assert_same(data, result)
    with Image.open(io.BytesIO(data)) as a, Image.open(io.BytesIO(result)) as b:
        for index in range(len(kinds)):
            a.seek(index)
            b.seek(index)
            for tag in (*tags, 700, 33723, 34675, 282, 283, 296, 259, 262):
                assert a.tag_v2.get(tag) == b.tag_v2.get(tag), tag
            assert a.info["dpi"] == b.info["dpi"]


def test_big_endian_tiffs() -> None:
    wide = picture("I;16")
    data = saved(
        Image.frombytes("I;16B", wide.size, np.asarray(wide).astype(">u2").tobytes()), "TIFF", dpi=(300, 300)
    )
    assert data[:2] == b"MM"
    assert_same(data, again(data))
    assert np.array_equal(pages_of(data)[1][0].pixels, np.asarray(wide))
    assert_same(data, raw_frame(data, inspect(data, "TIFF"), 0))


def test_exif_in_a_tiff_is_kept() -> None:
    data = saved(picture("L"), "TIFF", tiffinfo={34665: {0x9003: "2001:02:03 04:05:06"}})
    with Image.open(io.BytesIO(again(data))) as image:
        assert image.getexif().get_ifd(0x8769)[0x9003] == "2001:02:03 04:05:06"


def test_a_jpeg_tiff_stays_one() -> None:
    data = saved(picture("RGB").convert("YCbCr"), "TIFF", compression="jpeg")
    result = again(data)
    with Image.open(io.BytesIO(result)) as image:
        assert image.info["compression"] == "jpeg" and image.tag_v2[262] == 6


def test_one_odd_page_does_not_keep_the_others_dirty() -> None:
    cmyk = picture("RGB").convert("CMYK")
    data = tiff_of([(picture("L"), {}), (cmyk, {"compression": "tiff_lzw"}), (picture("1"), {})])
    document = inspect(data, "TIFF")
    assert [frame.refused and frame.refused.code for frame in document.frames] == [
        None,
        "unsupported_mode",
        None,
    ]
    frames = [raw_frame(data, document, index) for index in range(3)]
    with Image.open(io.BytesIO(assemble(document, frames))) as result:
        result.seek(1)
        assert result.mode == "CMYK" and result.tobytes() == cmyk.tobytes()


def test_pages_travel_between_processes_and_threads() -> None:
    data = saved(picture("RGBA"), "PNG", icc_profile=ICC)
    document, (page,) = pages_of(data)
    moved = pickle.loads(pickle.dumps((document, page)))
    expected = encode(page, page.pixels)
    assert encode(moved[1], moved[1].pixels) == expected
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(again, [data] * 16)) == {expected}


def test_pixels_of_another_shape_are_a_mistake_of_the_caller() -> None:
    _, (page,) = pages_of(saved(picture("L"), "PNG"))
    with pytest.raises(ValueError, match="instead of"):
        encode(page, np.zeros((H, W, 3), np.uint8))


@pytest.mark.parametrize(
    ("name", "head", "format"),
    [
        ("a.txt", b"\x89PNG\r\n\x1a\n", "PNG"),
        ("a.png", b"\xff\xd8\xff\xe0", "JPEG"),
        ("a", b"MM\0+\0\x08\0\0", "TIFF"),
        ("a", b"BM\x10\0\0\0\0\0\0\0", "BMP"),
        ("a.txt", b"BMW is a car maker", None),
        ("a.txt", b"P1 of the plan", "PPM"),
        ("a.bin", b"RIFF....WEBPVP8 ", "WEBP"),
        ("a.PDF", b"%PDF-1.4", "PDF"),
        ("a.TIFF", b"", "TIFF"),
        ("a.xml", b"<xml>", None),
        ("png", b"", None),
    ],
)
def test_sniffing(name: str, head: bytes, format: str | None) -> None:
    assert sniff(name, head) == format


@pytest.mark.skipif(not SCANS.is_dir(), reason="no ../shared/data/office-scans here")
def test_real_fax_scans_come_back_identical() -> None:
    for path in sorted(SCANS.iterdir()):
        data = path.read_bytes()
        result = again(data)
        assert_same(data, result)
        with Image.open(io.BytesIO(data)) as a, Image.open(io.BytesIO(result)) as b:
            assert a.info["compression"] == b.info["compression"] and a.n_frames == b.n_frames


def test_headers_of_many_pages_cost_one_walk() -> None:
    """Pillow counts frames by walking the chain: once a page made 800 pages take 45 seconds."""
    pages = [Image.new("1", (64, 64), 1) for _ in range(400)]
    buffer = io.BytesIO()
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:], compression="group4")
    begun = time.process_time()
    assert len(inspect(buffer.getvalue(), "TIFF").frames) == 400
    assert time.process_time() - begun < 5
