"""Decodes image files to pages, and encodes pages.

    document = inspect(data, sniff(name, data[:64]))
    frames = []
    for index in range(len(document.frames)):
        page = decode(data, document, index)
        frames.append(encode(page, cleaned(page.pixels)))
    result = assemble(document, frames)

`inspect` reads only headers and limits the memory that decoding may need. An encoded page has the format,
size, mode, density and metadata of its source; only pixels change.
"""

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from jobs.codecs.formats import Header, open_image, options_for, parts_of, read_header, save_image
from jobs.codecs.pixels import BYTES, check_mode, to_image, to_pixels
from jobs.codecs.sniff import sniff
from jobs.codecs.tiff import MAX_FRAMES, STRUCTURE, Frame, Tiff, join
from jobs.codecs.types import MAX_FRAME_BYTES, Carry, Document, FrameInfo, Page, guarded
from jobs.errors import PageError
from model.page import Pixels

__all__ = [
    "MAX_FRAMES",
    "MAX_FRAME_BYTES",
    "Carry",
    "Document",
    "FrameInfo",
    "Page",
    "assemble",
    "decode",
    "encode",
    "inspect",
    "raw_frame",
    "sniff",
]

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION = 256, 257, 258, 262, 274
# To turn a page back after Pillow turned it upright; 2 to 5 and 7 are their own inverse.
_TURN_BACK = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def inspect(data: bytes, format: str) -> Document:
    """Read the headers: the frames of the file and the memory that decoding them needs.

    Args:
        data: the whole file.
        format: as `sniff` names it.

    Returns:
        The document. Only TIFF has several frames; there, `refused` of a frame says what is wrong with it,
        and the others can be cleaned.

    Raises:
        PageError: unreadable, too_large, unsupported_format, unsupported_mode, animated.
    """
    if format != "TIFF":
        header = read_header(data, format)
        if header.frames > 1:
            raise PageError("animated", f"The file holds {header.frames} pictures in time, not a page.")
        if format == "BMP" and header.mode == "RGBA":
            raise PageError("unsupported_mode", "BMPs with transparency aren't cleaned: it can't be kept.")
        return Document(format, (_frame_info(header),))
    tiff = Tiff(data)
    offsets = tiff.offsets()
    buffer = io.BytesIO(data)
    frames = tuple(_tiff_info(tiff, buffer, offset) for offset in offsets)
    if not frames:
        raise PageError("unreadable", "The TIFF has no pages.")
    if len(frames) == 1 and frames[0].refused:
        raise frames[0].refused
    return Document(format, frames, offsets)


def _frame_info(header: Header) -> FrameInfo:
    """Check that size and mode are supported."""
    pixels = header.width * header.height
    cost = pixels * BYTES.get(header.mode, 4)
    if not pixels:
        raise PageError("unreadable", "The image has no pixels.")
    if cost > MAX_FRAME_BYTES:
        raise PageError(
            "too_large",
            f"The image has {header.width}x{header.height} pixels: more than {MAX_FRAME_BYTES >> 20} MiB.",
        )
    check_mode(header.mode, header.bit_depth)
    return FrameInfo(header.width, header.height, header.mode, header.bit_depth, header.dpi, cost)


def _tiff_info(tiff: Tiff, buffer: io.BytesIO, offset: int) -> FrameInfo:
    width = height = 0
    try:
        frame = Frame(tiff.tags(offset), (), tiff.order)
        width, height = (frame.ints(number, (0,))[0] for number in (_WIDTH, _HEIGHT))
        if width * height > MAX_FRAME_BYTES:
            _frame_info(Header(width, height, "L", 1, None))
        _point_to(buffer, tiff, offset)
        with guarded("read"), open_image(buffer, "TIFF") as image:
            header = Header.of(image, max(frame.ints(_BITS, (1,))))
        return _frame_info(replace(header, width=width, height=height))
    except PageError as error:
        return FrameInfo(width, height, "", 0, None, 0, refused=error)


def _point_to(buffer: io.BytesIO, tiff: Tiff, offset: int) -> None:
    """Make one directory the file's first: Pillow would parse all directories before it, for every page."""
    position, first = tiff.header_for(offset)
    buffer.seek(position)
    buffer.write(first)
    buffer.seek(0)


def decode(data: bytes, document: Document, index: int) -> Page:
    """Decode one frame.

    Args:
        data: the whole file.
        document: what `inspect` returned for it.
        index: the frame, from 0.

    Returns:
        The page: pixels uint8 (H, W), 0 to 255, or (H, W, 3) RGB, or uint16 (H, W), 0 to 65535; black is 0.

    Raises:
        PageError: unreadable, also if only part of the pixels can be decoded.
    """
    info = document.frames[index]
    if info.refused:
        raise info.refused
    buffer, carry = _prepare(data, document, index)
    with guarded("decoded"), open_image(buffer, document.format) as image:
        options = options_for(image, data, carry)
        turned = image.getexif().get(_ORIENTATION) if document.format == "TIFF" else None
        image.load()
        upright: Image.Image = image
        if turned in _TURN_BACK:
            upright = image.transpose(_TURN_BACK[turned])
        decoded = to_pixels(upright, info)
    if decoded.pixels.shape[:2] != (info.height, info.width):
        raise PageError("unreadable", "The image has another size than its header says.")
    kept = tuple(tag for tag in carry.tags if tag.number not in STRUCTURE)
    return Page(
        decoded.pixels,
        info,
        replace(carry, mode=decoded.mode, grey=decoded.grey, alpha=decoded.alpha, options=options, tags=kept),
    )


def _prepare(data: bytes, document: Document, index: int) -> tuple[io.BytesIO, Carry]:
    """The bytes for Pillow to read, and the metadata."""
    info, buffer = document.frames[index], io.BytesIO(data)
    carry = Carry(document.format, info.mode)
    if document.format != "TIFF":
        return buffer, replace(carry, metadata=parts_of(data, document.format, info))
    tiff = Tiff(data)
    tags = tiff.tags(document.offsets[index])
    tiff.check_pieces(tags)
    _point_to(buffer, tiff, document.offsets[index])
    inverted = Frame(tags, (), tiff.order).ints(_PHOTOMETRIC) == (0,) and info.mode in ("1", "L", "I;16")
    return buffer, replace(carry, tags=tags, inverted=inverted)


def encode(page: Page, pixels: Pixels) -> bytes:
    """Encode cleaned pixels in the format of the page's file.

    Args:
        page: what `decode` returned.
        pixels: of the same shape and dtype as `page.pixels`.

    Returns:
        A whole file; for a page of a multi-page TIFF, a TIFF of this one page, for `assemble`.

    Raises:
        PageError: unreadable, if it can't be encoded.
    """
    if pixels.shape != page.pixels.shape or pixels.dtype != page.pixels.dtype:
        raise ValueError(f"{pixels.dtype} {pixels.shape} instead of {page.pixels.dtype} {page.pixels.shape}")
    carry = page.carry
    with guarded("encoded"):
        encoded = save_image(to_image(pixels, carry), carry)
    if carry.format != "TIFF":
        return encoded
    tiff = Tiff(encoded)
    frame = tiff.frame(tiff.offsets()[0])
    if carry.inverted:
        # The samples were written as the negative: this is WhiteIsZero.
        white_is_zero = replace(next(tag for tag in frame.tags if tag.number == _PHOTOMETRIC), value=b"\0\0")
        frame = replace(
            frame, tags=tuple(white_is_zero if t.number == _PHOTOMETRIC else t for t in frame.tags)
        )
    own = {tag.number for tag in frame.tags}
    kept = tuple(tag for tag in carry.tags if tag.number not in own)
    return join([replace(frame, tags=frame.tags + kept)])


def raw_frame(data: bytes, document: Document, index: int) -> bytes:
    """A frame of a multi-page TIFF as a TIFF of its own, with its compressed pixels unchanged.

    Raises:
        PageError: unreadable, if its bytes aren't there; unsupported_mode for old-style JPEG.
    """
    return join([Tiff(data).frame(document.offsets[index])])


def assemble(document: Document, frames: list[bytes]) -> bytes:
    """Join the frames of a document, each a whole file, into one file, in order.

    Raises:
        PageError: too_large, if together they have more than the 4 GiB of a TIFF; unsupported_mode, if there
            are 16-bit pages of both byte orders.
    """
    if len(frames) != len(document.frames):
        raise ValueError(f"{len(frames)} frames for a document of {len(document.frames)}")
    if len(frames) == 1:
        return frames[0]
    tiffs = [Tiff(frame) for frame in frames]
    return join([tiff.frame(tiff.offsets()[0]) for tiff in tiffs])


assert np.little_endian, "Pillow's TIFF encoder writes samples in the machine's order"
