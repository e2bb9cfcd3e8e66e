"""Bringing the report's table up to date: new rows in, overtaken ones out, small parts merged.

New parts are written first, under names that nothing else bears, then what they replace is deleted. So
whoever reads `reports/` with another engine meanwhile can see rows twice, or find that a file which it
listed is gone; `table.rows` sees neither. A compaction that is killed leaves rows twice at worst, which the
next one removes; none is ever lost, for the shards' own rows stay where they are.

What it costs goes with what changed: footers of all parts, the rows of new shards, and, of partitions that
something changed in, the parts that hold overtaken rows and those that are small.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import compress

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.ledger.commit_log import in_parallel
from jobs.ledger.heads import Heads
from jobs.ledger.reviews import Review, joined
from jobs.report.schema import TABLE_SCHEMA
from jobs.report.table import Missing, compare, part_rows, shard_rows
from jobs.report.table_parts import PART_ROWS, Part, PartWriter, read_parts
from jobs.stores.base import Store

SMALL_ROWS = PART_ROWS // 8
"""Parts with fewer are merged with what is new in their partition."""
OPEN = 4
"""So many partitions are written at the same time, of up to 50 MB each: new rows are mostly of one run."""
_NEVER = 0
"""The number of no commit: rows named so are removed by the next compaction."""
_RUN = re.compile(r"(\d{4})(\d\d)(\d\d)T")


def compact(to: Store, heads: Heads, reviews: Mapping[str, Review]) -> None:
    """Make the table hold what is committed and decided; for whoever holds the lease.

    Shards whose own rows can't be read are left out: `rows` and `verify` name them.

    Args:
        to: the destination.
        heads: what is committed.
        reviews: what is decided.

    Raises:
        StoreError: the place broke. Whatever was done of it is harmless.
    """
    parts = read_parts(to)
    state = compare(parts, heads, reviews)
    compaction = _Compaction(to, reviews, list(zip(parts, state.current, strict=True)))
    compaction.add(state.missing)
    compaction.finish()


_Input = tuple[Part, npt.NDArray[np.bool_]]


class _Compaction:
    """One pass: what it writes, what it replaces."""

    def __init__(self, to: Store, reviews: Mapping[str, Review], parts: list[_Input]) -> None:
        self._to, self._reviews = to, reviews
        self._writers: dict[str, PartWriter] = {}
        self._stale = [one for one in parts if not (len(one[1]) and one[1].all())]
        self._small = [one for one in parts if 0 < _count(one) < SMALL_ROWS]
        self._replaced = {part.info.key for part, _ in self._stale}

    def add(self, missing: Iterable[Missing]) -> None:
        """Add the rows of shards that no part has."""
        unread: dict[str, str] = {}
        for one, batches in shard_rows(self._to, missing, TABLE_SCHEMA.names, self._reviews, unread):
            self._add_shard(one, batches, unread)

    def _add_shard(
        self, one: Missing, batches: Iterable[tuple[int, pa.RecordBatch]], unread: Mapping[str, str]
    ) -> None:
        review, writer, count, number = self._reviews.get(one.key), None, 0, _NEVER
        for number, batch in batches:  # noqa: B007 - it is the same in all
            if writer is None:
                run = _RUN.match(batch["run_id"][0].as_py() or "")
                if run is None:
                    return  # no run of Pumice's made it
                writer = self._writer("-".join(run.groups()))
                writer.make_room(one.pages)
            writer.add(joined(batch, review, TABLE_SCHEMA.names))
            count += batch.num_rows
        if writer is not None:
            broken = one.key in unread  # in the middle of a large file
            writer.name(one.shard, _NEVER if broken else number, review.version if review else b"", count)

    def finish(self) -> None:
        """Rewrite what holds overtaken rows, make all of it visible, delete what it replaces."""
        for date in sorted({part.date for part, current in self._stale if current.any()}):
            self._writer(date)
        for writer in self._writers.values():
            writer.finish()
        in_parallel(self._to.delete, self._replaced)

    def _writer(self, date: str) -> PartWriter:
        """The partition's writer; at first it takes over what is stale or small there."""
        if date not in self._writers:
            if len(self._writers) == OPEN:
                self._writers.pop(next(iter(self._writers))).finish()
            writer = self._writers[date] = PartWriter(self._to, date)
            inputs = {part.info.key: (part, current) for part, current in (*self._stale, *self._small)}
            for part, current in inputs.values():
                if part.date == date and current.any():
                    self._take_over(part, current, writer)
            for taken in (self._stale, self._small):
                taken[:] = [one for one in taken if one[0].date != date]
        return self._writers[date]

    def _take_over(self, part: Part, current: npt.NDArray[np.bool_], writer: PartWriter) -> None:
        lost: list[Missing] = []
        writer.make_room(_count((part, current)))
        for batch in part_rows(self._to, part, current, TABLE_SCHEMA.names, lost):
            writer.add(batch)
        gone = {one.shard: one.skip for one in lost}  # the next compaction takes them from their own files
        for entry in compress(part.held.to_pylist(), current.tolist()):
            if entry["shard"] not in gone:
                writer.name(entry["shard"], entry["number"], entry["decisions"], entry["rows"])
            elif gone[entry["shard"]]:
                writer.name(entry["shard"], _NEVER, b"", gone[entry["shard"]])
        self._replaced.add(part.info.key)


def _count(one: _Input) -> int:
    """How many current rows a part has."""
    part, current = one
    return int(part.held["rows"].to_numpy()[current].sum())
