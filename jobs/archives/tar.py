"""Tars as streams.

`tarfile` stops without an error at a cut between members, at a missing end mark and at some broken headers;
it reads extended headers of any size into memory and can't write sparse members. So it only parses single
512-byte blocks here. The blocks of a member's header are kept: copying writes them again, and a member with
new content gets them with a new size.
"""

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO, cast

from jobs.archives.member import (
    CHUNK,
    HEAD,
    LEVEL,
    MAX_MEMBERS,
    Entry,
    Kind,
    Member,
    RawReader,
    Sink,
    copy_exact,
    read_exact,
    read_up_to,
)
from jobs.archives.tar_header import BLOCK, TarHeader, is_header, padding, read_header, resize
from jobs.errors import ArchiveDamaged

_RECORD = 10240  # tar's tape record: GNU tar and tarfile pad to it, and so do we
_MAX_TRAILER = 64 << 20  # behind the end of a tar.gz: some padding is harmless, gigabytes are an attack


class TarReader:
    """Iterates over the entries of a tar, plain or gzipped."""

    comment = b""

    def __init__(self, stream: BinaryIO, size: int, *, gzipped: bool) -> None:
        self._source = _Counted(stream)
        counted = cast(BinaryIO, self._source)
        self._stream = cast(BinaryIO, _Gunzip(counted)) if gzipped else counted
        self._size = size

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries; after the last one the whole archive was read and has no fault."""
        index = 0
        inherited: dict[str, str] = {}
        while header := read_header(self._stream, inherited):
            if index >= MAX_MEMBERS:
                raise ArchiveDamaged(
                    "archive_too_many_members", f"The archive has more than {MAX_MEMBERS:,} members."
                )
            kind = _kind(header)
            entry = _TarEntry(Member(header.readable, index, header.stored, kind, header), self._stream)
            yield entry
            entry.skip()
            index += 1
        self._check_rest()

    def _check_rest(self) -> None:
        """Read what follows the end mark: gzip's checksum; a second tar there would be lost."""
        left, first = _MAX_TRAILER, True
        while block := read_up_to(self._stream, CHUNK):
            if first and block.strip(b"\0"):
                first = False
                start = (len(block) - len(block.lstrip(b"\0"))) // BLOCK * BLOCK
                if is_header(block[start : start + BLOCK]):
                    raise ArchiveDamaged(
                        "archive_unsupported",
                        "A second archive follows the end of the first; split them: tar sees one only.",
                    )
            left -= len(block)
            if left < 0:
                raise ArchiveDamaged("archive_corrupt", "More than 64 MiB follow the end of the archive.")
        if self._source.count < self._size:
            raise ArchiveDamaged(
                "archive_truncated",
                f"Only {self._source.count:,} of the archive's {self._size:,} bytes arrived.",
            )


def _kind(header: TarHeader) -> Kind:
    if header.sparse_data:
        return "device"
    if header.type in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE):
        return "file"
    if header.type == tarfile.DIRTYPE:
        return "directory"
    return "link" if header.type in (tarfile.SYMTYPE, tarfile.LNKTYPE) else "device"


class _TarEntry:
    """The current member of a reader; what is not read of it is skipped."""

    def __init__(self, member: Member, stream: BinaryIO) -> None:
        self.member = member
        self._stream = stream
        self._left = member.size
        self.head = read_exact(stream, min(HEAD, member.size), f"{member.name!r}")
        self._left -= len(self.head)
        self._taken = False

    def open(self) -> BinaryIO:
        """Stream the content, once."""
        self._take()
        return io.BufferedReader(_Content(self), CHUNK)

    def raw(self) -> Iterator[bytes]:
        """Yield the header's blocks, the content, and zeros up to the next block."""
        self._take()
        header = self.member.header
        assert isinstance(header, TarHeader)
        yield header.blocks
        yield self.head
        while part := self.take(CHUNK):
            yield part
        yield padding(self.member.size)

    def take(self, limit: int) -> bytes:
        """Read the next bytes of the content: at most `limit`; b"" at its end."""
        part = self._stream.read(min(limit, self._left, CHUNK)) if self._left else b""
        if self._left and not part:
            raise ArchiveDamaged(
                "archive_truncated", f"The archive ends in the middle of {self.member.name!r}."
            )
        self._left -= len(part)
        return part

    def skip(self) -> None:
        """Go to the next header."""
        self._taken = True
        while self.take(CHUNK):
            pass
        read_exact(self._stream, -self.member.size % BLOCK, f"{self.member.name!r}")

    def _take(self) -> None:
        if self._taken:
            raise RuntimeError(f"{self.member.name!r} was read already: a tar goes by only once")
        self._taken = True


class _Content(RawReader):
    """An entry's content: the head, which was read already, then the rest."""

    def __init__(self, entry: _TarEntry) -> None:
        self._entry = entry
        self._head = entry.head

    def step(self, limit: int) -> bytes:
        """Return up to `limit` bytes."""
        if self._head:
            part, self._head = self._head[:limit], self._head[limit:]
            return part
        return self._entry.take(limit)


class _Counted:
    """Counts the bytes that are read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.count += len(data)
        return data


class _Gunzip:
    """Decompresses gzip and raises its errors as ArchiveDamaged."""

    def __init__(self, stream: BinaryIO) -> None:
        self._file = gzip.GzipFile(fileobj=stream, mode="rb")

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except EOFError as error:
            raise ArchiveDamaged("archive_truncated", "The compressed archive ends too early.") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise ArchiveDamaged("archive_corrupt", "The archive's compressed data is damaged.") from error


class TarWriter:
    """Writes a tar, plain or gzipped."""

    def __init__(self, sink: Sink, *, gzipped: bool) -> None:
        self._sink = sink
        # No time and no name in gzip's header: the same members give the same bytes.
        self._gzip = (
            gzip.GzipFile("", "wb", LEVEL, fileobj=cast(BinaryIO, sink), mtime=0) if gzipped else None
        )
        self._count = 0

    def write(self, data: bytes, /) -> None:
        """Append to the archive before compression."""
        self._count += len(data)
        if self._gzip:
            self._gzip.write(data)
        else:
            self._sink.write(data)

    def add(self, member: Member, data: BinaryIO, size: int) -> None:
        """Write `size` bytes of `data` under the member's header."""
        assert isinstance(member.header, TarHeader)
        self.write(resize(member.header, member.name, size))
        copy_exact(data, self, size)
        self.write(padding(size))

    def copy(self, member: Member, raw: Iterable[bytes]) -> None:
        """Write a member unchanged."""
        for part in raw:
            self.write(part)

    def close(self) -> None:
        """Write the two zero blocks and fill the record."""
        self.write(bytes(2 * BLOCK))
        self.write(bytes(-self._count % _RECORD))
        if self._gzip:
            self._gzip.close()
