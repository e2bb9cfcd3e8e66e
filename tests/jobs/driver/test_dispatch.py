"""What the driver decides, without Ray: attempts, giving up, and what ends a run."""

from dataclasses import replace
from pathlib import Path

import pytest

from jobs.driver.dispatch import STORE_ERRORS_IN_A_ROW, UNSEEN_WEIGHT, Dispatch
from jobs.driver.outcome import CRASHED_BESIDE, Fatal, Outcome
from jobs.errors import StoreError
from jobs.ledger.ledger import Ledger
from jobs.ledger.plan import Shard, Task
from jobs.ledger.records import Claim, Commit, shard_id
from jobs.stores.base import ObjectInfo
from jobs.stores.open import open_store


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(open_store(str(tmp_path / "cleaned")))


def shard(name: str = "box.tar", size: int = 10) -> Shard:
    return Shard(name, "tar", (ObjectInfo(name, size, "v1"),))


def planned(ledger: Ledger, *shards: Shard, attempts: int = 3) -> Dispatch:
    dispatch = Dispatch(ledger, "run", attempts)
    numbers = {key: commit.number for key, commit in ledger.commits().items()}
    works = [(one, "work") for one in shards or (shard(),)]
    dispatch.plan(works, numbers, ledger.claims(), ledger.quarantined())
    return dispatch


def take(dispatch: Dispatch) -> Task:
    task = dispatch.next_task()
    assert task is not None
    return task


def commit(task: Task) -> Commit:
    return Commit(
        shard=task.shard.key, number=task.number, work=task.work, run_id=task.run_id, attempt=task.attempt,
        recipe="r", source=task.shard.objects, staged=(), members=1, pages=1, cleaned=1, passed_through=0,
        failed=0, bytes_in=1, bytes_out=1, pixels=1, damaged=None, committed_at="2026", host="h",
    )  # fmt: skip


def test_large_shards_come_first(ledger: Ledger) -> None:
    dispatch = planned(ledger, shard("a", 1), shard("b", 3), shard("c", 2))
    assert [take(dispatch).shard.key for _ in range(3)] == ["b", "c", "a"]
    assert dispatch.next_task() is None


def test_a_shard_that_kills_its_workers_is_tried_and_then_quarantined(ledger: Ledger) -> None:
    dispatch = planned(ledger)
    for attempt in (1, 2, 3):
        task = take(dispatch)
        assert task.attempt == attempt and ledger.claim(task.claim)
        dispatch.crashed(task, "worker_died", "it died")
    assert dispatch.next_task() is None
    assert dispatch.tally.quarantined == [("box.tar", "it died")]
    assert ledger.quarantined()[shard_id("box.tar"), "work"].attempts == 3


def test_seen_attempts_of_dead_runs_count(ledger: Ledger) -> None:
    first = planned(ledger)
    for _ in (1, 2):
        task = take(first)
        ledger.claim(task.claim)
        first.crashed(task, "worker_died", "it died")
    again = planned(ledger)
    task = take(again)
    assert task.attempt == 3
    ledger.claim(task.claim)
    again.crashed(task, "worker_died", "it died again")
    assert again.tally.quarantined
    assert not planned(ledger).waiting


def test_attempts_that_ended_with_their_driver_hardly_count(ledger: Ledger) -> None:
    for attempt in range(1, UNSEEN_WEIGHT * 3):
        task = take(planned(ledger))
        assert task.attempt == attempt
        ledger.claim(task.claim)
    assert planned(ledger).waiting == 1
    ledger.claim(take(planned(ledger)).claim)
    given_up = planned(ledger)
    assert not given_up.waiting and given_up.tally.quarantined[0][0] == "box.tar"


def test_a_worker_that_died_after_its_commit_has_done_its_work(ledger: Ledger) -> None:
    dispatch = planned(ledger)
    task = take(dispatch)
    ledger.claim(task.claim)
    assert ledger.commit(commit(task))
    dispatch.crashed(task, "worker_died", "it died")
    assert dispatch.tally.shards == dispatch.tally.pages == 1
    assert dispatch.next_task() is None and not ledger.claims()


def test_a_changed_source_is_left_for_the_next_run(ledger: Ledger) -> None:
    dispatch = planned(ledger)
    dispatch.finished(take(dispatch), Outcome("changed", code="source_changed", message="box.tar changed"))
    assert dispatch.tally.unfinished == [("box.tar", "box.tar changed")] and not dispatch.waiting


def test_storage_errors_are_retried_but_never_quarantined(ledger: Ledger) -> None:
    dispatch = planned(ledger)
    for _ in range(3):
        dispatch.finished(take(dispatch), Outcome("store", code="store_error", message="down"))
    assert dispatch.tally.unfinished == [("box.tar", "down")]
    assert not dispatch.tally.quarantined and not ledger.quarantined()
    assert planned(ledger).waiting == 1


def test_storage_errors_in_a_row_end_the_run(ledger: Ledger) -> None:
    dispatch = planned(ledger, *(shard(f"{n}.tar") for n in range(9)))
    for _ in range(STORE_ERRORS_IN_A_ROW - 1):
        dispatch.finished(take(dispatch), Outcome("store", code="store_error", message="down"))
    with pytest.raises(StoreError, match="down"):
        dispatch.finished(take(dispatch), Outcome("store", code="store_error", message="down"))


def test_what_no_shard_can_survive_ends_the_run_with_its_own_code(ledger: Ledger) -> None:
    dispatch = planned(ledger)
    with pytest.raises(Fatal, match="full") as raised:
        dispatch.finished(take(dispatch), Outcome("fatal", message="full", exit_code=2))
    assert raised.value.exit_code == 2


def test_a_retried_shard_has_a_fresh_count_and_new_attempts(ledger: Ledger) -> None:
    dispatch = planned(ledger)
    for _ in (1, 2, 3):
        task = take(dispatch)
        ledger.claim(task.claim)
        dispatch.crashed(task, "worker_died", "it died")
    assert planned(ledger).tally.quarantined and not planned(ledger).waiting
    ledger.retry_quarantined()
    again = planned(ledger)
    for attempt in (4, 5, 6):
        task = take(again)
        assert task.attempt == attempt and ledger.claim(task.claim)
        again.crashed(task, "worker_died", "it died again")
    assert again.tally.quarantined == [("box.tar", "it died again")]
    assert ledger.quarantined()[shard_id("box.tar"), "work"].retried is False
    assert not planned(ledger).waiting


def test_a_neighbour_of_what_kills_workers_is_never_quarantined(ledger: Ledger) -> None:
    for most in (1, 3):
        dispatch = planned(ledger, shard(f"{most}-bad"), shard(f"{most}-good"), attempts=most)
        tasks = [take(dispatch), take(dispatch)]
        for task in tasks:
            ledger.claim(task.claim)
            dispatch.crashed(task, CRASHED_BESIDE, "it died")
        bad, good = sorted((take(dispatch), take(dispatch)), key=lambda task: task.shard.key)
        assert bad.alone and good.alone and not dispatch.tally.quarantined
        dispatch.finished(good, Outcome("done", commit(good)))
        for attempts in range(2, most + 2):
            ledger.claim(bad.claim)
            dispatch.crashed(bad, "worker_died", "it died alone")
            if attempts >= max(2, most):
                break
            bad = take(dispatch)
        assert dispatch.tally.quarantined == [(f"{most}-bad", "it died alone")]
        assert bad.attempt == max(2, most) and not dispatch.waiting


def test_what_may_kill_workers_is_tried_alone_by_the_next_run_too(ledger: Ledger) -> None:
    dispatch = planned(ledger, attempts=1)
    task = take(dispatch)
    ledger.claim(task.claim)
    dispatch.crashed(task, CRASHED_BESIDE, "it died")
    again = take(planned(ledger, attempts=1))
    assert again.alone and again.attempt == 2
    assert not take(planned(ledger, shard("other.tar"))).alone


def test_a_released_attempt_counts_for_nothing(ledger: Ledger) -> None:
    for attempt in range(1, UNSEEN_WEIGHT * 4):
        dispatch = planned(ledger, attempts=1)
        task = take(dispatch)
        assert task.attempt == attempt
        ledger.claim(task.claim)
        dispatch.released(task)


def test_too_many_failed_pages_are_an_attempt_that_counts(ledger: Ledger) -> None:
    dispatch = planned(ledger, attempts=1)
    dispatch.finished(take(dispatch), Outcome("failed", code="too_many_failed", message="12 of 12 failed"))
    assert dispatch.tally.quarantined == [("box.tar", "12 of 12 failed")]


def test_a_shard_that_a_living_run_is_at_is_left_to_it(ledger: Ledger) -> None:
    assert ledger.claim(Claim("box.tar", 1, "work", 1, "other"))
    busy = {(shard_id("box.tar"), "work")}
    dispatch = Dispatch(ledger, "run", 3, lambda: busy)
    works = [(shard(), "work"), (shard("free.tar"), "work")]
    dispatch.plan(works, {}, ledger.claims(), {})
    assert dispatch.elsewhere == ("box.tar",)
    assert take(dispatch).shard.key == "free.tar" and dispatch.waiting == 0
    dispatch.revisit()
    assert dispatch.elsewhere == ("box.tar",) and dispatch.waiting == 0
    busy.clear()  # the other run died
    dispatch.revisit()
    assert dispatch.elsewhere == () and take(dispatch).attempt == 2


def test_a_shard_that_another_run_was_faster_at_is_no_loss(ledger: Ledger) -> None:
    dispatch = planned(ledger, shard("a", 3), shard("b", 2), shard("c", 1))
    a, b, c = (take(dispatch) for _ in range(3))
    for task in (a, b, c):
        dispatch.finished(task, Outcome("lost"))
    for task, work in ((a, "work"), (b, "newer")):
        assert ledger.claim(replace(task.claim, work=work, run_id="other"))
        assert ledger.commit(replace(commit(task), work=work, run_id="other"))
    dispatch.revisit()
    assert dispatch.tally.by_others == 1
    assert [key for key, _ in dispatch.tally.unfinished] == ["b"], "another version of it is committed"
    assert take(dispatch).shard.key == "c" and dispatch.waiting == 0
