"""Reads zips: entries in the order of the central directory, content on demand.

`zipfile` reads the whole directory into memory, accepts entries that overlap, and ends a member at its
declared size without an error. Here the directory is read in two passes, memory holds eight bytes for each
member, and a member's content must have exactly the declared size and checksum.
"""

import bz2
import io
import stat
import struct
import zipfile
import zlib
from array import array
from collections.abc import Iterator
from typing import BinaryIO, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from jobs.archives.member import CHUNK, HEAD, MAX_MEMBERS, Entry, Kind, Member, RawReader, read_up_to
from jobs.archives.zip_directory import MAX32, Section, ZipHeader, find_directory, read_directory
from jobs.errors import ArchiveDamaged, PageError

_LOCAL = struct.Struct("<4s22xHH")
_INPUT = 1 << 16  # compressed bytes per step, and the most that are read for a member's head


class ZipReader:
    """Iterates over the entries of a zip."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._source = Section(stream, size)
        self._directory = find_directory(self._source)
        self.comment = self._directory.comment

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries."""
        starts = self._check()
        for index, header in enumerate(read_directory(self._source, self._directory)):
            after = int(np.searchsorted(starts, np.uint64(header.header_offset), side="right"))
            end = int(starts[after]) if after < len(starts) else self._directory.start
            yield _ZipEntry(self._source, header, index, end)

    def _check(self) -> NDArray[np.uint64]:
        """The sorted starts; refuses members that overlap: a few kilobytes could expand to petabytes."""
        starts, ends = array("Q"), array("Q")
        for header in read_directory(self._source, self._directory):
            if len(starts) >= MAX_MEMBERS:
                raise ArchiveDamaged(
                    "archive_too_many_members", f"The archive has more than {MAX_MEMBERS:,} members."
                )
            starts.append(header.header_offset)
            ends.append(header.header_offset + 30 + len(header.raw_name) + header.compress_size)
        order = np.argsort(np.asarray(starts), kind="stable")
        first = np.asarray(starts)[order]
        if np.any(np.asarray(ends)[order][:-1] > first[1:]):
            raise ArchiveDamaged("archive_corrupt", "Members of the archive overlap each other.")
        return first


def _kind(header: ZipHeader) -> Kind:
    mode = header.external_attr >> 16
    if header.filename.endswith("/"):
        return "directory"
    if stat.S_ISLNK(mode):
        return "link"
    special = stat.S_ISBLK(mode) or stat.S_ISCHR(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
    return "device" if special else "file"


class _ZipEntry:
    """One member; any thread can read it while the stream is open."""

    def __init__(self, source: Section, header: ZipHeader, index: int, end: int) -> None:
        self._source = source
        self._header = header
        fixed = source.read(header.header_offset, _LOCAL.size)
        signature, names, extras = _LOCAL.unpack(fixed)
        if signature != b"PK\3\4":
            raise ArchiveDamaged("archive_corrupt", f"{header.readable!r} isn't where the directory says.")
        header.local = fixed + source.read(header.header_offset + _LOCAL.size, names + extras)
        self._start = header.header_offset + len(header.local)
        self._same_name = header.local[_LOCAL.size :][:names] == header.raw_name
        header.local_extra = header.local[_LOCAL.size + names :]
        if self._start + header.compress_size > end:
            raise ArchiveDamaged("archive_corrupt", "Members of the archive overlap each other.")
        self._end = end
        self.member = Member(header.readable, index, header.file_size, _kind(header), header)
        self.head = self._read_head()

    def _read_head(self) -> bytes:
        try:
            return read_up_to(cast(BinaryIO, self._content()), HEAD)
        except PageError:
            return b""

    def open(self) -> BinaryIO:
        """Stream the content; it is checked at its end."""
        return io.BufferedReader(self._content(), CHUNK)

    def _content(self) -> "_Content":
        header, name = self._header, self.member.name
        if header.flag_bits & 0x1:
            raise PageError("member_encrypted", f"{name!r} is encrypted.")
        if not self._same_name:
            raise PageError(
                "member_corrupt", f"{name!r} has another name at its place than in the directory."
            )
        decompress = _decompressor(header.compress_type)
        if decompress is None:
            raise PageError(
                "member_unsupported",
                f"{name!r} is compressed by method {header.compress_type}, unknown here.",
            )
        return _Content(self._source, self._start, header, decompress)

    def raw(self) -> Iterator[bytes]:
        """Yield the local header, the compressed bytes and the descriptor, unchanged."""
        header = self._header
        yield header.local
        position, end = self._start, self._start + header.compress_size
        while position < end:
            part = self._source.read(position, min(CHUNK, end - position))
            yield part
            position += len(part)
        if header.flag_bits & 0x8:
            yield self._descriptor(end)

    def _descriptor(self, offset: int) -> bytes:
        """The data descriptor: with or without signature, with sizes of 4 or 8 bytes, or b""."""
        header = self._header
        there = self._source.read(offset, min(24, self._end - offset))
        facts = (header.CRC, header.compress_size, header.file_size)
        forms = ["<LQQ"] if max(facts) > MAX32 else ["<LLL", "<LQQ"]
        for signature in (b"PK\7\x08", b""):
            for form in forms:
                whole = signature + struct.pack(form, *facts)
                if there.startswith(whole):
                    return whole
        # Some writers set the flag and write no descriptor; readers use the directory.
        return b""


class _Decompressor(Protocol):
    """The interface of decompressors."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Stored:
    """No compression, with the same interface; it can't know its end."""

    eof = False
    unused_data = b""

    def __init__(self) -> None:
        self._kept = b""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        data = self._kept + data
        data, self._kept = data[:max_length], data[max_length:]
        return data


class _Inflate:
    """zlib returns input that it has not read, bz2 keeps it: keep it here."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(-15)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


def _decompressor(method: int) -> _Decompressor | None:
    """The decompressor for a zip method; None for methods that are not supported."""
    if method == zipfile.ZIP_STORED:
        return _Stored()
    if method == zipfile.ZIP_DEFLATED:
        return _Inflate()
    return bz2.BZ2Decompressor() if method == zipfile.ZIP_BZIP2 else None


class _Content(RawReader):
    """A member's content; at its end, size and checksum must be as declared."""

    def __init__(self, source: Section, start: int, header: ZipHeader, decompress: _Decompressor) -> None:
        self._source, self._header, self._decompress = source, header, decompress
        self._position, self._end = start, start + header.compress_size
        self._left, self._crc = header.file_size, 0

    def step(self, limit: int) -> bytes:
        """Return up to `limit` decompressed bytes; raises PageError("member_corrupt") if they are wrong."""
        part = self._next(min(limit, self._left)) if self._left else b""
        self._left -= len(part)
        self._crc = zlib.crc32(part, self._crc)
        if self._left and part:
            return part
        surplus = self._next(1)
        ended = self._decompress.eof or self._header.compress_type == zipfile.ZIP_STORED
        whole = ended and self._position == self._end and not self._decompress.unused_data
        if self._left or surplus or not whole or self._crc != self._header.CRC:
            raise PageError("member_corrupt", f"{self._header.readable!r} isn't what the archive declares.")
        return part

    def _next(self, limit: int) -> bytes:
        """Decompress until there is output or the input ends."""
        data = b""
        while not self._decompress.eof:
            try:
                part = self._decompress.decompress(data, limit)
            except (zlib.error, OSError) as error:  # OSError is bz2's error for damage; nothing is read here
                raise PageError("member_corrupt", f"{self._header.readable!r} is damaged.") from error
            if part or (self._position == self._end and not data):
                return part
            data = self._source.read(self._position, min(_INPUT, self._end - self._position))
            self._position += len(data)
        return b""
