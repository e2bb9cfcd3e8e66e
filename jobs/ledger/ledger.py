"""The records below `DST/_pumice/`: what is claimed, committed and quarantined. They are the only state.

The commits of a shard are numbered, and attempts race for a number: `done/<shard>/c000002.json` is created
only if absent. So one attempt wins each number, however many attempts of however many runs try, zombies too.

Everything here rests on four rules:
1. An attempt claims before it commits, and its claim names the number that it aims at.
2. Commits are never removed. So a number that was used stays used, and a late attempt at it always loses.
3. Claims for number n and lower are removed only after commit n is published. So a commit without claims
   beside it is published, and one that may not be published is found by listing the claims.
4. Commit n+1 is made only after commit n is published (or lost for good). So a late publisher of n cannot
   overwrite the objects of n+1: no staged object of n is left that it could publish.
"""

import json
import os
import socket
import uuid
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from itertools import groupby

from jobs.errors import StagedGone
from jobs.ledger.commit_log import CommitLog
from jobs.ledger.heads import Heads
from jobs.ledger.records import (
    CLAIMS,
    QUARANTINE,
    Claim,
    ClaimFile,
    ClaimState,
    Commit,
    Failure,
    Quarantined,
    done_key,
    quarantine_key,
    read_record,
    record_bytes,
    shard_id,
)
from jobs.stores.base import in_parallel


class Ledger(CommitLog):
    """The ledger of one destination: commits, claims and quarantines; the object itself holds no state."""

    def claims(self) -> dict[tuple[str, str], tuple[ClaimState, ...]]:
        """Attempts that made no commit, by shard id and work; raises StoreError.

        Costs a listing, and one request for each failure. Attempts at an older number may be among them until
        `roll_forward`.
        """
        files = list(self._claim_files(CLAIMS))
        states = {
            (one.shard_id, one.work, one.number, one.attempt): ClaimState(one.number, one.attempt)
            for one in files
        }
        failures = [one for one in files if one.failed]
        bodies = in_parallel(self._store.get, (one.key for one in failures))
        for one, body in zip(failures, bodies, strict=True):
            if body is not None:
                state = ClaimState(one.number, one.attempt, read_record(Failure, body, one.key))
                states[one.shard_id, one.work, one.number, one.attempt] = state
        found = groupby(sorted(states), key=lambda one: one[:2])
        return {key: tuple(states[one] for one in group) for key, group in found}

    def in_flight(self, heads: Heads) -> tuple[Claim, ...]:
        """Attempts that neither failed nor made a commit: a run works on them, or died while it did.

        Raises:
            StoreError: the store broke, or a claim can't be read.
        """
        files = list(self._claim_files(CLAIMS))
        failed = {replace(one, key="", failed=False) for one in files if one.failed}
        keys = [one.key for one in files if not one.failed and replace(one, key="") not in failed]
        found = [(key, body) for key in keys if (body := self._store.get(key)) is not None]
        claims = [read_record(Claim, body, key) for key, body in found]
        done = heads.numbers_of(claim.shard for claim in claims)
        return tuple(claim for claim in claims if claim.number > done.get(claim.shard, 0))

    def quarantined(self) -> dict[tuple[str, str], Quarantined]:
        """What is quarantined, or was and is `retried`, by shard id and work; raises StoreError."""
        keys = [info.key for info in self._store.list(QUARANTINE)]
        found: dict[tuple[str, str], Quarantined] = {}
        for key, body in zip(keys, in_parallel(self._store.get, keys), strict=True):
            if body is not None:
                record = read_record(Quarantined, body, key)
                found[shard_id(record.shard), record.work] = record
        return found

    def claim(self, claim: Claim) -> bool:
        """Take an attempt; False if another run has it or has done it. Raises StoreError."""
        # The claims of a commit are gone. Without this check a run would clean again what a run that it
        # joined committed since it planned. A commit between check and claim costs work only: see `commit`.
        if self._store.stat(done_key(claim.shard, claim.number)):
            return False
        # If the answer gets lost, the nonce tells this call from another one of the same run.
        return self._store.create(claim.key, _body(claim, nonce=uuid.uuid4().hex))

    def fail(self, claim: Claim, code: str, message: str) -> None:
        """Record how an attempt ended that made no commit; raises StoreError."""
        self._store.create(claim.failed_key, _body(claim, code=code, message=message))

    def quarantine(self, claim: Claim, code: str, message: str) -> None:
        """Give up a work after its last attempt, `claim`; raises StoreError."""
        record = Quarantined(claim.shard, claim.work, code, message, claim.attempt)
        self._store.put(quarantine_key(claim.shard, claim.work), record_bytes(record))

    def retry_quarantined(self) -> None:
        """Let all quarantined work be tried again, as often as new work; raises StoreError.

        The claims stay: one may be a zombie's, and its commit must not stand without a claim beside it.
        """
        for record in self.quarantined().values():
            retried = replace(record, retried=True)
            self._store.put(quarantine_key(record.shard, record.work), record_bytes(retried))

    def commit(self, commit: Commit) -> bool:
        """Decide the shard's commit of that number; the caller then has to `publish` it.

        Returns:
            False if another attempt made this commit. Then what this attempt staged is discarded and the
            other's result is published, because that attempt may have died. It may be of another work: plan
            the shard again.

        Raises:
            StoreError: the outcome is unknown. Discard nothing; `roll_forward` finds out.
        """
        self._finish_previous(commit)
        key = done_key(commit.shard, commit.number)
        if self._store.create(key, record_bytes(commit)):
            return True
        winner = self._read_commit(key)
        if winner is None or winner.claim == commit.claim:  # this attempt's own, tried again
            return winner is not None
        for staged in commit.staged:
            self._store.discard(staged)
        self.publish(winner)
        return False

    def publish(self, commit: Commit) -> None:
        """Make a commit's objects visible, then remove its claims; idempotent.

        Raises:
            StagedGone: an object is neither staged nor published: it is lost, or a later commit replaced it.
            StoreError: the store broke; `roll_forward` does the rest.
        """
        for staged in commit.staged:
            self._store.publish(staged)
        self._settle(commit)

    def roll_forward(self) -> int:
        """Finish commits that a crash left unpublished or with claims; for a run's start. Raises StoreError.

        Returns:
            The number of commits that were published, some of them again.
        """
        files = sorted(self._claim_files(CLAIMS), key=lambda one: one.shard_id)
        shards = [(name, list(group)) for name, group in groupby(files, key=lambda one: one.shard_id)]
        return sum(in_parallel(lambda shard: self._roll_shard(*shard), shards))

    def _roll_shard(self, name: str, files: list[ClaimFile]) -> bool:
        latest = self.latest_of(name)
        if latest is None or all(one.number > latest.number for one in files):
            return False
        if not any((one.number, one.work) == (latest.number, latest.work) for one in files):
            self._settle(latest)  # published, by rule 3: the claims left are of other attempts
            return False
        try:
            self.publish(latest)
        except StagedGone:
            self._void(latest)
            return False
        return True

    def _void(self, lost: Commit) -> None:
        """Overrule a commit whose staged objects were lost before it was published, as by a lifecycle rule.

        Commits are never removed, so the commit with the next number says that the shard is not done.
        """
        void = Commit(
            shard=lost.shard, number=lost.number + 1, work="", run_id=lost.run_id, attempt=0, recipe="",
            source=(), staged=(), members=0, pages=0, cleaned=0, passed_through=0, failed=0, bytes_in=0,
            bytes_out=0, pixels=0, damaged=None, committed_at=lost.committed_at, host=lost.host,
        )  # fmt: skip
        if self._store.create(done_key(void.shard, void.number), record_bytes(void)):
            self._settle(void)

    def _finish_previous(self, commit: Commit) -> None:
        """Rule 4: a zombie may have made the previous commit after this run's `roll_forward`."""
        previous = self._read_commit(done_key(commit.shard, commit.number - 1)) if commit.number > 1 else None
        if previous is None:
            return
        left = self._claim_files(f"{CLAIMS}{shard_id(commit.shard)}/")
        if any(one.number <= previous.number for one in left):
            with suppress(StagedGone):  # then no attempt can publish it any more
                self.publish(previous)

    def _settle(self, commit: Commit) -> None:
        """Remove, after publishing, the claims for this number and lower, and what their attempts staged.

        Claims go last: if a crash leaves one, `roll_forward` does all of this again.
        """
        self._note(commit)
        name = shard_id(commit.shard)
        files = [one for one in self._claim_files(f"{CLAIMS}{name}/") if one.number <= commit.number]
        for one in files:
            if not one.failed and (one.number, one.work, one.attempt) != (
                commit.number, commit.work, commit.attempt,
            ):  # fmt: skip
                self._discard_leftovers(one, commit)
        for info in self._store.list(f"{QUARANTINE}{name}/"):
            self._store.delete(info.key)
        for one in files:
            self._store.delete(one.key)

    def _discard_leftovers(self, loser: ClaimFile, commit: Commit) -> None:
        """Remove what another attempt staged under this commit's keys; it is dead, or alive and will lose."""
        body = self._store.get(loser.key)
        if body is not None:
            attempt = read_record(Claim, body, loser.key).id
            for staged in commit.staged:
                self._store.discard_attempt(staged.key, attempt)


def _body(claim: Claim, **more: str) -> bytes:
    facts = {"host": socket.gethostname(), "pid": os.getpid(), "time": datetime.now(UTC).isoformat()}
    return json.dumps({**asdict(claim), **facts, **more}, indent=1).encode()
