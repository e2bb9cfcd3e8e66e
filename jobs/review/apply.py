"""Records the decisions of reviewers: each is compared with its page's row, then written to the ledger.

This only records. The next run, whoever starts it, restores originals and cleans pages again, because its
plan reads the records.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from jobs.driver.job import RunSummary, new_run_id
from jobs.ledger.guests import begin
from jobs.ledger.heads import Heads
from jobs.ledger.ledger import Ledger
from jobs.ledger.records import record_bytes
from jobs.ledger.reviews import Decided, PageName, Review, read_reviews
from jobs.report.decided import JOINED_BY
from jobs.report.table import Missing, shard_rows
from jobs.review.decisions import Decision, DecisionFile
from jobs.review.sampling import SampleFinding, upper_bound
from jobs.stores.base import Store
from jobs.text import valid_text

_COLUMNS = [*JOINED_BY, "output_sha256", "status", "error_code"]
_Row = Mapping[str, Any]


@dataclass(frozen=True)
class Skipped:
    """A decision that has no effect; `why` continues a sentence that begins with the page's name."""

    shard: str
    member: str
    page_index: int
    why: str


@dataclass(frozen=True)
class Recorded:
    """What was recorded.

    Attributes:
        decisions: those that are recorded.
        to_restore: the rejections among them whose originals are not restored yet.
        skipped: decisions without effect.
    """

    decisions: tuple[Decision, ...]
    to_restore: tuple[Decision, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True)
class Applied:
    """The result of applying a file of decisions.

    Attributes:
        destination: the address of the destination.
        accepted, rejected: decisions that are recorded, now or before.
        skipped: decisions without effect.
        sample: what the sampled decisions say about all pages; None without a sample.
        run: the run that followed.
    """

    destination: str
    accepted: int
    rejected: int
    skipped: tuple[Skipped, ...]
    sample: SampleFinding | None
    run: RunSummary

    @property
    def exit_code(self) -> int:
        """3 if decisions were skipped, otherwise that of the run."""
        return 3 if self.skipped else self.run.exit_code


def record(to: Store, file: DecisionFile) -> Recorded:
    """Check decisions and record those that fit the current pages, under the lease; idempotent.

    Raises:
        LeaseHeld: a run works on this destination.
        StoreError: the store broke. What is recorded stays; the same call again does the rest.
    """
    by_shard: dict[str, list[Decision]] = {}
    for one in file.decisions:
        by_shard.setdefault(one.shard, []).append(one)
    judged = list[_Judged]()
    with begin(to, new_run_id(), join=False):
        ledger = Ledger(to)
        ledger.roll_forward()  # decisions are about what is visible
        shards, reviews = dict(_named(ledger.heads(), by_shard)), read_reviews(to)
        for name, decisions in by_shard.items():
            if shard := shards.get(name):
                judged += _judge_shard(to, shard, decisions, reviews)
            else:
                judged += [_Judged(one, "is of a shard that has no result here") for one in decisions]
    return Recorded(
        tuple(one.decision for one in judged if not one.why),
        tuple(one.decision for one in judged if one.to_restore),
        tuple(_skipped(one.decision, one.why) for one in judged if one.why),
    )


@dataclass(frozen=True)
class _Judged:
    """A decision and, if it has no effect, why; `to_restore` as in Recorded."""

    decision: Decision
    why: str
    to_restore: bool = False


def _skipped(one: Decision, why: str) -> Skipped:
    return Skipped(one.shard, one.member, one.page_index, why)


def _named(heads: Heads, names: Iterable[str]) -> Iterator[tuple[str, Missing]]:
    """The shards with these names in the report."""
    wanted = set(names)
    for batch in heads.results().to_batches():
        for row in batch.to_pylist():
            shard = Missing(row["shard"], row["pages"])
            if (name := valid_text(shard.key)) in wanted:
                yield name, shard


def _judge_shard(
    to: Store, shard: Missing, decisions: list[Decision], reviews: Mapping[str, Review]
) -> list[_Judged]:
    """Record the decisions that fit a shard's pages."""
    before = reviews.get(shard.key, Review(shard.key, ()))
    known = {one.page: one for one in before.decisions}
    unread: dict[str, str] = {}
    rows = _pages(to, shard, {one.page for one in decisions}, unread)
    absent = f"can't be looked up: {unread[shard.key]}" if unread else "isn't among the pages of its shard"
    judged, new = list[_Judged](), list[Decided]()
    for one in decisions:
        row = rows.get(one.page)
        if row is None:
            judged.append(_Judged(one, absent))
        elif why := _objection(one, row, known.get(one.page)):
            judged.append(_Judged(one, why))
        else:
            to_restore = one.decision == "reject" and row["error_code"] != "rejected"
            judged.append(_Judged(one, "", to_restore))
            new.append(_decided(one, row, known.get(one.page)))
    after = before.with_(new)
    if after != before:
        to.put(after.key, record_bytes(after))
    return judged


def _pages(to: Store, shard: Missing, pages: set[PageName], unread: dict[str, str]) -> dict[PageName, _Row]:
    """The rows of these pages."""
    (found,) = (batches for _, batches in shard_rows(to, [shard], _COLUMNS, {}, unread))
    rows = chain.from_iterable(batch.to_pylist() for _, batch in found)
    named = (((row["member"], row["member_index"], row["page_index"]), row) for row in rows)
    return {page: row for page, row in named if page in pages}


def _covers(before: Decided | None, row: _Row) -> bool:
    """Whether a recorded decision is about the page as it is, or as it was before its original came back."""
    if before is None or before.source_sha256 != row["source_sha256"]:
        return False
    return bool(row["error_code"] == "rejected" or before.recipe == row["recipe"])


def _objection(one: Decision, row: _Row, before: Decided | None) -> str:
    """Why a decision can't be applied, or an empty text."""
    if row["source_sha256"] is None:
        return "was copied without being read: there is nothing to decide about"
    seen = {row["output_sha256"]}
    if before and _covers(before, row):
        if before.decision == one.decision:
            return ""
        seen.add(before.output_sha256)
    if one.output_sha256 not in seen:
        return "was replaced since it was looked at: look at it again"
    if one.decision == "reject" and row["status"] != "cleaned" and row["error_code"] != "rejected":
        return "was not cleaned: its original stands there already"
    return ""


def _decided(one: Decision, row: _Row, before: Decided | None) -> Decided:
    """The record of a decision; if the page is the same as before, it keeps what was first seen."""
    if before and _covers(before, row):
        return replace(before, decision=one.decision, sampled=one.sampled, note=one.note)
    facts = {name: row[name] for name in (*JOINED_BY, "output_sha256")}
    return Decided(**facts, decision=one.decision, sampled=one.sampled, note=one.note)


def outcome(to: Store, file: DecisionFile, recorded: Recorded, run: RunSummary) -> Applied:
    """The result, after the run that followed."""
    gone = {valid_text(shard) for shard in run.gone}
    why = "stays cleaned, because its original is gone from the source"
    lost = [_skipped(one, why) for one in recorded.to_restore if one.shard in gone]
    rejected = sum(one.decision == "reject" for one in recorded.decisions)
    sampled = [one for one in recorded.decisions if one.sampled]
    return Applied(
        destination=to.url,
        accepted=len(recorded.decisions) - rejected,
        rejected=rejected,
        skipped=(*recorded.skipped, *lost),
        sample=_finding(file, sampled) if sampled else None,
        run=run,
    )


def _finding(file: DecisionFile, sampled: list[Decision]) -> SampleFinding:
    count, rejected = len(sampled), sum(one.decision == "reject" for one in sampled)
    size, population = (file.sample.size, file.sample.population) if file.sample else (None, None)
    return SampleFinding(count, rejected, size, population, upper_bound(count, rejected))
