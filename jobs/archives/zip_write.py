"""Writes zips to a sink that can't seek.

A member with new content is compressed into a temporary file first, so that its local header has sizes and
checksum and needs no data descriptor. Programs can read such zips from front to back or by the directory.
"""

import bz2
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from typing import IO, BinaryIO, Protocol

from jobs.archives.member import CHUNK, LEVEL, Member, Sink
from jobs.archives.zip_directory import MAX16, MAX32, RECORD, ZIP64, ZipHeader, split_extra

_SPOOL = 32 << 20  # up to here in memory, as compressed pages are; more goes to a temporary file
_UNICODE_NAME = 0x7075  # repeats the name: wrong after a rename
_KEPT_FLAGS = 0x800  # UTF-8; the others mean compression options, encryption and descriptors


class ZipWriter:
    """Writes one zip."""

    def __init__(self, sink: Sink, comment: bytes) -> None:
        self._sink, self._comment = sink, comment
        self._offset = 0
        # The directory is kept as bytes in a temporary file: a million members would be a million objects.
        self._directory = tempfile.SpooledTemporaryFile(_SPOOL)  # noqa: SIM115 - lives until close()
        self._count = 0

    def add(self, member: Member, data: BinaryIO, size: int) -> None:
        """Write `size` bytes of `data` under the member's header."""
        assert isinstance(member.header, ZipHeader)
        header = _renewed(member.header, member.name)
        with tempfile.SpooledTemporaryFile(_SPOOL) as spool:
            _compress(data, size, header, spool)
            offset = self._offset
            self._write(_local(header))
            spool.seek(0)
            while part := spool.read(CHUNK):
                self._write(part)
        self._list(header, offset)

    def copy(self, member: Member, raw: Iterable[bytes]) -> None:
        """Write a member unchanged."""
        assert isinstance(member.header, ZipHeader)
        offset = self._offset
        for part in raw:
            self._write(part)
        self._list(member.header, offset)

    def close(self) -> None:
        """Write the directory and the end record."""
        start = self._offset
        with self._directory:
            self._directory.seek(0)
            while part := self._directory.read(CHUNK):
                self._write(part)
        size = self._offset - start
        if self._count >= MAX16 or start >= MAX32 or size >= MAX32:
            facts = (self._count, self._count, size, start)
            end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, *facts)
            self._write(end64 + struct.pack("<4sLQL", b"PK\6\7", 0, start + size, 1))
        count = min(self._count, MAX16)
        end = struct.pack(
            "<4s4H2LH", b"PK\5\6", 0, 0, count, count, min(size, MAX32), min(start, MAX32), len(self._comment)
        )
        self._write(end + self._comment)

    def _write(self, data: bytes) -> None:
        self._sink.write(data)
        self._offset += len(data)

    def _list(self, header: ZipHeader, offset: int) -> None:
        self._directory.write(_record(header, offset))
        self._count += 1


def _renewed(old: ZipHeader, name: str) -> ZipHeader:
    """The header for new content: name, dates, attributes, comment and extra fields are kept."""
    new = ZipHeader(old.filename, old.date_time)
    new.raw_name, new.readable = old.raw_name, name
    new.flag_bits = old.flag_bits & _KEPT_FLAGS
    dropped = {ZIP64}
    if name != old.readable:
        # cp437 can't hold every name, UTF-8 can; a flag tells which of both it is.
        new.raw_name, new.flag_bits = name.encode(), _KEPT_FLAGS
        dropped.add(_UNICODE_NAME)
    new.plain_extra = b"".join(field for id_, field in split_extra(old.plain_extra) if id_ not in dropped)
    new.local_extra = b"".join(field for id_, field in split_extra(old.local_extra) if id_ not in dropped)
    known = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
    new.compress_type = old.compress_type if old.compress_type in known else zipfile.ZIP_DEFLATED
    new.create_version, new.create_system = old.create_version, old.create_system
    new.extract_version, new.comment = old.extract_version, old.comment
    new.internal_attr, new.external_attr = old.internal_attr, old.external_attr
    return new


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Store:
    """No compression, with the same interface."""

    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def _compress(data: BinaryIO, size: int, header: ZipHeader, spool: IO[bytes]) -> None:
    """Compress `size` bytes of `data` into `spool`; sets the header's sizes and checksum."""
    compressor: _Compressor = _Store()
    if header.compress_type == zipfile.ZIP_DEFLATED:
        compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -15)
    elif header.compress_type == zipfile.ZIP_BZIP2:
        compressor = bz2.BZ2Compressor()
    left, header.CRC = size, 0
    while left:
        part = data.read(min(left, CHUNK))
        if not part:
            raise ValueError(f"the data ends {left} bytes before the size that was given for it")
        header.CRC = zlib.crc32(part, header.CRC)
        spool.write(compressor.compress(part))
        left -= len(part)
    spool.write(compressor.flush())
    header.file_size, header.compress_size = size, spool.tell()


def _times(header: ZipHeader) -> tuple[int, int]:
    year, month, day, hour, minute, second = header.date_time
    return hour << 11 | minute << 5 | second // 2, (year - 1980) << 9 | month << 5 | day


def _local(header: ZipHeader) -> bytes:
    """The bytes of the local header of new content."""
    sizes = (header.compress_size, header.file_size)
    extra, version = header.local_extra, header.extract_version
    if max(sizes) >= MAX32:
        # Here, unlike in the directory, both sizes are required.
        extra = struct.pack("<HHQQ", ZIP64, 16, header.file_size, header.compress_size) + extra
        sizes, version = (MAX32, MAX32), max(version, 45)
    header.extract_version = version
    return (
        struct.pack(
            "<4sBB4H3L2H",
            b"PK\3\4",
            version,
            header.reserved,
            header.flag_bits,
            header.compress_type,
            *_times(header),
            header.CRC,
            *sizes,
            len(header.raw_name),
            len(extra),
        )
        + header.raw_name
        + extra
    )


def _record(header: ZipHeader, offset: int) -> bytes:
    """The directory's record of a member whose local header is at `offset`."""
    facts = (header.file_size, header.compress_size, offset)
    large = b"".join(struct.pack("<Q", fact) for fact in facts if fact >= MAX32)
    extra, version = header.plain_extra, header.extract_version
    if large:
        extra, version = struct.pack("<HH", ZIP64, len(large)) + large + extra, max(version, 45)
    fixed = RECORD.pack(
        b"PK\1\2",
        header.create_version,
        header.create_system,
        version,
        header.reserved,
        header.flag_bits,
        header.compress_type,
        *_times(header),
        header.CRC,
        min(header.compress_size, MAX32),
        min(header.file_size, MAX32),
        len(header.raw_name),
        len(extra),
        len(header.comment),
        0,
        header.internal_attr,
        header.external_attr,
        min(offset, MAX32),
    )
    return fixed + header.raw_name + extra + header.comment
