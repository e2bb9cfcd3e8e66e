"""Is everything there that was committed? Objects are hashed, pages matched with their output and row."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.archive import kind_of
from jobs.archive_member import CHUNK
from jobs.contents import Item, archive_items, items
from jobs.errors import PumiceError, SourceChanged
from jobs.files import FilesReader
from jobs.ledger import Ledger
from jobs.meter import Meter
from jobs.places import open_store
from jobs.records import Commit
from jobs.runs import last_runs
from jobs.spool import spooling
from jobs.store import ObjectInfo, Staged, Store

_BATCH = 256
_COLUMNS = ["member", "member_index", "page_index", "status", "recipe", "source_sha256", "output_sha256"]
_Row = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """Something that is not as it was committed; `what` is one sentence."""

    shard: str
    what: str


@dataclass(frozen=True)
class Verification:
    """What was found.

    Attributes:
        shards: commits that were checked.
        pages: their rows, each matched with its page.
        bytes_read: of the destination's objects.
        compared: shards whose source is still the one that was cleaned, so that it was compared too.
        problems: in key order.
    """

    shards: int
    pages: int
    bytes_read: int
    compared: int
    problems: tuple[Problem, ...]

    @property
    def exit_code(self) -> int:
        """0 all is as it was committed; 3 something is not."""
        return 3 if self.problems else 0


def verify(destination: str) -> Verification:
    """Check every committed object of a destination; writes nothing, and may run beside a run.

    Raises:
        InputError: it is no place, or can't be read.
        StoreError: it broke, or was written by a newer version.
    """
    to = open_store(destination)
    ledger, source = Ledger(to), _source(to)
    results: list[_Checked] = []
    commits = (commit for commit in ledger.each_commit() if not commit.voided)
    with spooling(), ThreadPoolExecutor(os.cpu_count()) as pool:
        while batch := list(islice(commits, _BATCH)):
            results += pool.map(lambda one: _check_latest(one, ledger, source, to), batch)
    problems = [Problem(one.shard, what) for one in results for what in one.problems]
    return Verification(
        shards=len(results),
        pages=sum(one.pages for one in results),
        bytes_read=sum(one.bytes_read for one in results),
        compared=sum(one.compared for one in results),
        problems=tuple(sorted(problems, key=lambda one: one.shard)),
    )


def _source(to: Store) -> Store | None:
    """The source of the last run, if it can be reached; what can't be compared is not wrong."""
    runs = last_runs(to, 1)
    if not runs:
        return None
    try:
        source = open_store(runs[0].source)
        next(iter(source.list()), None)
    except PumiceError:
        return None
    return source


@dataclass(frozen=True)
class _Checked:
    shard: str
    pages: int
    bytes_read: int
    compared: bool
    problems: tuple[str, ...]


def _check_latest(commit: Commit, ledger: Ledger, source: Store | None, to: Store) -> _Checked:
    """Check a commit, and its successor if a run that is going on made one meanwhile."""
    while True:
        checked = _check(commit, source, to)
        latest = ledger.latest(commit.shard) if checked.problems else None
        if latest is None or latest.voided or latest.number == commit.number:
            return checked
        commit = latest


def _check(commit: Commit, source: Store | None, to: Store) -> _Checked:
    found = {staged.key: _check_object(staged, to) for staged in commit.staged}
    problems = [what for _, what in found.values() if what]
    outputs, originals = {one.key for one in commit.staged[:-1]}, {one.key for one in commit.source}
    problems += [f"{key} was in the source and has no output." for key in sorted(originals - outputs)]
    same = source is not None and all(source.stat(one.key) == one for one in commit.source)
    if not problems:
        try:
            infos = [info for key, (info, _) in found.items() if key in originals and info]
            problems += islice(_compare(commit, source if same else None, to, infos), 1)
        except SourceChanged as error:
            problems.append(str(error))
    return _Checked(
        commit.shard,
        commit.pages,
        sum(info.size for info, _ in found.values() if info),
        same,
        tuple(problems),
    )


def _check_object(staged: Staged, to: Store) -> tuple[ObjectInfo | None, str]:
    """The object as it is, and what is wrong with it."""
    info = to.stat(staged.key)
    if info is None:
        return None, f"{staged.key} is missing."
    if info.size != staged.size:
        return info, f"{staged.key} has {info.size:,} bytes instead of {staged.size:,}."
    digest = hashlib.sha256()
    try:
        with to.open(info) as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
    except SourceChanged as error:
        return info, str(error)
    same = digest.hexdigest() == staged.sha256
    return info, "" if same else f"{staged.key} has other bytes than those that were committed."


def _compare(commit: Commit, source: Store | None, to: Store, outputs: list[ObjectInfo]) -> Iterator[str]:
    """What contradicts what among the source, the outputs and the rows, the first contradiction first."""
    after = _items(commit, to, outputs)
    before = _items(commit, source, commit.source) if source else None
    rows, counted = _rows(commit, to), 0
    for new, old in zip_longest(after, before or (), fillvalue=None):
        if before is not None and (what := _difference(old, new)):
            yield what
        known = new or old
        assert known is not None
        for page in range(known.rows):
            counted += 1
            yield from _row_problem(next(rows, None), page, old, new, commit)
    for row in rows:
        yield f"The report has a row for {row['member']} page {row['page_index']}, which isn't there."
    if counted != commit.pages:
        yield f"{counted} pages are there instead of {commit.pages}."


def _items(commit: Commit, store: Store, objects: Sequence[ObjectInfo]) -> Iterator[Item]:
    kind = kind_of(commit.shard)
    if kind is None:  # a group of loose files, for none begins at an archive
        yield from items(FilesReader(store, sorted(objects, key=lambda one: one.key), Meter()))
        return
    with store.open(objects[0]) as stream:
        yield from archive_items(kind, stream, objects[0].size)


def _difference(old: Item | None, new: Item | None) -> str:
    """Why two items are not the same member."""
    if new is None or old is None:
        one = old or new
        assert one is not None
        return f"{one.name} is in the {'source' if old else 'result'} alone."
    if (old.name, old.index, old.rows) != (new.name, new.index, new.rows):
        return f"{old.name} with {old.rows} pages became {new.name} with {new.rows}."
    return "" if old.carried == new.carried else f"{old.name} is no page, and yet not as it was."


def _row_problem(
    row: _Row | None, page: int, old: Item | None, new: Item | None, commit: Commit
) -> Iterator[str]:
    item = new or old
    assert item is not None
    if row is None:
        yield f"{item.name} page {page} has no row in the report."
        return
    if (row["member"], row["member_index"], row["page_index"]) != (item.name, item.index, page):
        yield f"The report has {row['member']} page {row['page_index']} instead of {item.name} page {page}."
    if row["recipe"] != commit.recipe:
        yield f"The row of {item.name} page {page} is of another recipe than the commit."
    if old and old.sha256 != row["source_sha256"]:
        yield f"{old.name} is another file in the source than its row says."
    if new and new.sha256 != row["output_sha256"]:
        yield f"{new.name} is another file in the result than its row says."


def _rows(commit: Commit, to: Store) -> Iterator[_Row]:
    """The rows of a shard's report, in order."""
    info = to.stat(commit.staged[-1].key)
    if info is None:
        raise SourceChanged(f"{commit.staged[-1].key} was removed while it was being read.")
    with to.open(info) as stream, pq.ParquetFile(pa.PythonFile(stream, mode="r")) as file:
        for batch in file.iter_batches(columns=_COLUMNS):
            yield from batch.to_pylist()
