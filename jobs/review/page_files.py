"""The files of the pages that get pictures, from the source and from the destination.

Every archive that is needed is read once, from front to back, source and result at the same time; other files
in it are skipped. Memory holds the two files of one page, and `_OUT_OF_TURN` more.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from jobs.archives.member import Entry
from jobs.archives.open import kind_of, read_archive
from jobs.config import LIMITS
from jobs.errors import ArchiveDamaged, PageError, SourceChanged
from jobs.ledger.ledger import Ledger
from jobs.ledger.records import Commit
from jobs.ledger.runs import last_source
from jobs.shard.loose_files import FileEntry
from jobs.shard.members import Nested, PageMember, members
from jobs.shard.meter import Meter, open_metered
from jobs.stores.base import Store
from jobs.text import valid_text

_OUT_OF_TURN = 4  # files of a source that are kept for later, if its order differs from its result's

FileId = tuple[str, int]
"""A member's name and index, as its rows have them."""


@dataclass(frozen=True)
class Wanted:
    """A page that gets pictures; `number` is the number of its pictures."""

    number: int
    shard: str
    member: str
    member_index: int
    page_index: int
    source_sha256: str | None
    output_sha256: str | None

    @property
    def file(self) -> FileId:
        """The file that has the page."""
        return self.member, self.member_index


@dataclass(frozen=True)
class Found:
    """A page's file before and after; None if it can't be shown, and then `note` says why."""

    page: Wanted
    before: bytes | None
    after: bytes | None
    note: str = ""


class Places:
    """Finds pages in a destination, and in the source of its last run if that can be read."""

    def __init__(self, to: Store) -> None:
        self._to = to
        self._ledger = Ledger(to)
        self._source, self._problem = last_source(to)

    @property
    def remark(self) -> str:
        """What is wrong with the source, or an empty text."""
        return f"The source can't be read: {self._problem}" if self._source is None else ""

    def find(self, wanted: Sequence[Wanted]) -> Iterator[Found]:
        """Find pages, shard by shard.

        Raises:
            StoreError: the destination broke, or the source did after it could be reached.
            OSError: the temporary folder can't be used; see `spooling`.
        """
        by_shard: dict[str, list[Wanted]] = {}
        for page in wanted:
            by_shard.setdefault(page.shard, []).append(page)
        for key in self._ledger.heads().shards():
            pages = by_shard.pop(valid_text(key), None)
            if pages:
                yield from self._find_in(self._ledger.latest(key), pages)
        for pages in by_shard.values():
            yield from (Found(page, None, None, "Its shard was voided meanwhile.") for page in pages)

    def _find_in(self, commit: Commit | None, pages: list[Wanted]) -> Iterator[Found]:
        by_file: dict[FileId, list[Wanted]] = {}
        for page in pages:
            by_file.setdefault(page.file, []).append(page)
        after = _files(self._to, commit, by_file)
        before = _files(self._source, commit, by_file)
        for file, old, new in _paired(before, after):
            for page in by_file.pop(file, ()):
                yield self._checked(page, old, new)
        for page in (page for pages in by_file.values() for page in pages):
            yield self._checked(page, None, None)

    def _checked(self, page: Wanted, old: bytes | None, new: bytes | None) -> Found:
        """Leave out files that are not those that the page's row names."""
        old_is_it, new_is_it = _is(old, page.source_sha256), _is(new, page.output_sha256)
        if not new_is_it:
            note = "The cleaned page is gone, or was changed, since the report was written."
        elif self._source is None:
            note = self.remark
        else:
            note = "" if old_is_it else "The source's page is gone, or was changed, since it was cleaned."
        return Found(page, old if old_is_it else None, new if new_is_it else None, note)


def _is(data: bytes | None, sha256: str | None) -> bool:
    return data is not None and hashlib.sha256(data).hexdigest() == sha256


_Files = Iterator[tuple[FileId, bytes]]


def _paired(before: _Files, after: _Files) -> Iterator[tuple[FileId, bytes | None, bytes]]:
    """Each file of `after` with the one of `before`; both have the same order if they are unchanged."""
    early: dict[FileId, bytes] = {}
    for file, new in after:
        while file not in early and len(early) < _OUT_OF_TURN and (one := next(before, None)):
            early[one[0]] = one[1]
        yield file, early.pop(file, None), new


def _files(store: Store | None, commit: Commit | None, wanted: Collection[FileId]) -> _Files:
    """The wanted files of a shard that `store` has."""
    if store is None or commit is None or commit.voided:
        return
    try:
        kind = kind_of(commit.shard)
        if kind is None:  # a group of loose files
            yield from _wanted(_loose_files(store, commit, wanted), wanted)
        elif info := store.stat(commit.source[0].key):
            with store.open(info) as stream:
                yield from _wanted(read_archive(kind, stream, info.size), wanted)
    except (ArchiveDamaged, SourceChanged):
        return


def _loose_files(store: Store, commit: Commit, wanted: Iterable[FileId]) -> Iterator[Entry]:
    for _, index in sorted(wanted, key=lambda file: file[1]):
        if info := store.stat(commit.source[index].key):
            with open_metered(store, info, Meter()) as stream:
                yield FileEntry(info, index, stream)


def _wanted(
    entries: Iterable[Entry], wanted: Collection[FileId], archive: str = "", depth: int = 0
) -> _Files:
    """The wanted files among the members of an archive and of the archives in it."""
    for found in members(entries, LIMITS, archive, depth):
        file = found.name, found.index
        try:
            if isinstance(found, PageMember) and file in wanted:
                yield file, found.entry.open().read()
            elif isinstance(found, Nested) and any(found.holds(name) for name, _ in wanted):
                with found.spooled() as inner:
                    nested = read_archive(found.kind, inner, found.entry.member.size)
                    yield from _wanted(nested, wanted, found.name, found.depth)
        except PageError:
            continue
