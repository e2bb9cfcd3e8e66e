"""The report's parts: Parquet files below `reports/run_date=2026-11-23/`, and what each says that it holds.

A part is a concatenation of shards' rows. Its metadata lists them in that order, each with the number of the
commit and the version of the decisions that its rows are of: so whoever reads the footers knows which rows
are current, and nobody has to trust a name.
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
from jobs.ledger.commit_log import in_parallel
from jobs.report.schema import SCHEMA_VERSION, TABLE_SCHEMA
from jobs.stores.base import LEDGER, ObjectInfo, Store

REPORTS = f"{LEDGER}/reports/"
PART_ROWS = 1 << 18
"""A part has no more, or one shard: some 50 MB, so that a shard that is done again rewrites no more."""
GROUP_ROWS = 1 << 15
"""Rows that are in memory at once, and of a row group."""

HELD = pa.schema(
    [("shard", pa.binary()), ("number", pa.int64()), ("decisions", pa.binary()), ("rows", pa.int64())]
)
"""What a part holds: shard keys as bytes, the commit's number, the decisions' version, how many rows."""
_HELD_KEY = b"pumice.held"
_NAME = re.compile(re.escape(REPORTS) + r"run_date=(\d{4}-\d\d-\d\d)/[^/]+\.parquet")


@dataclass(frozen=True)
class Part:
    """A file of the table: where it is, its partition, and what it holds (HELD's columns)."""

    info: ObjectInfo
    date: str
    held: pa.Table


def part_date(key: str) -> str | None:
    """The partition that a part of this key is in, as `2026-11-23`; None if it is no part's key."""
    found = _NAME.fullmatch(key)
    return found and found[1]


def read_parts(to: Store) -> list[Part]:
    """All parts, the newest name first; one that can't be read holds nothing. Raises StoreError."""
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
        return None  # removed by a compaction that goes on
    except (pa.ArrowException, OSError, KeyError, ValueError):
        known = whole = False
    return Part(info, date, held if known and whole else HELD.empty_table())


class PartWriter:
    """Writes the parts of one partition, one after the other."""

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
        """Close the part that is being written if so many more rows are too many for it."""
        if self._rows and self._rows + rows > PART_ROWS:
            self.finish()
            self._begin()

    def add(self, batch: pa.RecordBatch) -> None:
        """Append rows, of TABLE_SCHEMA's columns."""
        self._waiting.append(batch)
        self._rows += batch.num_rows
        self._unwritten += batch.num_rows
        if self._unwritten >= GROUP_ROWS:
            self._flush()

    def name(self, shard: bytes, number: int, decisions: bytes, rows: int) -> None:
        """Say whose rows those are that were added and not named yet."""
        self._held.append((shard, number, decisions, rows))

    def finish(self) -> None:
        """Put the part where readers see it, under a name that nothing else bears; raises StoreError."""
        self._flush()
        columns = zip(*self._held, strict=True) if self._held else ((),) * len(HELD)
        held = pa.table([pa.array(one, field.type) for one, field in zip(columns, HELD, strict=True)], HELD)
        packed = pa.BufferOutputStream()
        with pa.ipc.new_stream(packed, HELD, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
            stream.write_table(held)
        # Footers are for all readers: text alone is safe there.
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
