"""Updating the report's table: it adds new rows, removes overtaken ones and merges small parts.

It writes new parts first, under names that no other file has, then deletes the parts that they replace. So
another engine that reads `reports/` meanwhile may see rows twice, or find that a file that it listed is gone;
`table.rows` sees neither. A compaction that is killed leaves rows twice at worst, and the next one removes
them. No row is lost, because the shards' own rows stay where they are.

It reads the footers of all parts and the rows of new shards. In partitions where something changed it also
rewrites the parts that hold overtaken rows, and small parts.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import compress

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.ledger.heads import Heads
from jobs.ledger.reviews import Review
from jobs.report.decided import joined
from jobs.report.schema import TABLE_SCHEMA
from jobs.report.table import Missing, part_rows, shard_rows, table_state
from jobs.report.table_parts import PART_ROWS, Part, PartWriter, read_parts
from jobs.stores.base import Store, in_parallel

SMALL_ROWS = PART_ROWS // 8
"""Parts with fewer rows are merged with new rows of their partition."""
OPEN = 4
"""Partitions that may be open for writing, of up to 50 MB each: new rows are mostly of one run."""
_NEVER = 0
"""No commit has this number: the next compaction removes rows with it."""
_RUN = re.compile(r"(\d{4})(\d\d)(\d\d)T")


def compact(to: Store, heads: Heads, reviews: Mapping[str, Review]) -> None:
    """Make the table hold the rows of all commits with all decisions; only for the holder of the lease.

    Shards whose own rows can't be read are left out: `rows` and `verify` name them.

    Args:
        to: the destination.
        heads: the commits.
        reviews: the decisions, by shard key.

    Raises:
        StoreError: the destination broke. What was done until then is harmless.
    """
    parts = read_parts(to)
    state = table_state(parts, heads, reviews)
    compaction = _Compaction(to, reviews, list(zip(parts, state.current, strict=True)))
    compaction.add(state.missing)
    compaction.finish()


_Input = tuple[Part, npt.NDArray[np.bool_]]


class _Compaction:
    """One pass: the parts that it writes, and those that it replaces."""

    def __init__(self, to: Store, reviews: Mapping[str, Review], parts: list[_Input]) -> None:
        self._to, self._reviews = to, reviews
        self._writers: dict[str, PartWriter] = {}
        self._stale = [one for one in parts if not (len(one[1]) and one[1].all())]
        self._small = [one for one in parts if 0 < _count(one) < SMALL_ROWS]
        self._replaced = {part.info.key for part, _ in self._stale}

    def add(self, missing: Iterable[Missing]) -> None:
        """Add the rows of shards that no part holds."""
        unread: dict[str, str] = {}
        for one, batches in shard_rows(self._to, missing, TABLE_SCHEMA.names, self._reviews, unread):
            self._add_shard(one, batches, unread)

    def _add_shard(
        self, one: Missing, batches: Iterable[tuple[int, pa.RecordBatch]], unread: Mapping[str, str]
    ) -> None:
        review, writer, count, number = self._reviews.get(one.key), None, 0, _NEVER
        for number, batch in batches:  # noqa: B007 - the same in all batches
            if writer is None:
                run = _RUN.match(batch["run_id"][0].as_py() or "")
                if run is None:
                    return  # not made by a run of Pumice
                writer = self._writer("-".join(run.groups()))
                writer.make_room(one.pages)
            writer.add(joined(batch, review, TABLE_SCHEMA.names))
            count += batch.num_rows
        if writer is not None:
            broken = one.key in unread  # it broke in the middle of a large file
            writer.name(one.shard, _NEVER if broken else number, review.version if review else b"", count)

    def finish(self) -> None:
        """Rewrite the parts that hold overtaken rows, publish all new parts, delete the replaced ones."""
        for date in sorted({part.date for part, current in self._stale if current.any()}):
            self._writer(date)
        for writer in self._writers.values():
            writer.finish()
        in_parallel(self._to.delete, self._replaced)

    def _writer(self, date: str) -> PartWriter:
        """The writer of a partition; a new one first takes over the stale and the small parts there."""
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
        gone = {one.shard: one.skip for one in lost}  # the next compaction reads them from their own files
        for entry in compress(part.held.to_pylist(), current.tolist()):
            if entry["shard"] not in gone:
                writer.name(entry["shard"], entry["number"], entry["decisions"], entry["rows"])
            elif gone[entry["shard"]]:
                writer.name(entry["shard"], _NEVER, b"", gone[entry["shard"]])
        self._replaced.add(part.info.key)


def _count(one: _Input) -> int:
    """The number of current rows of a part."""
    part, current = one
    return int(part.held["rows"].to_numpy()[current].sum())
