"""For each format: its header, its options for writing, its metadata."""

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PIL import Image, ImageFile, JpegImagePlugin

from jobs.codecs.metadata import jp2_parts, jp2_with, jpeg_parts, jpeg_with, png_parts, png_with
from jobs.codecs.types import Carry, FrameInfo, guarded
from jobs.errors import PageError

# Measured on a clean grey A4 page at 300 dpi: level 1 gives 822 KB in 123 ms, 3 636 KB in 118 ms,
# 4 650 KB in 189 ms, 6 514 KB in 306 ms, 9 463 KB in 2090 ms. Level 3 is smaller than 1 at no cost.
_PNG_LEVEL = 3
# Not the source's own tables: those of a poor scan would give rings around the cleaned ink, which look like
# dirt. From 90 on, rings around black on white can't be seen.
_QUALITY = 90
_MAX_SCANS = 100  # progressive JPEGs have about ten; thousands cost hours in a few kilobytes
_NAMES = {name: (name,) for name in ("PNG", "JPEG", "TIFF", "BMP", "GIF", "PPM", "WEBP", "JPEG2000")}
_LOSSY_TIFF = "jpeg"
# Pillow's name of the source's compression -> the compression of the output, where it differs.
_TIFF_SUCCESSORS = {
    "tiff_jpeg": "jpeg",
    "tiff_deflate": "tiff_adobe_deflate",
    "tiff_thunderscan": "tiff_adobe_deflate",
    "tiff_sgilog": "tiff_adobe_deflate",
    "tiff_sgilog24": "tiff_adobe_deflate",
    "tiff_raw_16": "raw",
    "webp": "tiff_adobe_deflate",
}
_FAX = ("tiff_ccitt", "group3", "group4")
_PREDICTED = ("tiff_lzw", "tiff_adobe_deflate", "zstd", "lzma")
_ROWS_PER_STRIP, _T4_OPTIONS, _PREDICTOR, _PHOTOMETRIC, _YCBCR = 278, 292, 317, 262, 6


@dataclass(frozen=True)
class Header:
    """A frame's header before it is checked; `dpi` is horizontal and vertical, None if unknown."""

    width: int
    height: int
    mode: str
    bit_depth: int
    dpi: tuple[float, float] | None
    frames: int = 1

    @classmethod
    def of(cls, image: Image.Image, bit_depth: int) -> "Header":
        """Read the header from an opened image."""
        dpi = image.info.get("dpi")
        dpi = (float(dpi[0]), float(dpi[1])) if isinstance(dpi, tuple) else None
        sixteen = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")
        return cls(
            *image.size,
            "I;16" if sixteen else image.mode,
            bit_depth,
            dpi if dpi and min(dpi) > 0 else None,
            # For a TIFF this is one directory: `n_frames` would read all of them, once for every page.
            1 if image.format == "TIFF" else getattr(image, "n_frames", 1),
        )


def open_image(source: io.BytesIO, format_: str) -> ImageFile.ImageFile:
    """Open with this format's plugin only; raises PageError, unsupported_format."""
    if format_ not in _NAMES:
        raise PageError("unsupported_format", f"{format_} files aren't cleaned.")
    return Image.open(source, formats=_NAMES[format_])


def read_header(data: bytes, format_: str) -> Header:
    """Read the header of a file with one frame; decodes nothing; raises PageError."""
    if format_ == "JPEG" and data.count(b"\xff\xda") > _MAX_SCANS:
        raise PageError("too_large", "The JPEG has more scans than any real one; it would take hours.")
    with guarded("read"), open_image(io.BytesIO(data), format_) as image:
        # Pillow reads 16-bit colour as RGB and drops half of each sample: so the depth is read here.
        depth = _DEPTHS[format_](data) if format_ in _DEPTHS else 8
        return Header.of(image, depth)


def _png_depth(data: bytes) -> int:
    return data[24]


def _bmp_depth(data: bytes) -> int:
    core = int.from_bytes(data[14:18], "little") == 12  # noqa: PLR2004 - OS/2's short header
    return min(int.from_bytes(data[24:26] if core else data[28:30], "little"), 8)


def _gif_depth(data: bytes) -> int:
    return (data[10] & 7) + 1


def _ppm_depth(data: bytes) -> int:
    if data[1:2] in b"14":
        return 1
    numbers = re.findall(rb"\d+", re.sub(rb"#[^\r\n]*", b" ", data[2:4096]))
    highest = int(numbers[2]).bit_length()
    # Pillow scales every grey above 8 bits to the full 16.
    return 16 if highest > 8 else highest  # noqa: PLR2004


def _jp2_depth(data: bytes) -> int:
    at = data.find(b"\xff\x4f\xff\x51")
    depth = (data[at + 42] & 0x7F) + 1
    return 16 if depth > 8 else depth  # noqa: PLR2004 - brought to the full 16 bits, too


_DEPTHS: Mapping[str, Callable[[bytes], int]] = {
    "PNG": _png_depth,
    "BMP": _bmp_depth,
    "GIF": _gif_depth,
    "PPM": _ppm_depth,
    "JPEG2000": _jp2_depth,
}


def parts_of(data: bytes, format_: str, info: FrameInfo) -> tuple[bytes, ...]:
    """The metadata of PNG, JPEG and JP2 as bytes; checks a PNG's checksums."""
    if format_ == "PNG":
        return png_parts(data, colour_key=info.mode != "P")
    if format_ == "JPEG":
        return jpeg_parts(data)
    return jp2_parts(data) if format_ == "JPEG2000" else ()


def options_for(  # noqa: PLR0911 - one return a format
    image: ImageFile.ImageFile, data: bytes, carry: Carry
) -> dict[str, object]:
    """The options for Pillow's `save` that give the same kind of file."""
    match carry.format:
        case "PNG":
            return {"compress_level": _PNG_LEVEL, "bits": _png_depth(data)}
        case "JPEG":
            progressive = bool(image.info.get("progressive"))
            sampling = JpegImagePlugin.get_sampling(image)
            return {"quality": _QUALITY, "subsampling": sampling, "progressive": progressive}
        case "TIFF":
            return _tiff_options(image, carry)
        case "BMP":
            return {"dpi": image.info.get("dpi", (0, 0))}
        case "GIF":
            return {"comment": image.info.get("comment", b""), "optimize": False}
        case "WEBP":
            kept = {key: image.info[key] for key in ("icc_profile", "exif", "xmp") if key in image.info}
            # `exact` keeps the colours of transparent pixels, too.
            return kept | {"lossless": _is_lossless_webp(data), "exact": True, "quality": _QUALITY}
        case "JPEG2000":
            codestream = data[:4] == b"\xff\x4f\xff\x51"
            comment = image.info.get("comment")
            return {"irreversible": False, "no_jp2": codestream} | ({"comment": comment} if comment else {})
    return {}


def _tiff_options(image: ImageFile.ImageFile, carry: Carry) -> dict[str, object]:
    facts = {tag.number: tag.ints for tag in carry.tags if tag.number in (278, 292, 317, 262)}
    compression = str(image.info.get("compression", "raw"))
    compression = _TIFF_SUCCESSORS.get(compression, compression)
    options: dict[str, object] = {"compression": compression}
    structure: dict[int, int] = {}
    if compression in _FAX and _ROWS_PER_STRIP in facts:
        # Each strip costs bytes: fax pages of one strip are the smallest, and keep one strip.
        structure[_ROWS_PER_STRIP] = max(1, min(facts[_ROWS_PER_STRIP][0], image.height, image.width * 8))
    if compression == "group3" and _T4_OPTIONS in facts:
        structure[_T4_OPTIONS] = facts[_T4_OPTIONS][0]
    if compression in _PREDICTED and facts.get(_PREDICTOR) == (2,):
        structure[_PREDICTOR] = 2
    if compression == _LOSSY_TIFF:
        options["quality"] = _QUALITY
        options["ycbcr"] = facts.get(_PHOTOMETRIC) == (_YCBCR,)
    return options | {"tiffinfo": structure}


def _is_lossless_webp(data: bytes) -> bool:
    position = 12
    while position + 8 <= len(data):
        if data[position : position + 4] in (b"VP8L", b"VP8 "):
            return data[position : position + 4] == b"VP8L"
        position += 8 + int.from_bytes(data[position + 4 : position + 8], "little")
        position += position % 2
    return False


def save_image(image: Image.Image, carry: Carry) -> bytes:
    """Encode the image in its format, with metadata; the caller adds TIFF's tags."""
    options = dict(carry.options)
    if options.pop("ycbcr", False) and image.mode == "RGB":
        image = image.convert("YCbCr")
    if carry.mode == "P":
        options.pop("bits", None)  # the number of colours decides it
    buffer = io.BytesIO()
    image.save(buffer, carry.format, **options)
    encoded = buffer.getvalue()
    if carry.format == "PNG":
        return png_with(encoded, carry.metadata)
    if carry.format == "JPEG":
        return jpeg_with(encoded, carry.metadata)
    return jp2_with(encoded, carry.metadata) if carry.format == "JPEG2000" else encoded
