"""A summary of a destination's report: totals, spreads of the measures, the worst and the flagged pages.

The table is read batch by batch; only sums, histograms and a few pages stay in memory.
"""

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.errors import InputError
from jobs.report.schema import MEASURES
from jobs.report.table import rows
from jobs.stores.open import open_store
from model.judging.figures import Condition

SHOWN = 20
_BINS = 1000
_NAMED = ["shard", "member", "page_index"]
_SHOWN_FIGURES = ["dirt_before", "dirt_after", "ink_lost", "ink_added"]
_COLUMNS = [
    *_NAMED, "run_id", "status", "error_code", "needs_review", "reasons",
    *MEASURES, "ink_lost", "ink_added",
]  # fmt: skip


@dataclass(frozen=True)
class Spread:
    """A measure (0..1) over the pages: a tenth is below `low`, half below `median`, a tenth above `high`."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class PageFigure:
    """A page and its figures (0..1); a figure that was not measured is 0. Flagged pages have reasons."""

    dirt_after: float
    dirt_before: float
    ink_lost: float
    ink_added: float
    shard: str
    member: str
    page_index: int
    reasons: tuple[str, ...] = ()

    @property
    def by_suspicion(self) -> tuple[float, str, str, int]:
        """The sort key for how surely ink was lost or added."""
        return max(self.ink_lost, self.ink_added), self.shard, self.member, self.page_index

    @property
    def by_dirt(self) -> tuple[float, str, str, int]:
        """The sort key for how much dirt remains."""
        return self.dirt_after, self.shard, self.member, self.page_index


@dataclass(frozen=True)
class Findings:
    """The summary of a report.

    Attributes:
        shards: the number of shards with rows that were counted.
        pages: the number of these rows.
        statuses: the number of pages by status: cleaned, passed_through, failed.
        errors: the number of pages by error code, the most frequent first.
        spreads: by measure, its spread before and after; without measures that no page has.
        flagged: the number of pages that a person should look at.
        to_review: the flagged pages that most surely lost ink, or got some.
        worst: the pages on which most dirt remains.
        unread: shards whose committed rows can't be read, with the reason.
    """

    shards: int
    pages: int
    statuses: dict[str, int]
    errors: dict[str, int]
    spreads: dict[str, tuple[Spread, Spread]]
    flagged: int
    to_review: tuple[PageFigure, ...]
    worst: tuple[PageFigure, ...]
    unread: dict[str, str]


def findings(destination: str, since: str | None = None) -> Findings:
    """Read the rows of all commits.

    Args:
        destination: the address of a destination.
        since: only pages of runs that began on this day (UTC) or later, as `2026-11-30`.

    Raises:
        InputError: it is no address of a place, can't be read, or `since` is no day.
        StoreError: it broke, or a newer version wrote it.
    """
    earliest = first_run(since)
    sums, unread = _Sums(), dict[str, str]()
    for batch in rows(open_store(destination), _COLUMNS, unread):
        table = pa.Table.from_batches([batch])
        sums.add(table.filter(pc.greater_equal(table["run_id"], earliest)))
    return sums.findings(dict(sorted(unread.items())))


def first_run(since: str | None) -> str:
    """The lowest id that a run of that day (UTC) or later can have; raises InputError if it is no day."""
    if not since:
        return ""
    try:
        return date.fromisoformat(since).strftime("%Y%m%d")  # as run ids begin
    except ValueError as error:
        raise InputError(f"--since {since} is no day: give one as 2026-11-30.") from error


@dataclass
class _Sums:
    """Sums over the rows that were read."""

    shards: int = 0
    pages: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    flagged: int = 0
    to_review: list[PageFigure] = field(default_factory=list)
    worst: list[PageFigure] = field(default_factory=list)
    histograms: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    latest: str | None = None

    def add(self, table: pa.Table) -> None:
        """Count rows; those of a shard come together, in one or more calls."""
        flagged = table.filter(pc.fill_null(table["needs_review"], False))
        self._count_shards(table["shard"])
        self.pages += table.num_rows
        self.statuses.update(_counts(table["status"]))
        self.errors.update(_counts(table["error_code"]))
        for name in MEASURES:
            values = table[name].drop_null().to_numpy()
            bins = np.clip((values * _BINS).astype(np.int64), 0, _BINS - 1)
            self.histograms[name] = self.histograms.get(name, 0) + np.bincount(bins, minlength=_BINS)
        self.flagged += flagged.num_rows
        suspected = _most(flagged, pc.max_element_wise(flagged["ink_lost"], flagged["ink_added"]))
        self.to_review = heapq.nlargest(
            SHOWN, [*self.to_review, *_figures(suspected)], key=lambda page: page.by_suspicion
        )
        measured = table.filter(pc.is_valid(table["dirt_after"]))
        dirtiest = _most(measured, measured["dirt_after"])
        self.worst = heapq.nlargest(SHOWN, [*self.worst, *_figures(dirtiest)], key=lambda page: page.by_dirt)

    def _count_shards(self, shards: pa.ChunkedArray) -> None:
        for run in pc.run_end_encode(shards.combine_chunks()).values.to_pylist():
            self.shards += run != self.latest
            self.latest = run

    def findings(self, unread: dict[str, str]) -> Findings:
        """The summary."""
        pairs = {name: [_spread(self.histograms.get(f"{name}_{when}")) for when in ("before", "after")]
                 for name in (one.name for one in fields(Condition))}  # fmt: skip
        return Findings(
            self.shards, self.pages, dict(sorted(self.statuses.items())), dict(self.errors.most_common()),
            {name: (old, new) for name, (old, new) in pairs.items() if old and new},
            self.flagged, tuple(self.to_review), tuple(self.worst), unread,
        )  # fmt: skip


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    found = column.drop_null().value_counts().to_pylist()
    return {one["values"]: one["counts"] for one in found}


def _most(table: pa.Table, figure: pa.ChunkedArray) -> pa.Table:
    """The SHOWN rows with the largest figures; only those become Python objects."""
    ranked = pa.table({"figure": pc.fill_null(figure, 0)})
    return table.take(pc.select_k_unstable(ranked, SHOWN, sort_keys=[("figure", "descending")]))


def _figures(table: pa.Table) -> Iterator[PageFigure]:
    for row in table.select([*_NAMED, *_SHOWN_FIGURES, "reasons"]).to_pylist():
        figures: dict[str, Any] = {**row, "reasons": tuple(row["reasons"] or ())}
        for name in _SHOWN_FIGURES:
            figures[name] = figures[name] or 0.0
        yield PageFigure(**figures)


def _spread(counts: npt.NDArray[np.int64] | None) -> Spread | None:
    if counts is None or not counts.any():
        return None
    below = np.cumsum(counts) / counts.sum()
    return Spread(*(float(np.searchsorted(below, share) / _BINS) for share in (0.1, 0.5, 0.9)))
