"""Cleaned places whose pages are flagged by hand, for the reviewers' page, and a guard without weights."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from jobs.config import CleanOptions
from jobs.ledger.plan import find_shards
from jobs.ledger.records import rows_key
from jobs.ledger.runs import logged
from jobs.report.schema import TABLE_SCHEMA
from jobs.shard.attempt import clean_shard
from jobs.stores.base import Store
from jobs.stores.open import open_store
from model.judging.figures import Fidelity
from model.page import Pixels
from tests.samples import RECIPE, encoded, fill, task_of, workshop

RUN = "20260102T000000Z-0"


@dataclass(frozen=True)
class Seen:
    """What a comparison is asked for."""

    fidelity: Fidelity
    lost: NDArray[np.float32]
    added: NDArray[np.float32]


class StandIn:
    """Marks as lost what got lighter and as added what got darker, by more than half of white."""

    def compare(self, scan: Pixels, cleaned: Pixels) -> Seen:
        change = cleaned.astype(np.float32) - scan
        lost, added = (np.asarray(sign * change > 127, np.float32) for sign in (1, -1))
        return Seen(Fidelity(1, 1, 1, 0), lost, added)


def page(grey: int, width: int = 60, height: int = 80) -> bytes:
    """A PNG of one grey with a darker square in its middle."""
    pixels = np.full((height, width), grey, np.uint8)
    pixels[30:50, 20:40] = grey // 4
    return encoded(Image.fromarray(pixels), dpi=(150, 150))


def cleaned_place(
    above: Path | str, files: Mapping[str, bytes], flags: Mapping[str, Sequence[str]]
) -> tuple[Store, Store]:
    """A source with these files and the place it was cleaned into, by inverting.

    Args:
        above: where both go, a folder or an S3 prefix.
        files: by key.
        flags: the reasons by member, for which its pages are flagged.
    """
    source, destination = open_store(f"{above}/source"), open_store(f"{above}/cleaned")
    fill(source, dict(files))
    with workshop(source, destination) as shop:
        for shard in find_shards(source):
            assert clean_shard(task_of(shard, run_id=RUN), shop)
            flag(destination, shard.key, flags)
    with logged(destination, RUN, 1, source.url, RECIPE, CleanOptions()) as log:
        log.ended(0)
    return source, destination


def flag(destination: Store, shard: str, flags: Mapping[str, Sequence[str]]) -> None:
    """Flag pages in a shard's rows, as the guard would."""
    data = destination.get(rows_key(shard))
    assert data is not None
    table = pq.read_table(io.BytesIO(data))
    columns: dict[str, Any] = table.to_pydict()
    names = columns["member"]
    columns["needs_review"] = [name in flags for name in names]
    columns["reasons"] = [list(flags.get(name, ())) for name in names]
    columns["ink_lost"] = [0.9 if name in flags else 0.1 for name in names]
    sink = io.BytesIO()
    pq.write_table(pa.table(columns, schema=table.schema), sink)
    destination.put(rows_key(shard), sink.getvalue())


def synthetic_rows(count: int, flagged: int) -> list[pa.RecordBatch]:
    """Rows of cleaned pages without any files, for what is about their number."""
    chances = np.random.default_rng(7).random((count, 2))
    columns: dict[str, Any] = {field.name: [None] * count for field in TABLE_SCHEMA}
    columns |= {
        "run_id": [RUN] * count,
        "shard": [f"box-{index // 500:03d}.tar" for index in range(count)],
        "member": [f"scans/page-{index:06d}.png" for index in range(count)],
        "member_index": [index % 500 for index in range(count)],
        "page_index": [0] * count,
        "status": ["cleaned"] * count,
        "output_sha256": [f"{index:064x}" for index in range(count)],
        "width": [2480] * count,
        "height": [3508] * count,
        "mode": ["L"] * count,
        "needs_review": [index < flagged for index in range(count)],
        "reasons": [["ink_lost"] if index < flagged else [] for index in range(count)],
        "ink_lost": chances[:, 0],
        **{name: chances[:, 1] for name in TABLE_SCHEMA.names if name.endswith(("_before", "_after"))},
    }
    return pa.table(columns, schema=TABLE_SCHEMA).to_batches(max_chunksize=32_768)


def handed_over(folder: Path, name: str) -> Any:
    """What a data file gives to the page."""
    text = (folder / "data" / f"{name}.js").read_text("ascii")
    return json.loads(text[text.index("(" if name.startswith("rows") else "=") + 1 :].rstrip(");"))
