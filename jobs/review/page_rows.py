"""Which rows the reviewers' page lists, in which order, and the random sample among them."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.report.findings import SHOWN
from jobs.report.schema import FIDELITY, MEASURES, TABLE_SCHEMA

LISTED = 200_000
"""The most pages that are listed besides the sample; with more, a browser becomes slow."""
PICTURED = 1000
"""The most flagged pages that get pictures, of about a megabyte each."""

IDENTITY = ["shard", "member", "member_index", "page_index"]
FIGURES = [*MEASURES, *FIDELITY]
COLUMNS = [
    *IDENTITY, "run_id", "status", "error_code", "error", "source_sha256", "output_sha256", "width", "height",
    "mode", "dpi_x", "needs_review", "reasons", "decision", *FIGURES,
]  # fmt: skip

_KEPT = pa.schema(
    [*[TABLE_SCHEMA.field(name) for name in COLUMNS], ("lot", pa.binary()), ("flag", pa.bool_())]
)


@dataclass(frozen=True)
class Listing:
    """What the page lists, and totals.

    Attributes:
        table: the flagged pages, the sample, pages that were not cleaned, then the others by their remaining
            dirt. Two more columns: `draw`, the place in the sample from 0, and `picture`, the number of the
            pictures from 0; -1 for none.
        pages: the number of rows, listed or not.
        statuses: the number of rows by status: cleaned, passed_through, failed.
        flagged: the number of pages that a person should review.
        population: the number of cleaned pages that are neither flagged nor decided; the sample is drawn
            from them.
    """

    table: pa.Table
    pages: int
    statuses: dict[str, int]
    flagged: int
    population: int


def read_listing(batches: Iterable[pa.RecordBatch], sample: int) -> Listing:
    """Choose and order the listed rows.

    Args:
        batches: rows with the columns COLUMNS, each row once.
        sample: the number of unflagged pages to draw. The draw depends only on names and hashes of pages:
            the same report gives the same sample, and a larger sample contains the smaller one.
    """
    choice = _Choice(sample)
    for batch in batches:
        choice.add(pa.Table.from_batches([batch]))
    return choice.listing()


@dataclass
class _Choice:
    """The rows so far that may still be listed: at most twice LISTED, and the sample."""

    sample: int
    pages: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    flagged: int = 0
    population: int = 0
    _kept: list[pa.Table] = field(default_factory=lambda: [_KEPT.empty_table()])
    _size: int = 0

    def add(self, table: pa.Table) -> None:
        """Count rows, and keep those that may be listed."""
        self.pages += table.num_rows
        found = table["status"].value_counts().to_pylist()
        self.statuses.update({one["values"]: one["counts"] for one in found})
        flagged = pc.fill_null(table["needs_review"], False)
        self.flagged += pc.sum(flagged).as_py() or 0
        drawable = pc.and_(pc.invert(flagged), pc.equal(table["status"], "cleaned"))
        drawable = pc.and_(drawable, pc.is_null(table["decision"]))
        self.population += pc.sum(drawable).as_py() or 0
        lots = pa.array(self._lots(table, drawable), pa.binary())
        self._kept.append(pa.table([*table.columns, lots, flagged], schema=_KEPT))
        self._size += table.num_rows
        if self._size > 2 * LISTED:
            self._kept = [pa.concat_tables(self._parts())]
            self._size = self._kept[0].num_rows

    def _lots(self, table: pa.Table, drawable: pa.ChunkedArray) -> list[bytes | None]:
        """A hash for each row that may be drawn, as a uniform random number; the lowest are the sample."""
        if not self.sample:
            return [None] * table.num_rows
        names = table.select([*IDENTITY, "output_sha256"]).to_pylist()
        return [
            hashlib.sha256(repr(tuple(row.values())).encode()).digest() if may else None
            for row, may in zip(names, drawable.to_pylist(), strict=True)
        ]

    def _parts(self) -> tuple[pa.Table, pa.Table, pa.Table]:
        """The flagged rows, the sample and the other rows, each in order and cut to what is listed."""
        rows = pa.concat_tables(self._kept)
        sampled = rows.filter(pc.is_valid(rows["lot"])).sort_by("lot").slice(0, self.sample)
        drawn = pc.is_in(rows["lot"], value_set=sampled["lot"].combine_chunks(), skip_nulls=True)
        # Cleaned pages come first: they need a decision.
        flagged = _sorted(rows.filter(rows["flag"]), ("status", "ascending"), ("ink_lost", "descending"))
        others = _sorted(rows.filter(pc.invert(pc.or_(rows["flag"], drawn))), ("status", "descending"))
        flagged = flagged.slice(0, LISTED)
        return flagged, sampled, others.slice(0, LISTED - flagged.num_rows)

    def listing(self) -> Listing:
        """The final listing, with the numbers of draws and pictures."""
        flagged, sampled, others = self._parts()
        table = pa.concat_tables([flagged, sampled, others]).drop_columns(["lot", "flag"])
        row = np.arange(table.num_rows)
        is_drawn = (row >= flagged.num_rows) & (row < flagged.num_rows + sampled.num_rows)
        cleaned = pc.equal(table["status"], "cleaned").to_numpy()
        worst = np.flatnonzero(cleaned & (row >= flagged.num_rows + sampled.num_rows))[:SHOWN]
        pictured = cleaned & ((row < min(PICTURED, flagged.num_rows)) | is_drawn | np.isin(row, worst))
        return Listing(
            table.append_column("draw", pa.array(np.where(is_drawn, row - flagged.num_rows, -1)))
            .append_column("picture", pa.array(np.where(pictured, np.cumsum(pictured) - 1, -1))),
            self.pages, dict(sorted(self.statuses.items())), self.flagged, self.population,
        )  # fmt: skip


def _sorted(table: pa.Table, *keys: tuple[str, str]) -> pa.Table:
    """Sort by these keys, then by the remaining dirt, the most first, then as in the report."""
    order = [*keys, ("dirt_after", "descending"), *((name, "ascending") for name in IDENTITY)]
    return table.take(pc.sort_indices(table, sort_keys=[(*key, "at_end") for key in order]))
