"""What reviewers decided, kept in the ledger: `_pumice/reviews/<shard>.json`, one record a shard.

A rejected page keeps its original: the record is part of the shard's work key, so that the planner finds the
shard not done and the ordinary machinery does it again, leaving that page alone. An accepted page is done as
it is; its decision only joins its row in the report's table.

A rejection is of a page and its source bytes, whatever the weights: it stands until somebody withdraws it or
the scan changes. An acceptance is of what was seen: it ends when the page is cleaned by another recipe.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from jobs.errors import StoreError
from jobs.ledger.commit_log import in_parallel
from jobs.ledger.plan import Rejected, Shard
from jobs.ledger.records import read_json, shard_id
from jobs.report.schema import TABLE_SCHEMA
from jobs.stores.base import LEDGER, Store

REVIEWS = f"{LEDGER}/reviews/"
JOINED_BY = ("member", "member_index", "page_index", "source_sha256", "recipe")
"""The columns that tell whether a decision is about a row."""

Verdict = Literal["accept", "reject"]
PageName = tuple[str, int, int]
"""A page within its shard: member, member_index, page_index."""


@dataclass(frozen=True)
class Decided:
    """A decision on record.

    Attributes:
        member, member_index, page_index: the page, as the report names it.
        source_sha256, output_sha256: of the file that it is in, as it was in the source and when it was seen.
        recipe: what it was cleaned with when it was seen.
        decision: what was decided.
        sampled: whether the page was drawn by chance.
        note: the reviewer's own words.
    """

    member: str
    member_index: int
    page_index: int
    source_sha256: str
    output_sha256: str
    recipe: str
    decision: Verdict
    sampled: bool
    note: str = ""

    @property
    def page(self) -> PageName:
        """Which page of its shard it is about."""
        return self.member, self.member_index, self.page_index

    def word(self, source_sha256: str, recipe: str) -> str | None:
        """The report's word for it, if it is about the page of this source and recipe."""
        if self.source_sha256 != source_sha256:
            return None
        if self.decision == "reject":
            return "rejected"
        return "accepted" if self.recipe == recipe else None


@dataclass(frozen=True)
class Review:
    """What was decided about a shard's pages, in their order."""

    shard: str
    decisions: tuple[Decided, ...]

    @property
    def key(self) -> str:
        """Where it stands."""
        return f"{REVIEWS}{shard_id(self.shard)}.json"

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """The pages whose originals are to stay."""
        return tuple(
            sorted(
                Rejected(*one.page, one.source_sha256) for one in self.decisions if one.decision == "reject"
            )
        )

    @property
    def version(self) -> bytes:
        """Another one for other decisions."""
        return hashlib.sha256(self.to_json()).hexdigest()[:16].encode()

    def to_json(self) -> bytes:
        """The record's bytes; equal decisions give equal bytes."""
        return json.dumps(asdict(self), indent=1).encode()

    @staticmethod
    def from_json(data: bytes, key: str) -> "Review":
        """Read a record's bytes; raises StoreError naming `key` if this version can't."""
        fields = read_json(data, key)
        try:
            return Review(fields["shard"], tuple(Decided(**one) for one in fields["decisions"]))
        except (KeyError, TypeError) as error:
            raise StoreError(
                f"{key} is no review that this version of Pumice can read: update Pumice."
            ) from error

    def with_(self, decisions: Iterable[Decided]) -> "Review":
        """This record with later decisions put in."""
        known = {one.page: one for one in (*self.decisions, *decisions)}
        return replace(self, decisions=tuple(known[page] for page in sorted(known)))


def read_reviews(to: Store) -> dict[str, Review]:
    """All reviews, by shard key: as many requests as shards were reviewed. Raises StoreError."""
    keys = [info.key for info in to.list(REVIEWS)]
    bodies = zip(keys, in_parallel(to.get, keys), strict=True)
    found = (Review.from_json(body, key) for key, body in bodies if body is not None)
    return {review.shard: review for review in found}


def with_rejections(shards: Iterable[Shard], reviews: Mapping[str, Review]) -> Iterator[Shard]:
    """The shards, told which of their pages are to stay as they are."""
    for shard in shards:
        review = reviews.get(shard.key)
        yield replace(shard, rejected=review.rejected) if review else shard


def joined(batch: pa.RecordBatch, review: Review | None, columns: Sequence[str]) -> pa.RecordBatch:
    """Rows of one shard with what was decided about them.

    Args:
        batch: has the columns asked for, but for `decision`; with a review, also JOINED_BY's.
        review: of that shard, if there is one.
        columns: what to give back, in that order, of TABLE_SCHEMA's.
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
