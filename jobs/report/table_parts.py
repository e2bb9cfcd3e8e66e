"""The parts of the report's table: Parquet files below `reports/run_date=2026-11-23/`, and their footers.

A part is a concatenation of the rows of shards. Its footer lists these shards in that order, each with the
number of the commit and the version of the decisions that its rows come from. So a reader of the footers
knows which rows are current, and does not have to trust the name of a file.
"""

import base64
import io
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.errors import SourceChanged
from jobs.report.schema import SCHEMA_VERSION, TABLE_SCHEMA
from jobs.stores.base import LEDGER, ObjectInfo, Store, in_parallel

REPORTS = f"{LEDGER}/reports/"
PART_ROWS = 1 << 18
"""A part has no more rows, or one shard: some 50 MB, so that a shard cleaned again rewrites no more."""
GROUP_ROWS = 1 << 15
"""Rows of a row group, and rows in memory at once."""

HELD = pa.schema(
    [("shard", pa.binary()), ("number", pa.int64()), ("decisions", pa.binary()), ("rows", pa.int64())]
)
"""The entry of a shard in a part: key as bytes, number of its commit, version of its decisions, row count."""
_HELD_KEY = b"pumice.held"
_NAME = re.compile(re.escape(REPORTS) + r"run_date=(\d{4}-\d\d-\d\d)/[^/]+\.parquet")


@dataclass(frozen=True)
class Part:
    """A file of the table: its object, its partition, and its entries (HELD's columns)."""

    info: ObjectInfo
    date: str
    held: pa.Table


def part_date(key: str) -> str | None:
    """The partition of the part with this key, as `2026-11-23`; None if it is no part's key."""
    found = _NAME.fullmatch(key)
    return found and found[1]


def read_parts(to: Store) -> list[Part]:
    """All parts, the newest name first; a part that can't be read has no entries. Raises StoreError."""
    infos = sorted((one for one in to.list(REPORTS) if part_date(one.key)), key=lambda one: one.key)
    return [one for one in in_parallel(lambda info: _read_part(to, info), reversed(infos)) if one]


def _read_part(to: Store, info: ObjectInfo) -> Part | None:
    date = part_date(info.key)
    assert date is not None
    try:
        with to.open(info) as stream, pq.ParquetFile(pa.PythonFile(stream, mode="r")) as file:
            metadata = file.metadata.metadata
            version = metadata.get(b"pumice.schema_version", b"").decode()
            held = pa.ipc.open_stream(base64.b64decode(metadata[_HELD_KEY])).read_all()
            known = version == SCHEMA_VERSION and set(TABLE_SCHEMA.names) <= set(file.schema_arrow.names)
            whole = held.schema.equals(HELD) and sum(held["rows"].to_pylist()) == file.metadata.num_rows
    except SourceChanged:
        return None  # a compaction removed it meanwhile
    except (pa.ArrowException, OSError, KeyError, ValueError):
        known = whole = False
    return Part(info, date, held if known and whole else HELD.empty_table())


class PartWriter:
    """Writes the parts of one partition, one after another."""

    def __init__(self, to: Store, date: str) -> None:
        self._to, self._date = to, date
        self._begin()

    def _begin(self) -> None:
        self._sink = io.BytesIO()
        self._file = pq.ParquetWriter(self._sink, TABLE_SCHEMA, compression="zstd")
        self._waiting: list[pa.RecordBatch] = []
        self._held: list[tuple[bytes, int, bytes, int]] = []
        self._rows = self._unwritten = 0

    def make_room(self, rows: int) -> None:
        """Finish the open part if it can't take this many more rows."""
        if self._rows and self._rows + rows > PART_ROWS:
            self.finish()
            self._begin()

    def add(self, batch: pa.RecordBatch) -> None:
        """Append rows with TABLE_SCHEMA's columns."""
        self._waiting.append(batch)
        self._rows += batch.num_rows
        self._unwritten += batch.num_rows
        if self._unwritten >= GROUP_ROWS:
            self._flush()

    def name(self, shard: bytes, number: int, decisions: bytes, rows: int) -> None:
        """Add the entry of the rows that were added since the last entry."""
        self._held.append((shard, number, decisions, rows))

    def finish(self) -> None:
        """Publish the open part under a name that no other file has; raises StoreError."""
        self._flush()
        columns = zip(*self._held, strict=True) if self._held else ((),) * len(HELD)
        held = pa.table([pa.array(one, field.type) for one, field in zip(columns, HELD, strict=True)], HELD)
        packed = pa.BufferOutputStream()
        with pa.ipc.new_stream(packed, HELD, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
            stream.write_table(held)
        # Other readers may expect text in the metadata of a footer.
        self._file.add_key_value_metadata({_HELD_KEY: base64.b64encode(packed.getvalue())})
        self._file.close()
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:12]}"
        if self._rows:
            self._to.create(f"{REPORTS}run_date={self._date}/{name}.parquet", self._sink.getvalue())

    def _flush(self) -> None:
        if self._unwritten:
            table = pa.Table.from_batches(self._waiting, TABLE_SCHEMA)
            self._file.write_table(table, row_group_size=GROUP_ROWS)
        self._waiting, self._unwritten = [], 0
