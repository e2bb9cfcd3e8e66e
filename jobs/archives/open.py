"""Reads and writes archives as streams, member by member, in bounded memory.

reader = read_archive("tar", stream, size)
writer = write_archive("tar", sink, reader.comment)
for entry in reader:
    if sniff(entry.member.name, entry.head):
        writer.add(entry.member, cleaned, len_of_cleaned)
    else:
        writer.copy(entry.member, entry.raw())
writer.close()
"""

import re
from typing import BinaryIO

from jobs.archives.member import ArchiveKind, Entry, Kind, Member, Reader, Sink, Writer
from jobs.archives.tar import TarReader, TarWriter
from jobs.archives.zip_read import ZipReader
from jobs.archives.zip_write import ZipWriter

__all__ = [
    "ArchiveKind",
    "Entry",
    "Kind",
    "Member",
    "Reader",
    "Sink",
    "Writer",
    "is_safe_name",
    "kind_of",
    "read_archive",
    "write_archive",
]

_SUFFIXES: tuple[tuple[str, ArchiveKind], ...] = (
    (".tar", "tar"),
    (".tar.gz", "tar.gz"),
    (".tgz", "tar.gz"),
    (".zip", "zip"),
)


def kind_of(name: str) -> ArchiveKind | None:
    """The kind of archive by a file's name, in upper or lower case; None if it is no archive."""
    lower = name.lower()
    return next((kind for suffix, kind in _SUFFIXES if lower.endswith(suffix)), None)


def read_archive(kind: ArchiveKind, stream: BinaryIO, size: int) -> Reader:
    """Read an archive of `size` bytes.

    Args:
        kind: what it is.
        stream: the archive; only a zip's must be seekable.
        size: bytes of the whole archive, as the store gives it; if the stream has fewer, it is damaged.

    Raises:
        ArchiveDamaged: here or while iterating: archive_truncated, archive_corrupt, archive_unsupported,
            archive_too_many_members.
    """
    if kind == "zip":
        return ZipReader(stream, size)
    return TarReader(stream, size, gzipped=kind == "tar.gz")


def write_archive(kind: ArchiveKind, sink: Sink, comment: bytes = b"") -> Writer:
    """Write an archive; the same members always give the same bytes.

    Args:
        kind: what to write. Members must come from a zip for a zip, and from a tar for a tar.
        sink: only its `write` is used.
        comment: the zip's own comment, at most 65535 bytes.

    Returns:
        The writer; its `close()` completes the archive and leaves the sink open.
    """
    if kind == "zip":
        return ZipWriter(sink, comment)
    return TarWriter(sink, gzipped=kind == "tar.gz")


def is_safe_name(name: str) -> bool:
    """Whether `name`, joined to a folder, stays inside it on every operating system.

    False for absolute names, drive letters, `..` parts (also with backslashes), NUL and the empty name.
    """
    slashed = name.replace("\\", "/")
    if not name or "\0" in name or slashed.startswith("/") or re.match(r"[A-Za-z]:", name):
        return False
    return ".." not in slashed.split("/")
