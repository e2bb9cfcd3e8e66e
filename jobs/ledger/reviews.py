"""What reviewers decided: `_pumice/reviews/<shard>.json`, one record a shard.

A rejected page keeps its original. Rejections are part of the shard's work key, so the planner finds the
shard not done; the next run cleans it again and leaves that page as it is. An accepted page needs no more
work; its decision only appears in its row of the report's table.

A rejection is about a page and the bytes of its source, under any weights: it stands until somebody withdraws
it or the scan changes. An acceptance is about the output that was seen: it ends when the page is cleaned with
another recipe.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from jobs.ledger.plan import Rejected, Shard
from jobs.ledger.records import NO_OTHER_FIELDS, read_record, record_bytes, shard_id
from jobs.stores.base import LEDGER, Store, in_parallel

REVIEWS = f"{LEDGER}/reviews/"

Verdict = Literal["accept", "reject"]
PageName = tuple[str, int, int]
"""A page within its shard: member, member_index, page_index."""


@dataclass(frozen=True)
class Decided:
    """A decision on record.

    Attributes:
        member, member_index, page_index: the page, as the report names it.
        source_sha256, output_sha256: hashes of the page's file: in the source, and as the reviewer saw it.
        recipe: the fingerprint of the recipe of the output that the reviewer saw.
        decision: what the reviewer decided.
        sampled: whether the page was drawn at random.
        note: the reviewer's own words.
    """

    __pydantic_config__ = NO_OTHER_FIELDS

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
        """The page that it is about, within its shard."""
        return self.member, self.member_index, self.page_index

    def word(self, source_sha256: str, recipe: str) -> str | None:
        """The report's word for it; None if it is not about the page with this source and recipe."""
        if self.source_sha256 != source_sha256:
            return None
        if self.decision == "reject":
            return "rejected"
        return "accepted" if self.recipe == recipe else None


@dataclass(frozen=True)
class Review:
    """The decisions about a shard's pages, in the order of the pages."""

    shard: str
    decisions: tuple[Decided, ...]

    @property
    def key(self) -> str:
        """The key of its record."""
        return f"{REVIEWS}{shard_id(self.shard)}.json"

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """The pages that keep their originals, in order."""
        return tuple(
            sorted(
                Rejected(*one.page, one.source_sha256) for one in self.decisions if one.decision == "reject"
            )
        )

    @property
    def version(self) -> bytes:
        """16 hex digits that change with the decisions."""
        return hashlib.sha256(record_bytes(self)).hexdigest()[:16].encode()

    def with_(self, decisions: Iterable[Decided]) -> "Review":
        """This record with later decisions, which replace earlier ones about the same page."""
        known = {one.page: one for one in (*self.decisions, *decisions)}
        return replace(self, decisions=tuple(known[page] for page in sorted(known)))


def read_reviews(to: Store) -> dict[str, Review]:
    """All reviews, by shard key; one request for each reviewed shard. Raises StoreError."""
    keys = [info.key for info in to.list(REVIEWS)]
    bodies = zip(keys, in_parallel(to.get, keys), strict=True)
    found = (read_record(Review, body, key) for key, body in bodies if body is not None)
    return {review.shard: review for review in found}


def with_rejections(shards: Iterable[Shard], reviews: Mapping[str, Review]) -> Iterator[Shard]:
    """The shards, each with the pages that reviewers rejected."""
    for shard in shards:
        review = reviews.get(shard.key)
        yield replace(shard, rejected=review.rejected) if review else shard
