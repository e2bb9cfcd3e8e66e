"""What the archive formats share: members, entries that are being read, bounded reads.

Archives come from strangers. Their sizes, names, counts and offsets may be wrong: no memory is allocated
for a size that is only declared, and an archive that contradicts itself raises `ArchiveDamaged`.
"""

import io
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, Protocol

from jobs.errors import ArchiveDamaged

CHUNK = 1 << 20
HEAD = 64
MAX_MEMBERS = 10_000_000
# Measured on a clean A4 page, level 1 against 6: a JPEG has the same size after 36 ms against 52, raw pixels
# are 17 % larger after 53 ms against 132. One thread writes a shard, and the device must not wait for it.
LEVEL = 1

Kind = Literal["file", "directory", "link", "device"]
ArchiveKind = Literal["tar", "tar.gz", "zip"]


class Sink(Protocol):
    """Where an archive is written to; it needs no seek."""

    def write(self, data: bytes, /) -> object:
        """Take all of `data`."""


@dataclass(frozen=True)
class Member:
    r"""One member as its header describes it.

    Attributes:
        name: valid text; bytes that are not UTF-8 become `\xe9`. Not safe as a path.
        index: the position in the archive, from 0.
        size: bytes of content, as declared.
        kind: "device" is everything else, also sparse files.
        header: all other facts, for the writer.
    """

    name: str
    index: int
    size: int
    kind: Kind
    header: tarfile.TarInfo | zipfile.ZipInfo


class Entry(Protocol):
    """A member that can be read now.

    An entry of a tar can be read once, by `open` or `raw`, before the reader moves on; an entry of a zip can
    be read while the stream is open, by any thread.
    """

    @property
    def member(self) -> Member:
        """The member."""

    @property
    def head(self) -> bytes:
        """The first 64 bytes of the content; empty if it can't be read."""

    def open(self) -> BinaryIO:
        """Stream the content, never more than `member.size` bytes.

        Raises:
            PageError: here or while reading, if this content can't be read (member_corrupt,
                member_encrypted, member_unsupported); other members can.
            ArchiveDamaged: while reading, if the archive ends within the content.
        """

    def raw(self) -> Iterator[bytes]:
        """Yield the member's bytes in the archive, with its headers, in chunks of at most 1 MiB."""


class Reader(Protocol):
    """Iterates over the entries of one archive, once."""

    @property
    def comment(self) -> bytes:
        """The comment of the archive; empty if the format has none."""

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries in order; raises ArchiveDamaged as soon as a fault is found."""


class Writer(Protocol):
    """Writes one archive from front to back. Only `close()` makes the result an archive."""

    def add(self, member: Member, data: BinaryIO, size: int) -> None:
        """Write `size` bytes of `data` under `member`'s header; a changed `member.name` renames it."""

    def copy(self, member: Member, raw: Iterable[bytes]) -> None:
        """Write a member unchanged; `raw` is what `Entry.raw` yields."""

    def close(self) -> None:
        """Write the end of the archive; the sink stays open."""


class RawReader(io.RawIOBase):
    """A base for streams that implement `step`; large reads are not split into 8 KiB."""

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read one step into `buffer`; 0 at the end."""
        data = self.step(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        """Read to the end; memory grows with what is read, not with what is declared."""
        return b"".join(iter(lambda: self.step(CHUNK), b""))

    def step(self, limit: int) -> bytes:
        """Return up to `limit` bytes; b"" only at the end."""
        raise NotImplementedError


def read_exact(stream: BinaryIO, size: int, what: str) -> bytes:
    """Read exactly `size` bytes, also from a stream that returns fewer at a time.

    Raises:
        ArchiveDamaged: archive_truncated, if the stream ends before.
    """
    data = read_up_to(stream, size)
    if len(data) < size:
        raise ArchiveDamaged("archive_truncated", f"The archive ends in the middle of {what}.")
    return data


def read_up_to(stream: BinaryIO, size: int) -> bytes:
    """Read `size` bytes or, at the end, fewer; memory grows with what is read."""
    first = stream.read(min(size, CHUNK))
    if len(first) == size or not first:
        return first
    parts, left = [first], size - len(first)
    while left and (part := stream.read(min(left, CHUNK))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def copy_exact(data: BinaryIO, sink: Sink, size: int) -> None:
    """Copy `size` bytes to the sink; raises ValueError if `data` holds fewer, a mistake of the caller."""
    while size:
        part = data.read(min(size, CHUNK))
        if not part:
            raise ValueError(f"the data ends {size} bytes before the size that was given for it")
        sink.write(part)
        size -= len(part)
