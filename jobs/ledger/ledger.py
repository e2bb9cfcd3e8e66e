"""The records below `DST/_pumice/`: what is claimed, done and given up. The only state there is.

A shard's commits are numbered, and what races is the number: `done/<shard>/c000002.json` is created only if
absent. So of any number of attempts, in any number of runs, awake or zombie, one wins each number.

The rules that everything below rests on:
1. An attempt claims before it commits, and its claim names the number it aims at.
2. Commits are never removed, so a number that was used stays used, and a late attempt at it always loses.
3. Claims aiming at number n or lower are removed only after commit n is published. Hence a commit beside
   which no claim is left is published; one that might not be is always found by listing the claims.
4. Commit n+1 is made only once commit n is published (or lost for good). Hence no late publisher of n can
   overwrite what n+1 put there: there is nothing left that it could publish.
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
from jobs.ledger.commit_log import CommitLog, in_parallel
from jobs.ledger.heads import Heads
from jobs.ledger.records import (
    CLAIMS,
    QUARANTINE,
    Claim,
    ClaimFile,
    ClaimState,
    Commit,
    Quarantined,
    done_key,
    quarantine_key,
    read_json,
    shard_id,
)


class Ledger(CommitLog):
    """The ledger of one destination: the commits, and all that leads to them; holds no state either."""

    def claims(self) -> dict[tuple[str, str], tuple[ClaimState, ...]]:
        """Attempts that did not end in a commit, by shard id and work; raises StoreError.

        A listing and the bodies of the failures. Attempts at an older number may show until `roll_forward`.
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
                fields = read_json(body, one.key)
                outcome = (str(fields.get("code")), str(fields.get("message")))
                state = ClaimState(one.number, one.attempt, str(fields.get("run_id")), outcome)
                states[one.shard_id, one.work, one.number, one.attempt] = state
        found = groupby(sorted(states), key=lambda one: one[:2])
        return {key: tuple(states[one] for one in group) for key, group in found}

    def in_flight(self, heads: Heads) -> tuple[Claim, ...]:
        """Attempts that neither failed nor came to a commit: somebody works on them, or died over them.

        Raises:
            StoreError: the store broke, or a claim can't be read.
        """
        files = list(self._claim_files(CLAIMS))
        failed = {replace(one, key="", failed=False) for one in files if one.failed}
        keys = [one.key for one in files if not one.failed and replace(one, key="") not in failed]
        found = [(key, body) for key in keys if (body := self._store.get(key)) is not None]
        claims = [Claim.from_json(body, key) for key, body in found]
        done = heads.numbers_of(claim.shard for claim in claims)
        return tuple(claim for claim in claims if claim.number > done.get(claim.shard, 0))

    def quarantined(self) -> dict[tuple[str, str], Quarantined]:
        """What is given up, or was and is `retried`, by shard id and work; raises StoreError."""
        keys = [info.key for info in self._store.list(QUARANTINE)]
        found: dict[tuple[str, str], Quarantined] = {}
        for key, body in zip(keys, in_parallel(self._store.get, keys), strict=True):
            if body is not None:
                record = Quarantined.from_json(body, key)
                found[shard_id(record.shard), record.work] = record
        return found

    def claim(self, claim: Claim) -> bool:
        """Take an attempt; False if somebody has it or has done it. Raises StoreError."""
        # A commit's claims are gone, so without a look a run would do again all that another one, which
        # it joined, did since it planned. Between look and claim nothing is lost but work: see `commit`.
        if self._store.stat(done_key(claim.shard, claim.number)):
            return False
        # The nonce tells this very call from another one of the same run, should its answer get lost.
        return self._store.create(claim.key, _body(claim, nonce=uuid.uuid4().hex))

    def fail(self, claim: Claim, code: str, message: str) -> None:
        """Record how an attempt ended that made no commit; raises StoreError."""
        self._store.create(claim.failed_key, _body(claim, code=code, message=message))

    def quarantine(self, claim: Claim, code: str, message: str) -> None:
        """Give a work up after its last attempt `claim`; raises StoreError."""
        record = Quarantined(claim.shard, claim.work, code, message, claim.attempt)
        self._store.put(quarantine_key(claim.shard, claim.work), record.to_json())

    def retry_quarantined(self) -> None:
        """Give everything that is given up a fresh count; raises StoreError.

        Its claims stay: should one be a zombie's, its commit must not stand without a claim beside it.
        """
        for record in self.quarantined().values():
            self._store.put(
                quarantine_key(record.shard, record.work), replace(record, retried=True).to_json()
            )

    def commit(self, commit: Commit) -> bool:
        """Decide the shard's commit of that number; `publish` is to follow.

        False: another attempt decided it. Its result is published here, should it have died, and what this
        one staged is discarded; it may be of another work, so plan the shard again.

        Raises:
            StoreError: the outcome is unknown. Discard nothing; `roll_forward` finds out.
        """
        self._finish_previous(commit)
        key = done_key(commit.shard, commit.number)
        if self._store.create(key, commit.to_json()):
            return True
        winner = self._read_commit(key)
        if winner is None or winner.claim == commit.claim:  # one's own, tried again with a later time in it
            return winner is not None
        for staged in commit.staged:
            self._store.discard(staged)
        self.publish(winner)
        return False

    def publish(self, commit: Commit) -> None:
        """Make a commit's objects appear, then clear away its claims; idempotent.

        Raises:
            StagedGone: an object is neither staged nor published: a zombie's commit, long overtaken, or lost.
            StoreError: the store broke; `roll_forward` does the rest.
        """
        for staged in commit.staged:
            self._store.publish(staged)
        self._settle(commit)

    def roll_forward(self) -> int:
        """Finish what crashes left between commit and settling; for the start of a run. Raises StoreError.

        Returns:
            How many commits were published (again).
        """
        files = sorted(self._claim_files(CLAIMS), key=lambda one: one.shard_id)
        shards = [(name, list(group)) for name, group in groupby(files, key=lambda one: one.shard_id)]
        return sum(in_parallel(lambda shard: self._roll_shard(*shard), shards))

    def _roll_shard(self, name: str, files: list[ClaimFile]) -> bool:
        latest = self.latest_of(name)
        if latest is None or all(one.number > latest.number for one in files):
            return False
        if not any((one.number, one.work) == (latest.number, latest.work) for one in files):
            self._settle(latest)  # published, by rule 3: only overtaken attempts are left
            return False
        try:
            self.publish(latest)
        except StagedGone:
            self._void(latest)
            return False
        return True

    def _void(self, lost: Commit) -> None:
        """Overrule a commit whose staged objects were lost, as by a lifecycle rule, before it was published.

        Commits are never removed, so the next number says that the shard is to be done again.
        """
        void = Commit(
            shard=lost.shard, number=lost.number + 1, work="", run_id=lost.run_id, attempt=0, recipe="",
            source=(), staged=(), members=0, pages=0, cleaned=0, passed_through=0, failed=0, bytes_in=0,
            bytes_out=0, pixels=0, damaged=None, committed_at=lost.committed_at, host=lost.host,
        )  # fmt: skip
        if self._store.create(done_key(void.shard, void.number), void.to_json()):
            self._settle(void)

    def _finish_previous(self, commit: Commit) -> None:
        """Rule 4: a zombie may have made the commit before this one after our run's `roll_forward`."""
        previous = self._read_commit(done_key(commit.shard, commit.number - 1)) if commit.number > 1 else None
        if previous is None:
            return
        left = self._claim_files(f"{CLAIMS}{shard_id(commit.shard)}/")
        if any(one.number <= previous.number for one in left):
            with suppress(StagedGone):  # then nobody can publish it any more
                self.publish(previous)

    def _settle(self, commit: Commit) -> None:
        """Clear away, after publishing, whatever aimed at this number or a lower one.

        Claims go last: while one is left, a crash in here is healed by `roll_forward` doing it all again.
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
        """Remove what an attempt staged under this commit's keys: dead, or alive and bound to lose."""
        body = self._store.get(loser.key)
        if body is not None:
            run_id = str(read_json(body, loser.key).get("run_id"))
            attempt = Claim(commit.shard, loser.number, loser.work, loser.attempt, run_id).id
            for staged in commit.staged:
                self._store.discard_attempt(staged.key, attempt)


def _body(claim: Claim, **more: str) -> bytes:
    facts = {"host": socket.gethostname(), "pid": os.getpid(), "time": datetime.now(UTC).isoformat()}
    return json.dumps({**asdict(claim), **facts, **more}, indent=1).encode()
