"""Compares a shard's source, its outputs and its rows in the report, page by page."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.archives.open import kind_of
from jobs.errors import SourceChanged
from jobs.ledger.records import Commit
from jobs.shard.loose_files import FilesReader
from jobs.shard.meter import Meter
from jobs.stores.base import ObjectInfo, Store
from jobs.upkeep.contents import Item, archive_items, items

_COLUMNS = [
    "member", "member_index", "page_index", "status", "recipe", "device", "source_sha256", "output_sha256",
]  # fmt: skip
_Row = dict[str, Any]


def contradictions(
    commit: Commit, source: Store | None, to: Store, outputs: Sequence[ObjectInfo], devices: set[str]
) -> Iterator[str]:
    """Where source, outputs and rows of a shard contradict each other: one sentence each, in order.

    Args:
        commit: the shard's commit.
        source: the store it was cleaned from, if the shard's objects there are unchanged.
        to: the destination.
        outputs: the shard's objects there, without its rows.
        devices: gets the devices on which its pages were cleaned.

    Raises:
        SourceChanged: an object was changed or removed while it was read.
        StoreError: a store broke.
    """
    after = _items(commit, to, outputs)
    before = _items(commit, source, commit.source) if source else None
    rows, counted = _rows(commit, to, devices), 0
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
    if kind is None:  # a group of loose files: the name in its key is never an archive's
        yield from items(FilesReader(store, sorted(objects, key=lambda one: one.key), Meter()))
        return
    with store.open(objects[0]) as stream:
        yield from archive_items(kind, stream, objects[0].size)


def _difference(old: Item | None, new: Item | None) -> str:
    """Why two items are not the same member, or an empty text."""
    if new is None or old is None:
        one = old or new
        assert one is not None
        return f"{one.name} is only in the {'source' if old else 'result'}."
    if (old.name, old.index, old.rows) != (new.name, new.index, new.rows):
        return f"{old.name} with {old.rows} pages became {new.name} with {new.rows}."
    return "" if old.carried == new.carried else f"{old.name} is no page, but it was changed."


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
        yield f"{old.name} in the source is not the file that its row names."
    if new and new.sha256 != row["output_sha256"]:
        yield f"{new.name} in the result is not the file that its row names."


def _rows(commit: Commit, to: Store, devices: set[str]) -> Iterator[_Row]:
    """The rows of a shard's report, in order."""
    info = to.stat(commit.staged[-1].key)
    if info is None:
        raise SourceChanged(f"{commit.staged[-1].key} was removed while it was being read.")
    with to.open(info) as stream, pq.ParquetFile(pa.PythonFile(stream, mode="r")) as file:
        for batch in file.iter_batches(columns=_COLUMNS):
            rows = batch.to_pylist()
            devices.update(row["device"] or "" for row in rows)
            yield from rows
