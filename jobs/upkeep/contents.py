"""What a shard holds, member by member, as `rewrite` goes through it; to compare one with another."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from jobs.archives.member import Entry
from jobs.archives.open import ArchiveKind, kind_of, read_archive
from jobs.codecs.codec import inspect
from jobs.codecs.sniff import sniff
from jobs.config import Limits
from jobs.errors import ArchiveDamaged, PageError
from jobs.shard.policy import refusal
from jobs.shard.staging import copy
from jobs.stores.spool import spool
from jobs.text import valid_text

LIMITS = Limits()


@dataclass(frozen=True)
class Item:
    """A member, or the damage at the end of an archive.

    Attributes:
        name: as the report has it.
        index: likewise; -1 for damage.
        rows: how many rows the report has of it; 0 for what is no page.
        sha256: of a page's file, as its rows have it; None where they have none.
        carried: the digest of what is carried along as it stands; None for pages, which change.
    """

    name: str
    index: int
    rows: int
    sha256: str | None = None
    carried: str | None = None


def archive_items(
    kind: ArchiveKind, stream: BinaryIO, size: int, name: str = "", depth: int = 0
) -> Iterator[Item]:
    """The items of an archive, those of archives in it among them.

    Args:
        kind: what it is.
        stream: to read it from.
        size: its bytes.
        name: its name within the shard; empty for the shard itself.
        depth: how many archives are around it.

    Raises:
        SourceChanged, StoreError: the place broke.
        OSError: the temporary folder can't be used; see `spooling`.
    """
    try:
        yield from items(read_archive(kind, stream, size), f"{name}!/" if name else "", depth)
    except ArchiveDamaged:
        yield Item(name, -1, 1)


def items(entries: Iterable[Entry], prefix: str = "", depth: int = 0) -> Iterator[Item]:
    """The items of some entries; raises as `archive_items`, and ArchiveDamaged."""
    for entry in entries:
        member = entry.member
        name = prefix + valid_text(member.name)
        format, kind = sniff(member.name, entry.head), kind_of(member.name)
        if refusal(member, format, kind, depth, LIMITS):
            yield Item(name, member.index, 1, carried=_raw_digest(entry))
        elif member.kind == "file" and format is not None:
            yield _page_item(entry, name, format)
        elif member.kind == "file" and kind is not None:
            yield from _nested_items(entry, name, kind, depth)
        else:
            yield Item(name, member.index, 0, carried=_raw_digest(entry))


def _page_item(entry: Entry, name: str, format: str) -> Item:
    try:
        data = entry.open().read()
    except PageError:
        return Item(name, entry.member.index, 1)
    try:
        rows = len(inspect(data, format).frames)
    except PageError:
        rows = 1
    return Item(name, entry.member.index, rows, hashlib.sha256(data).hexdigest())


def _nested_items(entry: Entry, name: str, kind: ArchiveKind, depth: int) -> Iterator[Item]:
    with spool() as inner:
        try:
            copy(entry.open(), inner)
        except PageError:
            yield Item(name, entry.member.index, 1)
            return
        inner.seek(0)
        yield from archive_items(kind, inner, entry.member.size, name, depth + 1)


def _raw_digest(entry: Entry) -> str:
    digest = hashlib.sha256()
    for chunk in entry.raw():
        digest.update(chunk)
    return digest.hexdigest()
