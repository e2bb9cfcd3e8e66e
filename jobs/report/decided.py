"""Rows of the report joined with what reviewers decided about their pages."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.ledger.reviews import Review
from jobs.report.schema import TABLE_SCHEMA

JOINED_BY = ("member", "member_index", "page_index", "source_sha256", "recipe")
"""The columns that tell whether a decision is about a row."""


def joined(batch: pa.RecordBatch, review: Review | None, columns: Sequence[str]) -> pa.RecordBatch:
    """Rows of one shard with the decisions about them; decided pages have `needs_review` false.

    Args:
        batch: has all of `columns` but `decision`; with a review, also those of JOINED_BY.
        review: the decisions about that shard, if there are any.
        columns: the columns to return, in that order; names of TABLE_SCHEMA.
    """
    arrays: dict[str, Any] = {name: batch[name] for name in batch.schema.names}
    arrays["decision"] = pa.nulls(batch.num_rows, pa.string())
    if review:
        by_page = {one.page: one for one in review.decisions}
        rows = zip(*(batch[name].to_pylist() for name in JOINED_BY), strict=True)
        words = [
            one.word(source, recipe) if (one := by_page.get((member, index, page))) else None
            for member, index, page, source, recipe in rows
        ]
        arrays["decision"] = pa.array(words, pa.string())
        if "needs_review" in arrays:
            decided = pc.is_valid(arrays["decision"])
            arrays["needs_review"] = pc.if_else(decided, False, arrays["needs_review"])
    schema = pa.schema([TABLE_SCHEMA.field(name) for name in columns])
    return pa.RecordBatch.from_arrays([arrays[name] for name in columns], schema=schema)
