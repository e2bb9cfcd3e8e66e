"""The ledger, with every crash and every zombie that its rules are for, on both kinds of place."""

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from jobs.errors import StagedGone, StoreError
from jobs.ledger.ledger import Ledger
from jobs.ledger.records import (
    Claim,
    ClaimState,
    Commit,
    Failure,
    Quarantined,
    read_record,
    record_bytes,
    shard_id,
)
from jobs.stores.base import ObjectInfo, Staged, Store

SHARD = "2024/box 017.tar"
OUTPUT = "2024/box 017.tar"
REPORT = "_pumice/rows/box.parquet"
ONE = Claim(SHARD, 1, "work-a", 1, "run-1")


def stage(store: Store, claim: Claim, data: bytes) -> tuple[Staged, ...]:
    staged = []
    for key in (OUTPUT, REPORT):
        upload = store.stage(key, claim.id)
        upload.write(data)
        staged.append(upload.finish())
    return tuple(staged)


def commit_of(claim: Claim, staged: tuple[Staged, ...]) -> Commit:
    return Commit(
        shard=claim.shard, number=claim.number, work=claim.work, run_id=claim.run_id, attempt=claim.attempt,
        recipe="recipe", source=(ObjectInfo(SHARD, 3, "v1"),), staged=staged, members=3, pages=2, cleaned=1,
        passed_through=1, failed=0, bytes_in=10, bytes_out=9, pixels=1000, damaged=None,
        committed_at="2026-01-01T00:00:00+00:00", host="here",
    )  # fmt: skip


def ready(store: Store, claim: Claim, data: bytes) -> Commit:
    """Claim and stage: all but the commit."""
    assert Ledger(store).claim(claim)
    return commit_of(claim, stage(store, claim, data))


def assert_settled(store: Store, data: bytes, number: int) -> None:
    """The end state of everything: `data` is published, and nothing else is left."""
    assert store.get(OUTPUT) == store.get(REPORT) == data
    assert list(store.list("_pumice/claims/")) == []
    assert list(store.list("_pumice/quarantine/")) == []
    assert Ledger(store).commits()[SHARD].number == number
    assert Ledger(store).roll_forward() == 0
    assert [info.key for info in store.list()] == [OUTPUT]


def test_the_plain_way(place: Store) -> None:
    ledger = Ledger(place)
    commit = ready(place, ONE, b"clean")
    assert ledger.commits() == {}
    assert ledger.claims() == {(shard_id(SHARD), "work-a"): (ClaimState(number=1, attempt=1),)}
    assert place.get(OUTPUT) is None
    assert ledger.commit(commit)
    assert place.get(OUTPUT) is None
    ledger.publish(commit)
    assert ledger.commits() == {SHARD: commit}
    assert ledger.latest(SHARD) == commit
    assert ledger.latest("other") is None
    assert_settled(place, b"clean", 1)


def test_commits_survive_json(place: Store) -> None:
    odd = replace(commit_of(ONE, ()), shard="caf\udce9/ä.tar", damaged="cut")
    assert read_record(Commit, record_bytes(odd), "key") == odd
    with pytest.raises(StoreError, match="update Pumice"):
        read_record(Commit, record_bytes(odd).replace(b'"schema": 1', b'"schema": 2'), "key")
    with pytest.raises(StoreError, match="key"):
        read_record(Commit, b"{", "key")


@pytest.mark.parametrize("field", [b'"number": null', b'"shard": 7', b'"new": 1,\n "number": 1'])
def test_commits_with_fields_that_make_no_sense_are_named(field: bytes) -> None:
    name = field.partition(b":")[0].replace(b'"new"', b'"number"')
    data = re.sub(name + b": [^,]+", field, record_bytes(commit_of(ONE, ())))
    with pytest.raises(StoreError, match="key is no record"):
        read_record(Commit, data, "key")


def test_a_failure_and_a_claim_may_have_more_fields(place: Store) -> None:
    Ledger(place).claim(ONE)
    body = place.get(ONE.key)
    assert body is not None and b"nonce" in body
    assert read_record(Claim, body, ONE.key) == ONE


def test_shard_ids_are_one_safe_part() -> None:
    names = ["a/b", "a-b", "x" * 3000, "größe/../ä", "..", "caf\udce9"]
    ids = [shard_id(name) for name in names]
    assert len(set(ids)) == len(names)
    assert all(len(one) < 60 and one.isascii() and "/" not in one and not one.startswith(".") for one in ids)
    assert shard_id("2024/box-017.tar").startswith("2024-box-017.tar-")


def test_one_of_many_claims_an_attempt(place: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        wins = list(pool.map(lambda who: Ledger(place).claim(replace(ONE, run_id=f"run-{who}")), range(8)))
    assert wins.count(True) == 1
    assert not Ledger(place).claim(replace(ONE, run_id=f"run-{wins.index(True)}"))
    assert Ledger(place).claim(replace(ONE, attempt=2))


def test_failures_and_crashes_are_told_apart(place: Store) -> None:
    ledger = Ledger(place)
    for attempt in (1, 2):
        ledger.claim(replace(ONE, attempt=attempt))
    ledger.fail(ONE, "decode", "no page could be read")
    crashed, failed = sorted(ledger.claims()[shard_id(SHARD), "work-a"], key=lambda one: -one.attempt)
    assert (failed.attempt, failed.failure) == (1, Failure("run-1", "decode", "no page could be read"))
    assert (crashed.attempt, crashed.number, crashed.failure) == (2, 1, None)


def test_a_quarantine_ends_with_a_commit(place: Store) -> None:
    ledger = Ledger(place)
    commit = ready(place, replace(ONE, attempt=3), b"at last")
    ledger.quarantine(commit.claim, "timeout", "too slow")
    record = Quarantined(SHARD, "work-a", "timeout", "too slow", 3)
    assert ledger.quarantined() == {(shard_id(SHARD), "work-a"): record}
    assert ledger.commit(commit)
    ledger.publish(commit)
    assert ledger.quarantined() == {}
    assert_settled(place, b"at last", 1)


def test_one_of_many_commits_a_number(place: Store) -> None:
    commits = [ready(place, replace(ONE, attempt=n, run_id=f"run-{n}"), b"%d" % n) for n in range(1, 7)]
    with ThreadPoolExecutor(6) as pool:
        wins = list(pool.map(Ledger(place).commit, commits))
    assert wins.count(True) == 1
    winner = commits[wins.index(True)]
    Ledger(place).publish(winner)
    assert_settled(place, b"%d" % winner.attempt, 1)


def test_ones_own_commit_tried_again_is_won(place: Store) -> None:
    commit = ready(place, ONE, b"clean")
    assert Ledger(place).commit(commit)
    assert Ledger(place).commit(replace(commit, committed_at="2026-01-01T00:00:09+00:00"))
    Ledger(place).publish(commit)
    assert_settled(place, b"clean", 1)


def crash_after_claim(store: Store) -> None:
    Ledger(store).claim(ONE)


def crash_after_stage(store: Store) -> None:
    ready(store, ONE, b"first")


@pytest.mark.parametrize("crash", [crash_after_claim, crash_after_stage])
def test_crashes_before_the_commit_cost_an_attempt(place: Store, crash: Callable[[Store], None]) -> None:
    crash(place)
    assert Ledger(place).roll_forward() == 0
    assert [one.attempt for one in Ledger(place).claims()[shard_id(SHARD), "work-a"]] == [1]
    second = ready(place, replace(ONE, attempt=2, run_id="run-2"), b"second")
    assert Ledger(place).commit(second)
    Ledger(place).publish(second)
    assert_settled(place, b"second", 1)


class Crash(Exception):
    pass


class CrashingStore:
    """Dies at the n-th change it is asked for, as a process does."""

    def __init__(self, store: Store, changes: int) -> None:
        self._store, self._left, self._lock = store, changes, threading.Lock()

    def __getattr__(self, name: str) -> object:
        method = getattr(self._store, name)
        if name not in ("create", "put", "delete", "publish", "discard", "discard_attempt"):
            return method

        def change(*arguments: object) -> object:
            with self._lock:
                self._left -= 1
                if self._left < 0:
                    raise Crash
            return method(*arguments)

        return change


def test_a_crash_at_any_step_after_the_commit_is_healed(place: Store) -> None:
    steps = 0
    while True:
        number = steps + 1
        lost = ready(place, replace(ONE, number=number, run_id="dead"), b"dead")
        claim = replace(ONE, number=number, attempt=2, run_id=f"run-{steps}")
        data = b"data %d" % steps
        commit = ready(place, claim, data)
        Ledger(place).quarantine(lost.claim, "x", "y")
        dying = Ledger(CrashingStore(place, steps))  # type: ignore[arg-type]
        try:
            assert dying.commit(commit)
            dying.publish(commit)
            break
        except Crash:
            healed = Ledger(place).roll_forward()
            assert healed == (1 if steps else 0)
        if steps == 0:  # nothing was committed yet
            assert Ledger(place).commit(commit)
            Ledger(place).publish(commit)
        assert_settled(place, data, number)
        steps += 1
    assert steps >= 7
    assert_settled(place, data, number)


def test_a_commit_whose_staging_was_lost_is_done_again(place: Store) -> None:
    commit = ready(place, ONE, b"lost")
    assert Ledger(place).commit(commit)
    for staged in commit.staged:
        place.discard(staged)
    assert Ledger(place).roll_forward() == 0
    void = Ledger(place).commits()[SHARD]
    assert void.voided
    assert void.number == 2
    assert Ledger(place).claims() == {}
    again = ready(place, replace(ONE, number=3, run_id="run-2"), b"again")
    assert Ledger(place).commit(again)
    Ledger(place).publish(again)
    assert_settled(place, b"again", 3)


def test_a_zombie_loses_and_harms_nothing(place: Store) -> None:
    zombie = ready(place, ONE, b"zombie")
    alive = ready(place, replace(ONE, attempt=2, run_id="run-2"), b"alive")
    assert Ledger(place).commit(alive)
    Ledger(place).publish(alive)
    assert not Ledger(place).commit(zombie)
    Ledger(place).fail(zombie.claim, "late", "woke up")
    assert Ledger(place).roll_forward() == 1
    assert_settled(place, b"alive", 1)


def test_what_is_done_is_not_claimed(place: Store) -> None:
    commit = ready(place, ONE, b"clean")
    assert Ledger(place).commit(commit)
    Ledger(place).publish(commit)
    late = replace(ONE, run_id="guest")
    assert not Ledger(place).claim(late)
    assert Ledger(place).claim(replace(late, number=2))


def test_a_zombie_that_wakes_after_the_settling_leaves_nothing_staged(
    place: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    zombie = replace(ONE, run_id="zombie")

    def look(key: str) -> None:
        """It looks whether the shard is done, sleeps, and claims only after another one did it all."""
        monkeypatch.undo()
        alive = ready(place, replace(ONE, attempt=2, run_id="run-2"), b"alive")
        assert Ledger(place).commit(alive)
        Ledger(place).publish(alive)

    monkeypatch.setattr(place, "stat", look)
    late = ready(place, zombie, b"zombie")
    assert not Ledger(place).commit(late)
    for staged in late.staged:
        with pytest.raises(StagedGone):
            place.publish(staged)
    assert_settled(place, b"alive", 1)


def test_a_zombie_on_an_older_scan_never_overwrites_a_newer(place: Store) -> None:
    zombie = ready(place, ONE, b"old scan")
    newer = ready(place, Claim(SHARD, 1, "work-b", 1, "run-2"), b"new scan")
    assert Ledger(place).commit(newer)
    Ledger(place).publish(newer)
    assert not Ledger(place).commit(zombie)
    with pytest.raises(StagedGone):
        Ledger(place).publish(zombie)
    assert_settled(place, b"new scan", 1)


def test_a_zombies_commit_is_published_by_the_one_it_beat(place: Store) -> None:
    alive = ready(place, replace(ONE, attempt=2, run_id="run-2"), b"alive")
    zombie = ready(place, ONE, b"zombie")
    assert Ledger(place).commit(zombie)  # and dies
    assert not Ledger(place).commit(alive)
    assert_settled(place, b"zombie", 1)


def test_a_zombies_late_publish_cannot_undo_the_next_commit(place: Store) -> None:
    zombie = ready(place, ONE, b"zombie")
    assert Ledger(place).commit(zombie)  # and sleeps, after our run's roll_forward
    following = ready(place, Claim(SHARD, 2, "work-b", 1, "run-2"), b"following")
    assert Ledger(place).commit(following)
    assert place.get(OUTPUT) == b"zombie"  # published first, so that nothing is left to publish
    Ledger(place).publish(following)
    with pytest.raises(StagedGone):
        Ledger(place).publish(zombie)
    assert_settled(place, b"following", 2)


def test_a_late_settling_leaves_claims_at_newer_numbers(place: Store) -> None:
    old = ready(place, ONE, b"old")
    assert Ledger(place).commit(old)
    for staged in old.staged:
        place.publish(staged)
    newer = Claim(SHARD, 2, "work-a", 1, "run-2")  # the same work again, after a detour
    assert Ledger(place).claim(newer)
    Ledger(place).publish(old)
    assert [one.number for one in Ledger(place).claims()[shard_id(SHARD), "work-a"]] == [2]


def test_a_scan_that_is_reverted_is_done_again(place: Store) -> None:
    for number, work in enumerate(("work-a", "work-b", "work-a"), 1):
        commit = ready(place, Claim(SHARD, number, work, 1, f"run-{number}"), b"%d" % number)
        assert Ledger(place).commit(commit)
        Ledger(place).publish(commit)
        assert_settled(place, b"%d" % number, number)


def test_overtaken_claims_are_cleared_away(place: Store) -> None:
    commit = ready(place, ONE, b"clean")
    assert Ledger(place).commit(commit)
    Ledger(place).publish(commit)
    Ledger(place).claim(Claim(SHARD, 1, "work-old", 1, "run-0"))
    Ledger(place).claim(Claim("other", 1, "work-x", 1, "run-0"))
    assert Ledger(place).roll_forward() == 0
    assert list(Ledger(place).claims()) == [(shard_id("other"), "work-x")]
