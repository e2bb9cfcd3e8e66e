"""The items of a shard, to compare a source with its result."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from jobs.archives.member import Entry
from jobs.archives.open import ArchiveKind, read_archive
from jobs.codecs.codec import inspect
from jobs.config import LIMITS
from jobs.errors import ArchiveDamaged, PageError
from jobs.shard.members import Carried, Nested, PageMember, Refused, members


@dataclass(frozen=True)
class Item:
    """A member, or the damage at the end of an archive.

    Attributes:
        name: its name within the shard, as the report has it.
        index: its position in its archive, from 0; -1 for damage.
        rows: how many rows the report has for it; 0 if it is no page.
        sha256: the hash of a page's file, in hex, as its rows have it; None if they have none.
        carried: the hash of a member that is copied unchanged; None for pages, which change.
    """

    name: str
    index: int
    rows: int
    sha256: str | None = None
    carried: str | None = None


def archive_items(
    kind: ArchiveKind, stream: BinaryIO, size: int, name: str = "", depth: int = 0
) -> Iterator[Item]:
    """The items of an archive, with those of the archives in it.

    Args:
        kind: the archive's kind.
        stream: the archive.
        size: its bytes.
        name: its name within the shard; empty for the shard itself.
        depth: how many archives are around it.

    Raises:
        SourceChanged, StoreError: the store broke.
        OSError: the temporary folder can't be used; see `spooling`.
    """
    try:
        yield from items(read_archive(kind, stream, size), name, depth)
    except ArchiveDamaged:
        yield Item(name, -1, 1)


def items(entries: Iterable[Entry], archive: str = "", depth: int = 0) -> Iterator[Item]:
    """The items of an archive's entries; raises as `archive_items`, and ArchiveDamaged."""
    for found in members(entries, LIMITS, archive, depth):
        match found:
            case Refused():
                yield Item(found.name, found.index, 1, carried=_raw_digest(found.entry))
            case PageMember():
                yield _page_item(found)
            case Nested():
                yield from _nested_items(found)
            case Carried():
                yield Item(found.name, found.index, 0, carried=_raw_digest(found.entry))


def _page_item(found: PageMember) -> Item:
    try:
        data = found.entry.open().read()
    except PageError:
        return Item(found.name, found.index, 1)
    try:
        rows = len(inspect(data, found.format).frames)
    except PageError:
        rows = 1
    return Item(found.name, found.index, rows, hashlib.sha256(data).hexdigest())


def _nested_items(found: Nested) -> Iterator[Item]:
    try:
        inner = found.spooled()
    except PageError:
        yield Item(found.name, found.index, 1)
        return
    with inner:
        yield from archive_items(found.kind, inner, found.entry.member.size, found.name, found.depth)


def _raw_digest(entry: Entry) -> str:
    digest = hashlib.sha256()
    for chunk in entry.raw():
        digest.update(chunk)
    return digest.hexdigest()
