"""The central directory of a zip: found from the end, checked, read one record at a time."""

import struct
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from jobs.archives.member import CHUNK
from jobs.errors import ArchiveDamaged

MAX32, MAX16 = 0xFFFFFFFF, 0xFFFF
ZIP64 = 0x0001  # the id of the extra field with 8-byte sizes
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_FIELD = struct.Struct("<HH")
RECORD = struct.Struct("<4s4B4H3L5H2L")


class ZipHeader(zipfile.ZipInfo):
    r"""A ZipInfo with its bytes.

    Attributes:
        raw_name: the name as stored.
        readable: the name as valid text; bytes that are declared as UTF-8 and are not become \xe9.
        local: the bytes of the local header, set when the member is reached.
        local_extra: the extra fields of the local header.
        plain_extra: the central extra fields without Zip64's.
    """

    raw_name: bytes = b""
    readable: str = ""
    local: bytes = b""
    local_extra: bytes = b""
    plain_extra: bytes = b""


@dataclass(frozen=True)
class Directory:
    """The place of the central directory: bytes `start` to `end`; its offsets are relative to `shift`."""

    start: int
    end: int
    shift: int
    count: int
    comment: bytes


class Section:
    """A seekable stream that threads share: each read has its own offset."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self.size = size

    def read(self, offset: int, size: int) -> bytes:
        """Read exactly `size` bytes at `offset`; raises ArchiveDamaged if there are fewer."""
        parts, left = [], size
        if offset + size > self.size:
            raise ArchiveDamaged("archive_corrupt", "The archive refers to bytes behind its end.")
        with self._lock:
            self._stream.seek(offset)
            while left and (part := self._stream.read(min(left, CHUNK))):
                parts.append(part)
                left -= len(part)
        if left:
            raise ArchiveDamaged("archive_truncated", "The archive ends before its size.")
        return b"".join(parts)


def find_directory(source: Section) -> Directory:
    """Find the end record and, through it, the directory.

    Raises:
        ArchiveDamaged: archive_truncated if there is no end record, which is last and so is cut off first;
            archive_corrupt if it is wrong; archive_unsupported if the zip is one part of several.
    """
    tail_size = min(source.size, _END.size + MAX16)
    tail = source.read(source.size - tail_size, tail_size)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + _END.size > len(tail):
        raise ArchiveDamaged("archive_truncated", "The zip has no directory at its end: it was cut off.")
    _, disk, first_disk, _, count, size, offset, comment_size = _END.unpack_from(tail, at)
    comment = tail[at + _END.size :][:comment_size]
    if len(comment) < comment_size:
        raise ArchiveDamaged("archive_truncated", "The zip is cut off in its comment.")
    end = source.size - tail_size + at
    if MAX16 in (disk, first_disk, count) or MAX32 in (size, offset):
        end, count, size, offset = _find_zip64(source, end) or (end, count, size, offset)
    elif disk or first_disk:
        raise ArchiveDamaged("archive_unsupported", "The zip is one part of several: join them first.")
    start = end - size
    shift = start - offset
    if start < 0 or shift < 0:
        raise ArchiveDamaged("archive_corrupt", "The zip's directory isn't where it should be.")
    # Bytes before the first member may be a self-extractor. If they are members, this is the end of a zip
    # within the zip, and the outer one was cut off behind it.
    if shift and source.read(0, min(4, source.size)) == b"PK\3\4":
        raise ArchiveDamaged("archive_truncated", "The zip is cut off behind another zip in it.")
    return Directory(start, end, shift, count, comment)


def _find_zip64(source: Section, end: int) -> tuple[int, int, int, int] | None:
    """Return (end of the directory, count, size, offset); None if there is no Zip64 record."""
    if end < _LOCATOR.size + _END64.size:
        return None
    signature, *_ = _LOCATOR.unpack(source.read(end - _LOCATOR.size, _LOCATOR.size))
    if signature != b"PK\6\7":
        return None
    at = end - _LOCATOR.size - _END64.size
    fields = _END64.unpack(source.read(at, _END64.size))
    if fields[0] != b"PK\6\6":
        raise ArchiveDamaged("archive_corrupt", "The zip's directory isn't where it should be.")
    return at, fields[7], fields[8], fields[9]


def read_directory(source: Section, directory: Directory) -> Iterator[ZipHeader]:
    """Yield the members' headers in order, with `header_offset` relative to the start of the stream."""
    loaded, window, at, seen = directory.start, b"", 0, 0
    while at < len(window) or loaded < directory.end:
        # Enough bytes are loaded for the longest record: name, extra and comment have up to 64 KiB each.
        if len(window) - at < RECORD.size + 3 * MAX16 and loaded < directory.end:
            more = source.read(loaded, min(CHUNK, directory.end - loaded))
            window, at, loaded = window[at:] + more, 0, loaded + len(more)
        header, at = _read_record(window, at, directory)
        yield header
        seen += 1
    if seen & MAX16 != directory.count & MAX16:
        raise ArchiveDamaged(
            "archive_corrupt", "The zip's directory has another number of members than said."
        )


def _read_record(window: bytes, at: int, directory: Directory) -> tuple[ZipHeader, int]:
    """Return the record at `at` and the start of the next one."""
    if len(window) - at < RECORD.size or window[at : at + 4] != b"PK\1\2":
        raise ArchiveDamaged("archive_corrupt", "The zip's directory is damaged.")
    fields = RECORD.unpack_from(window, at)
    sizes = fields[12:15]
    start = at + RECORD.size
    end = start + sum(sizes)
    if end > len(window):
        raise ArchiveDamaged("archive_corrupt", "The zip's directory is damaged.")
    name_end, extra_end = start + sizes[0], start + sizes[0] + sizes[1]
    header = _header(fields, window[start:name_end])
    header.extra = window[name_end:extra_end]
    header.comment = window[extra_end:end]
    _apply_extra(header)
    header.header_offset += directory.shift
    if header.header_offset + 30 + header.compress_size > directory.start:
        raise ArchiveDamaged("archive_corrupt", f"{header.readable!r} reaches beyond the zip's directory.")
    return header, end


def _header(fields: tuple[int, ...], raw_name: bytes) -> ZipHeader:
    flags, day, time = fields[5], fields[8], fields[7]
    name = raw_name.decode("utf-8", "backslashreplace") if flags & 0x800 else raw_name.decode("cp437")
    date = ((day >> 9) + 1980, day >> 5 & 15, day & 31, time >> 11, time >> 5 & 63, (time & 31) * 2)
    header = ZipHeader(name, date)
    header.raw_name, header.readable = raw_name, name
    header.create_version, header.create_system = fields[1], fields[2]
    header.extract_version, header.reserved = fields[3], fields[4]
    header.flag_bits, header.compress_type = flags, fields[6]
    header.CRC, header.compress_size, header.file_size = fields[9:12]
    header.internal_attr, header.external_attr, header.header_offset = fields[16:19]
    return header


def _apply_extra(header: ZipHeader) -> None:
    """Take 8-byte values from Zip64's extra field for the facts whose 4 bytes are at the maximum."""
    for id_, field in split_extra(header.extra):
        if id_ != ZIP64:
            header.plain_extra += field
            continue
        values, at = field[4:], 0
        for name in ("file_size", "compress_size", "header_offset"):
            if getattr(header, name) == MAX32:
                if len(values) < at + 8:
                    raise ArchiveDamaged("archive_corrupt", f"{header.readable!r} has no size.")
                setattr(header, name, int.from_bytes(values[at : at + 8], "little"))
                at += 8


def split_extra(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (id, whole field) of each extra field; bytes that are no field come last, with id -1."""
    while len(extra) >= _FIELD.size:
        id_, size = _FIELD.unpack_from(extra)
        if _FIELD.size + size > len(extra):
            break
        yield id_, extra[: _FIELD.size + size]
        extra = extra[_FIELD.size + size :]
    if extra:
        yield -1, extra
