"""Archives: members in and out, in order, streaming, in bounded memory.

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
    """Tell the kind of archive from a file name, in any case; None when it isn't one."""
    lower = name.lower()
    return next((kind for suffix, kind in _SUFFIXES if lower.endswith(suffix)), None)


def read_archive(kind: ArchiveKind, stream: BinaryIO, size: int) -> Reader:
    """Read an archive of `size` bytes.

    Args:
        kind: what it is.
        stream: tars are read front to back without seeking; a zip's stream must seek.
        size: bytes of the whole archive, as the store gives it; fewer in the stream is damage.

    Returns:
        What iterates over the entries.

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
        kind: what to write. Members and entries must come from an archive of the same family.
        sink: only its `write` is used.
        comment: the zip's own comment, at most 65535 bytes.

    Returns:
        The writer; its `close()` completes the archive and leaves the sink open.
    """
    if kind == "zip":
        return ZipWriter(sink, comment)
    return TarWriter(sink, gzipped=kind == "tar.gz")


def is_safe_name(name: str) -> bool:
    """Tell whether joining `name` to a folder stays inside it, on every system.

    False for absolute names, drive letters, `..` parts (with backslashes too), NUL and the empty name.
    """
    slashed = name.replace("\\", "/")
    if not name or "\0" in name or slashed.startswith("/") or re.match(r"[A-Za-z]:", name):
        return False
    return ".." not in slashed.split("/")
