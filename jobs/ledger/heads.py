"""The latest commit of every shard (its head) as columns of a table; a million heads take 200 MB.

The table has only the fields that planning and totals need. As a Parquet file it is a snapshot of the ledger.
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.ledger.records import Commit

SCHEMA_VERSION = "1"
SCHEMA = pa.schema(
    [
        # A key of a folder may hold bytes that are not UTF-8; a Parquet string can't.
        ("shard", pa.binary()),
        ("number", pa.int64()),
        ("work", pa.string()),
        ("recipe", pa.string()),
        ("pages", pa.int64()),
        ("cleaned", pa.int64()),
        ("passed_through", pa.int64()),
        ("failed", pa.int64()),
        ("damaged", pa.bool_()),
        ("bytes_in", pa.int64()),
        ("bytes_out", pa.int64()),
    ],
    metadata={"pumice.snapshot_version": SCHEMA_VERSION},
)
_WORK_KEY = 32
_SLICE = 1 << 16


@dataclass(frozen=True)
class RecipeTotals:
    """Totals of the results of one recipe; `damaged` counts archives, the sizes are in bytes."""

    recipe: str
    shards: int
    pages: int
    cleaned: int
    passed_through: int
    failed: int
    damaged: int
    bytes_in: int
    bytes_out: int


class Heads:
    """The heads of a ledger, in no order, each shard once; immutable."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    @staticmethod
    def of(commits: Iterable[Commit]) -> "Heads":
        """The heads among commits: of each shard, the one with the highest number."""
        latest: dict[bytes, tuple[Any, ...]] = {}
        for commit in commits:
            row = _row(commit)
            latest[row[0]] = max(latest.get(row[0], row), row, key=lambda one: one[1])
        columns = zip(*latest.values(), strict=True) if latest else ((),) * len(SCHEMA)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
        return Heads(pa.table(arrays, SCHEMA))

    @staticmethod
    def from_parquet(data: bytes) -> "Heads | None":
        """Read a snapshot; None if it is damaged or another version's: it is only a cache."""
        try:
            table = pq.read_table(io.BytesIO(data))
        except (pa.ArrowException, OSError):
            return None
        return Heads(table) if table.schema.equals(SCHEMA, check_metadata=True) else None

    def to_parquet(self) -> bytes:
        """The snapshot's bytes."""
        sink = io.BytesIO()
        pq.write_table(self._table, sink, compression="zstd")
        return sink.getvalue()

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def updated(self, commits: Iterable[Commit]) -> "Heads":
        """These heads, replaced or extended by those of `commits` that are newer."""
        new = Heads.of(commits)._table
        here = pc.is_in(self._table["shard"], value_set=new["shard"].combine_chunks())
        known = {row["shard"]: row["number"] for row in self._table.filter(here).to_pylist()}
        newer = [known.get(row["shard"], 0) < row["number"] for row in new.to_pylist()]
        new = new.filter(pa.array(newer, pa.bool_()))
        kept = self._table.filter(
            pc.invert(pc.is_in(self._table["shard"], value_set=new["shard"].combine_chunks()))
        )
        return Heads(pa.concat_tables([kept, new]))

    def recipes(self) -> tuple[RecipeTotals, ...]:
        """Totals by recipe, the one with the most shards first; voided heads are left out."""
        sums = ("pages", "cleaned", "passed_through", "failed", "damaged", "bytes_in", "bytes_out")
        real = self._table.select(["recipe", *sums]).filter(pc.not_equal(self._table["work"], ""))
        totals = []
        for recipe in pc.unique(real["recipe"]):  # not group_by, which loads Arrow's engine for data sets
            rows = real.filter(pc.equal(real["recipe"], recipe))
            figures = [pc.sum(rows[name]).as_py() for name in sums]
            totals.append(RecipeTotals(recipe.as_py(), len(rows), *figures))
        return tuple(sorted(totals, key=lambda one: (-one.shards, one.recipe)))

    def damaged(self) -> tuple[str, ...]:
        """The damaged archives, which were copied as they are, in key order."""
        return tuple(sorted(self._shards(self._table["damaged"])))

    def shards(self) -> Iterator[str]:
        """All shards that have a result."""
        return self._shards(pc.not_equal(self._table["work"], ""))

    def _shards(self, chosen: pa.ChunkedArray) -> Iterator[str]:
        for batch in self._table.filter(chosen).select(["shard"]).to_batches():
            yield from (_key(shard) for shard in batch["shard"].to_pylist())

    def results(self) -> pa.Table:
        """Every shard with rows in the report: columns `shard` (its key as bytes), `number` and `pages`."""
        chosen = pc.and_(pc.not_equal(self._table["work"], ""), pc.greater(self._table["pages"], 0))
        return self._table.filter(chosen).select(["shard", "number", "pages"])

    def works(self) -> npt.NDArray[np.bytes_]:
        """All work keys, in the order of the rows: 32 ASCII bytes each, empty for voided heads."""
        found = np.empty(len(self), f"S{_WORK_KEY}")
        for start in range(0, len(self), _SLICE):  # the strings of all rows at once take too much memory
            found[start : start + _SLICE] = self._table["work"].slice(start, _SLICE).to_pylist()
        return found

    def numbers_of(self, shards: Iterable[str]) -> dict[str, int]:
        """The numbers of the heads of `shards`; without those that have no head."""
        wanted = pa.array([shard.encode("utf-8", "surrogateescape") for shard in shards], pa.binary())
        found = self._table.filter(pc.is_in(self._table["shard"], value_set=wanted))
        return {_key(row["shard"]): row["number"] for row in found.select(["shard", "number"]).to_pylist()}

    def all_numbers(self) -> Iterator[tuple[str, int]]:
        """Every shard with the number of its head."""
        for batch in self._table.select(["shard", "number"]).to_batches():
            yield from ((_key(row["shard"]), row["number"]) for row in batch.to_pylist())

    def numbers(self, rows: npt.NDArray[np.bool_]) -> dict[str, tuple[int, bool]]:
        """By shard: the number of its head, and whether that is voided; of the rows chosen by this mask."""
        # Not pa.array, which loads NumPy's masked arrays.
        bits = pa.py_buffer(np.packbits(rows, bitorder="little"))
        mask = pa.Array.from_buffers(pa.bool_(), len(rows), [None, bits])
        chosen = self._table.select(["shard", "number", "work"]).filter(mask)
        return {_key(row["shard"]): (row["number"], not row["work"]) for row in chosen.to_pylist()}


def _row(commit: Commit) -> tuple[Any, ...]:
    """A row of the table; the shard is first, the number second."""
    shard = commit.shard.encode("utf-8", "surrogateescape")
    return (
        shard, commit.number, commit.work, commit.recipe, commit.pages, commit.cleaned, commit.passed_through,
        commit.failed, commit.damaged is not None, commit.bytes_in, commit.bytes_out,
    )  # fmt: skip


def _key(shard: bytes) -> str:
    return shard.decode("utf-8", "surrogateescape")
