"""The report: one row a page, one Parquet file a shard, schema v1.

`status` says what became of a page. `cleaned`: it has new bytes. `passed_through`: it is of a kind that
Pumice leaves as it is. `failed`: it can't be read or cleaned. The last two keep the bytes of the source. Only
cleaned pages have no `error_code`, and only they have measures (`model.judging.condition`) and fidelity
(`model.guard.guard`). `reasons` say why a person should look at a page (`needs_review`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import BinaryIO, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.text import valid_text
from model.judging.figures import Condition, Fidelity

SCHEMA_VERSION = "1"
COMMIT_NUMBER = "pumice.commit"
"""The key, in the metadata of a shard's rows, of the number of their commit."""

Status = Literal["cleaned", "passed_through", "failed"]


@dataclass(frozen=True)
class Row:
    """What the report says about one page. Times are in milliseconds, sizes in bytes.

    `member_index` tells members of one name apart; it is -1 for the row of a damaged archive itself. `dpi_x`
    is horizontal, `dpi_y` vertical. The first page of a document has its `bytes_in` and `bytes_out`, and the
    other pages have 0, so that sums are right. All its pages have its sha256; they have none if it was copied
    without being read.
    """

    shard: str
    member: str
    member_index: int
    page_index: int
    status: Status
    source_sha256: str | None = None
    output_sha256: str | None = None
    error_code: str | None = None
    error: str | None = None
    width: int | None = None
    height: int | None = None
    mode: str | None = None
    bit_depth: int | None = None
    dpi_x: float | None = None
    dpi_y: float | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    decode_ms: float | None = None
    clean_ms: float | None = None
    encode_ms: float | None = None
    before: Condition | None = None
    after: Condition | None = None
    fidelity: Fidelity | None = None
    reasons: tuple[str, ...] = ()


MEASURES = [
    f"{measure}_{when}"
    for measure in (field.name for field in fields(Condition))
    for when in ("before", "after")
]
FIDELITY = [field.name for field in fields(Fidelity)]

SCHEMA = pa.schema(
    [
        ("run_id", pa.string()),
        ("recipe", pa.string()),
        ("shard", pa.string()),
        ("member", pa.string()),
        ("member_index", pa.int64()),
        ("page_index", pa.int32()),
        ("source_sha256", pa.string()),
        ("output_sha256", pa.string()),
        ("status", pa.string()),
        ("error_code", pa.string()),
        ("error", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("mode", pa.string()),
        ("bit_depth", pa.int16()),
        ("dpi_x", pa.float32()),
        ("dpi_y", pa.float32()),
        ("bytes_in", pa.int64()),
        ("bytes_out", pa.int64()),
        *[(name, pa.float32()) for name in (*MEASURES, *FIDELITY)],
        ("needs_review", pa.bool_()),
        ("reasons", pa.list_(pa.string())),
        ("decode_ms", pa.float32()),
        ("clean_ms", pa.float32()),
        ("encode_ms", pa.float32()),
        ("device", pa.string()),
    ],
    metadata={"pumice.schema_version": SCHEMA_VERSION},
)
TABLE_SCHEMA = SCHEMA.append(pa.field("decision", pa.string()))
"""The schema of the table: a shard's own rows, and a reviewer's decision (accepted, rejected or null)."""


def write_parquet(
    blocks: Iterable[Sequence[Row]], sink: BinaryIO, run_id: str, recipe: str, device: str, number: int
) -> None:
    """Write the rows of one shard as a Parquet file; each block becomes a row group and must not be empty.

    The metadata hold `number`, the number of the shard's commit. After an error `sink` holds a valid file
    that lacks rows: do not publish it.
    """
    with pq.ParquetWriter(sink, SCHEMA, compression="zstd") as writer:
        writer.add_key_value_metadata({COMMIT_NUMBER: str(number)})
        for rows in blocks:
            facts = {"run_id": run_id, "recipe": recipe, "device": device}
            writer.write_table(pa.Table.from_pylist([{**_columns(row), **facts} for row in rows], SCHEMA))


def _columns(row: Row) -> dict[str, object]:
    """The columns of a row; names and messages become valid text, because other text fails the whole file."""
    columns = asdict(row)
    for when in ("before", "after"):
        for measure, value in (columns.pop(when) or {}).items():
            columns[f"{measure}_{when}"] = value
    columns |= columns.pop("fidelity") or {}
    columns["needs_review"] = bool(row.reasons)
    return {name: valid_text(value) if isinstance(value, str) else value for name, value in columns.items()}
