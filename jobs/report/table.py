"""The report as one table: `_pumice/reports/run_date=2026-11-23/*.parquet`, made from the shards' own rows.

A shard's own rows, `_pumice/rows/<shard>.parquet`, are the truth: one file a shard, published with its
commit. The parts below `reports/` are derived from them. They have some hundred thousand rows each, so a
query engine opens a million shards as a few hundred files. Runs update them at start and end (`compact`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.errors import SourceChanged
from jobs.ledger.heads import Heads
from jobs.ledger.ledger import Ledger
from jobs.ledger.records import rows_key
from jobs.ledger.reviews import Review, read_reviews
from jobs.report.decided import JOINED_BY, joined
from jobs.report.schema import COMMIT_NUMBER, SCHEMA_VERSION
from jobs.report.table_parts import GROUP_ROWS, HELD, Part, read_parts
from jobs.stores.base import Store, in_parallel

_Mask = npt.NDArray[np.bool_]


def rows(to: Store, columns: Sequence[str], unread: dict[str, str]) -> Iterator[pa.RecordBatch]:
    """All current rows of a destination, one for each page; safe while a run works there.

    They are read from the parts. Shards that no part holds yet, as after an interrupted run, are read from
    their own files. One batch at a time is in memory. The rows of a shard come together, in their order.

    Args:
        to: the destination.
        columns: the columns to read; names of `schema.TABLE_SCHEMA`.
        unread: receives the shards whose rows can't be read, with the reason.

    Returns:
        Batches of those columns in that order, of up to 32,768 rows each, none of them empty.

    Raises:
        StoreError: the place broke, or was written by a newer version.
    """
    heads, reviews = Ledger(to).heads(), read_reviews(to)
    parts = read_parts(to)
    state = table_state(parts, heads, reviews)
    missing = state.missing
    for part, current in zip(parts, state.current, strict=True):
        if current.any():
            yield from part_rows(to, part, current, columns, missing)
    for one, batches in shard_rows(to, missing, columns, reviews, unread):
        for _, batch in batches:
            yield joined(batch, reviews.get(one.key), columns)


@dataclass(frozen=True)
class Missing:
    """A shard whose rows have to be read from its own file, without the first `skip` of its `pages` rows."""

    shard: bytes
    pages: int
    skip: int = 0

    @property
    def key(self) -> str:
        """The key of the shard."""
        return self.shard.decode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class TableState:
    """Which entries of each part are current (a mask a part), and which shards no part has."""

    current: list[_Mask]
    missing: list[Missing]


def table_state(parts: Sequence[Part], heads: Heads, reviews: Mapping[str, Review]) -> TableState:
    """Compare what the parts hold with the commits and decisions; of two equal entries, the first counts."""
    wanted = heads.results()
    held = pa.concat_tables([part.held for part in parts] or [HELD.empty_table()])
    asked = _tokens(wanted["shard"], wanted["number"], _versions(wanted["shard"], reviews))
    there = _tokens(held["shard"], held["number"], held["decisions"])
    first = np.zeros(len(there), np.bool_)
    first[np.unique(there.dictionary_encode().indices.to_numpy(), return_index=True)[1]] = True
    current = pc.is_in(there, value_set=asked).to_numpy(zero_copy_only=False) & first
    ends = np.cumsum([part.held.num_rows for part in parts], dtype=np.int64)
    masks = [current[end - part.held.num_rows : end] for part, end in zip(parts, ends, strict=True)]
    lacking = wanted.filter(pc.invert(pc.is_in(asked, value_set=there))).select(["shard", "pages"])
    return TableState(masks, [Missing(row["shard"], row["pages"]) for row in lacking.to_pylist()])


def _tokens(shards: pa.ChunkedArray, numbers: pa.ChunkedArray, decisions: pa.ChunkedArray) -> pa.Array:
    """One value for each (shard, number, decisions), joined by NUL, which no key contains."""
    texts = numbers.cast(pa.string()).cast(pa.binary())
    return pc.binary_join_element_wise(shards, texts, decisions, b"\0").combine_chunks()


def _versions(shards: pa.ChunkedArray, reviews: Mapping[str, Review]) -> pa.ChunkedArray:
    """The version of the decisions about each shard; empty if there are none."""
    keys = pa.array([key.encode("utf-8", "surrogateescape") for key in reviews], pa.binary())
    versions = pa.array([review.version for review in reviews.values()], pa.binary())
    return pc.fill_null(versions.take(pc.index_in(shards, value_set=keys).combine_chunks()), b"")


def part_rows(
    to: Store, part: Part, current: _Mask, columns: Sequence[str], lost: list[Missing]
) -> Iterator[pa.RecordBatch]:
    """The rows of a part's current entries; entries that can't be read any more are appended to `lost`."""
    counts = part.held["rows"].to_numpy()
    chosen, done = np.repeat(current, counts), 0
    try:
        with to.open(part.info) as stream, pq.ParquetFile(pa.PythonFile(stream, mode="r")) as file:
            for batch in file.iter_batches(GROUP_ROWS, columns=list(columns)):
                kept = batch.filter(pa.array(chosen[done : done + batch.num_rows]))
                done += batch.num_rows
                if kept.num_rows:
                    yield kept.select(list(columns))
    except (pa.ArrowException, OSError, SourceChanged):  # removed by a compaction, or damaged
        ends = np.cumsum(counts)
        for index in np.flatnonzero(current & (ends > done)):
            skip = max(0, int(done - ends[index] + counts[index]))
            lost.append(Missing(part.held["shard"][index].as_py(), int(counts[index]), skip))


_Batches = Iterable[tuple[int, pa.RecordBatch]]


def shard_rows(
    to: Store,
    missing: Iterable[Missing],
    columns: Sequence[str],
    reviews: Mapping[str, Review],
    unread: dict[str, str],
) -> Iterator[tuple[Missing, _Batches]]:
    """The rows of shards from their own files: for each shard batches, each with its commit's number.

    Batches have the columns asked for without `decision`; for reviewed shards, those of JOINED_BY too.
    """

    def read(one: Missing) -> Iterator[tuple[int, pa.RecordBatch]]:
        return _read_shard(to, one, {*columns, *(JOINED_BY if one.key in reviews else ())}, unread)

    for group in _groups(missing):
        if len(group) == 1:
            yield group[0], read(group[0])
        else:
            yield from zip(group, in_parallel(lambda one: list(read(one)), group), strict=True)


def _groups(missing: Iterable[Missing]) -> Iterator[list[Missing]]:
    """Groups of shards that are read at the same time, because they fit in memory; a large one is alone."""
    group, pages = list[Missing](), 0
    for one in missing:
        if group and pages + one.pages > GROUP_ROWS:
            yield group
            group, pages = [], 0
        group.append(one)
        pages += one.pages
    if group:
        yield group


def _read_shard(
    to: Store, one: Missing, columns: set[str], unread: dict[str, str]
) -> Iterator[tuple[int, pa.RecordBatch]]:
    try:
        stream = _open_rows(to, one)
        if stream is None:
            unread[one.key] = "its report is missing"
            return
        with stream, pq.ParquetFile(pa.PythonFile(stream, mode="r")) as file:
            yield from _read_file(file, one, columns)
    except (pa.ArrowException, OSError) as error:
        unread[one.key] = f"its report can't be read: {str(error).splitlines()[0]}"
    except SourceChanged:
        unread[one.key] = "its report was replaced meanwhile"
    except _OtherVersion as error:
        unread[one.key] = str(error)


class _OtherVersion(Exception):
    """The rows have the schema of another version."""


def _read_file(file: pq.ParquetFile, one: Missing, columns: set[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
    metadata, skip = file.metadata.metadata or {}, one.skip
    version = metadata.get(b"pumice.schema_version", b"none").decode(errors="replace")
    named = columns & set(file.schema_arrow.names)
    if version != SCHEMA_VERSION or columns - named - {"decision"}:
        raise _OtherVersion(
            f"its report has schema version {version}, this version of Pumice reads {SCHEMA_VERSION}"
        )
    number = int(metadata.get(COMMIT_NUMBER.encode(), b"0"))
    for batch in file.iter_batches(GROUP_ROWS, columns=sorted(named)):
        kept = batch.slice(min(skip, batch.num_rows))
        skip -= batch.num_rows - kept.num_rows
        if kept.num_rows:
            yield number, kept


def _open_rows(to: Store, one: Missing) -> BinaryIO | None:
    """A shard's own rows: a small file in one request, a large one as a stream; None if it is missing."""
    if one.pages <= GROUP_ROWS:
        data = to.get(rows_key(one.key))
        return None if data is None else BytesIO(data)
    info = to.stat(rows_key(one.key))
    return None if info is None else to.open(info)
