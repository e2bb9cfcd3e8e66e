"""Metadata as bytes: taken from the source file and put into the cleaned one without being parsed.

This keeps every bit of text, EXIF, XMP, ICC and density, also of vendor extensions. To parse and write them
again would lose what the library doesn't know.
"""

import struct
import zlib
from collections.abc import Iterator

from jobs.errors import PageError

_PNG_START = 8
_PNG_KEPT = frozenset(
    [b"pHYs", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"mDCV", b"cLLI", b"eXIf", b"tIME"]
    + [b"tEXt", b"zTXt", b"iTXt", b"oFFs", b"pCAL", b"sCAL"]
)
_JPEG_SOS, _JPEG_EOI, _JPEG_APP14, _JPEG_COM = 0xDA, 0xD9, 0xEE, 0xFE


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (type, whole chunk); raises PageError if a chunk is cut off or its checksum is wrong."""
    position, type_ = _PNG_START, b""
    while type_ != b"IEND":
        if position + 12 > len(data):
            raise PageError("unreadable", "The PNG is cut off.")
        (size,) = struct.unpack_from(">L", data, position)
        type_, end = data[position + 4 : position + 8], position + 12 + size
        if end > len(data):
            raise PageError("unreadable", "The PNG is cut off.")
        # Pillow doesn't check the checksums of pixels and decodes damaged ones without an error.
        if type_[:1].isupper() and zlib.crc32(memoryview(data)[position + 4 : end - 4]) != int.from_bytes(
            data[end - 4 : end], "big"
        ):
            raise PageError("unreadable", "The PNG is damaged: a checksum doesn't fit.")
        yield type_, data[position:end]
        position = end


def png_parts(data: bytes, *, colour_key: bool) -> tuple[bytes, ...]:
    """The chunks to keep; with `colour_key` also tRNS and bKGD, which then hold samples, not palette entries.

    Raises:
        PageError: unreadable, if the file is cut off or damaged anywhere.
    """
    kept = _PNG_KEPT | {b"tRNS", b"bKGD"} if colour_key else _PNG_KEPT
    return tuple(chunk for type_, chunk in _png_chunks(data) if type_ in kept)


def png_with(encoded: bytes, parts: tuple[bytes, ...]) -> bytes:
    """Insert the chunks after the header of an encoded PNG."""
    start = _PNG_START + 25
    return b"".join([encoded[:start], *parts, encoded[start:]])


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start, end) of each segment before the pixels."""
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:  # noqa: PLR2004 - every marker begins with it
            position += 1
            continue
        marker = data[position + 1]
        if marker in (0xFF, 0x00, 0x01) or 0xD0 <= marker <= 0xD8:  # noqa: PLR2004 - fill bytes, bare markers
            position += 1 if marker == 0xFF else 2  # noqa: PLR2004
            continue
        if marker in (_JPEG_SOS, _JPEG_EOI):
            return
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if end > len(data):
            return
        yield marker, position, end
        position = end


def jpeg_parts(data: bytes) -> tuple[bytes, ...]:
    """The APPn and comment segments to keep, in order.

    Without Adobe's APP14, which has the colour transform of the old pixels, and without the index of a
    multi-picture file, whose offsets are wrong in the new file.
    """
    return tuple(
        data[start:end]
        for marker, start, end in _jpeg_segments(data)
        if (0xE0 <= marker <= 0xEF or marker == _JPEG_COM)  # noqa: PLR2004 - APP0 to APP15
        and not (marker == _JPEG_APP14 and data[start + 4 : start + 9] == b"Adobe")
        and data[start + 4 : start + 8] != b"MPF\0"
    )


def jpeg_with(encoded: bytes, parts: tuple[bytes, ...]) -> bytes:
    """Replace the encoder's own JFIF segment by the segments."""
    rest = 4 + int.from_bytes(encoded[4:6], "big") if encoded[2:4] == b"\xff\xe0" else 2
    return b"".join([encoded[:2], *parts, encoded[rest:]])


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield (type, start, content's start, end) of JPEG 2000 boxes."""
    while start + 8 <= end:
        size, content = int.from_bytes(data[start : start + 4], "big"), start + 8
        if size == 1:
            size, content = int.from_bytes(data[start + 8 : start + 16], "big"), start + 16
        stop = end if size == 0 else start + size
        if stop < content or stop > end:
            return
        yield data[start + 4 : start + 8], start, content, stop
        start = stop


def jp2_parts(data: bytes) -> tuple[bytes, ...]:
    """The boxes to keep: resolution and ICC profile (for the header), XML and UUID."""
    parts = []
    for type_, start, content, end in _boxes(data, 0, len(data)):
        if type_ in (b"xml ", b"uuid"):
            parts.append(data[start:end])
        if type_ == b"jp2h":
            parts += [
                data[a:b]
                for inner, a, body, b in _boxes(data, content, end)
                if inner == b"res " or (inner == b"colr" and data[body : body + 1] == b"\2")
            ]
    return tuple(parts)


def jp2_with(encoded: bytes, parts: tuple[bytes, ...]) -> bytes:
    """Insert the boxes into an encoded JP2: resolution and profile into its header, the others at its end."""
    inner = [part for part in parts if part[4:8] in (b"res ", b"colr")]
    outer = [part for part in parts if part not in inner]
    for type_, start, content, end in _boxes(encoded, 0, len(encoded)):
        if type_ != b"jp2h":
            continue
        profiled = any(part[4:8] == b"colr" for part in inner)
        own = [
            encoded[a:b] for t, a, _, b in _boxes(encoded, content, end) if not (profiled and t == b"colr")
        ]
        body = b"".join(own + inner)
        header = struct.pack(">L4s", len(body) + 8, b"jp2h") + body
        return b"".join([encoded[:start], header, encoded[end:], *outer])
    return encoded
