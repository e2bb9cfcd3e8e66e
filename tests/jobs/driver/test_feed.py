"""What the loop does with workers that work, die, hang and are told to stop; Ray is played here.

The real Ray stands behind tests/jobs/cli/test_clean.py and tests/jobs/cli/test_main.py; here every order
of events can be had.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import ActorUnschedulableError, RayActorError

from jobs.driver import feed
from jobs.driver.dispatch import Dispatch
from jobs.driver.feed import Feed, RemoteWorker
from jobs.driver.outcome import Outcome
from jobs.driver.stop import Stop
from jobs.driver.worker import Sight
from jobs.errors import Interrupted, PumiceError
from jobs.ledger.ledger import Ledger
from jobs.ledger.plan import Task
from jobs.ledger.records import shard_id
from jobs.shard.meter import Progress
from jobs.stores.local import LocalStore
from tests.jobs.driver.test_dispatch import commit, shard


class Ref:
    """An answer that is there, or comes when the actor dies."""

    def __init__(self, value: object = None) -> None:
        self.value = value


class Actor:
    """A worker that does with a task what `fate` says: an Outcome, None to hang, an error to die."""

    def __init__(self, fate: Callable[[Task, "Actor"], object]) -> None:
        self.open: dict[Ref, Task] = {}
        self.seen: list[tuple[str, int, int]] = []
        self.tasks: list[Task] = []
        self._fate = fate
        self.look = self.clean = self

    def remote(self, task: Task | None = None) -> Ref:
        if task is None:
            attempts = {(one.shard.key, one.attempt): Progress() for one in self.open.values()}
            return Ref(Sight(Progress(), attempts))
        ref = Ref()
        self.open[ref] = task
        self.tasks.append(task)
        self.seen.append((task.shard.key, task.attempt, len(self.open)))
        ref.value = self._fate(task, self)
        if isinstance(ref.value, RayActorError):
            self.die()
        return ref

    def die(self) -> None:
        for ref in self.open:
            ref.value = RayActorError()


class PlayedRay:
    """As much of Ray as the loop uses."""

    def __init__(self, actors: Sequence[Actor]) -> None:
        self._actors = actors
        self.kills = 0
        self.dismissed: list[Actor] = []

    def wait(self, refs: list[Ref], num_returns: int, timeout: float) -> tuple[list[Ref], list[Ref]]:
        ready = [ref for ref in refs if ref.value is not None]
        return ready[:num_returns], ready[num_returns:]

    def get(self, ref: Ref) -> object:
        for actor in self._actors:
            actor.open.pop(ref, None)
        if isinstance(ref.value, RayActorError | ActorUnschedulableError):
            raise ref.value
        return ref.value

    def kill(self, actor: Actor, no_restart: bool) -> None:
        if no_restart:
            assert not actor.open, "it had something in work"
            self.dismissed.append(actor)
        else:
            self.kills += 1
            actor.die()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(LocalStore(tmp_path / "cleaned"))


def done(task: Task) -> Outcome:
    return Outcome("done", commit(task))


class Noting(Dispatch):
    """Notes which attempts are done."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger, "run", 3)
        self.done: list[tuple[str, int]] = []

    def finished(self, task: Task, outcome: Outcome) -> None:
        super().finished(task, outcome)
        self.done += [(task.shard.key, task.attempt)] if outcome.kind == "done" else []


class Game:
    """A loop over some shards and its end."""

    def __init__(
        self,
        ledger: Ledger,
        patch: pytest.MonkeyPatch,
        fate: Callable[[Task, Actor], object],
        names: str,
        timeout_s: float = 1000,
    ) -> None:
        self.dispatch = Noting(ledger)
        self.dispatch.plan(
            [(shard(name), "work") for name in names], {}, ledger.claims(), ledger.quarantined()
        )
        self.actor = Actor(self._claiming(ledger, fate))
        self.other = Actor(self._claiming(ledger, fate))
        self.ray = PlayedRay([self.actor, self.other])
        self.stop = Stop()
        patch.setattr(feed, "ray", self.ray)
        patch.setattr(feed, "POLL_S", 0.01)
        self.worker = RemoteWorker(self.actor)
        self.workers = [self.worker]
        self.feed = Feed(self.workers, self.dispatch, self._watch, self.stop, timeout_s)
        self.loops = 0
        self.stop_at = self.drain_at = -1
        self.progress: list[Progress] = []

    def _claiming(self, ledger: Ledger, fate: Callable[[Task, Actor], object]) -> Any:
        def claim(task: Task, actor: Actor) -> object:
            ledger.claim(task.claim)
            return fate(task, actor)

        return claim

    def _watch(self, progress: Progress) -> None:
        self.loops += 1
        self.progress.append(progress)
        if self.loops == self.stop_at:
            self.stop.ask()
        if self.loops == self.drain_at:  # as a look at the cluster would, which also finds another machine
            self.worker.leaving = self.worker.drained = True
            self.workers.append(RemoteWorker(self.other))


def test_all_is_done_with_two_in_flight(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    game = Game(ledger, monkeypatch, lambda task, _: done(task), "abcde")
    game.feed.run()
    assert sorted(name for name, _ in game.dispatch.done) == list("abcde")
    assert max(count for _, _, count in game.actor.seen) == 2


def test_what_is_in_work_is_told(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def fate(task: Task, actor: Actor) -> object:
        return None if (task.shard.key, task.attempt) == ("b", 1) else done(task)

    game = Game(ledger, monkeypatch, fate, "abc", timeout_s=0.2)
    game.worker._latest = Progress(pages=7, to_clean=3)
    game.feed.run()
    told = [one.in_flight for one in game.progress]
    assert told[0] == 0 and set(told) == {0, 1}, "b hangs alone once a and c have ended"
    assert {(one.pages, one.to_clean) for one in game.progress} == {(7, 0)}, "it was restarted"


def test_what_may_kill_a_worker_is_tried_alone(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def fate(task: Task, actor: Actor) -> object:
        return RayActorError() if task.shard.key == "b" else done(task) if len(actor.open) == 1 else None

    game = Game(ledger, monkeypatch, fate, "ab")
    monkeypatch.setattr(
        game.actor, "_fate", game._claiming(ledger, lambda t, a: fate(t, a) if t.alone else _pair(t))
    )
    game.feed.run()
    assert [name for name, _ in game.dispatch.done] == ["a"]
    assert [name for name, _ in game.dispatch.tally.quarantined] == ["b"]
    assert all(count == 1 for _, attempt, count in game.actor.seen if attempt > 1)
    codes = [state.failure.code for state in ledger.claims()[shard_id("b"), "work"] if state.failure]
    assert codes == ["worker_died_beside_others", "worker_died", "worker_died"]


def _pair(task: Task) -> object:
    """The first hangs until the second one kills the worker."""
    return None if task.shard.key == "a" else RayActorError()


def test_a_worker_whose_shard_makes_no_progress_is_killed(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    game = Game(ledger, monkeypatch, lambda task, _: done(task) if task.attempt > 1 else None, "a", 0.2)
    game.feed.run()
    assert game.ray.kills == 1
    assert game.dispatch.done == [("a", 2)]


def test_a_worker_that_is_to_leave_ends_what_it_has_and_goes(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    game = Game(ledger, monkeypatch, lambda task, _: done(task), "abcdef")
    game.worker._latest = Progress(pages=7)
    game.drain_at = 2
    game.feed.run()
    assert len(game.dispatch.done) == 6
    assert game.ray.dismissed == [game.actor] and game.worker not in game.workers
    begun = {name for name, *_ in game.actor.seen}
    assert 0 < len(begun) < 6 and {name for name, *_ in game.other.seen} == set("abcdef") - begun
    assert {progress.pages for progress in game.progress} == {7}, "what it did stays counted"


def test_what_goes_with_a_machine_that_is_taken_away_counts_for_nothing(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fate(task: Task, actor: Actor) -> object:
        return done(task) if task.attempt > 1 else None

    game = Game(ledger, monkeypatch, fate, "ab")
    game.drain_at = 2

    def watch(progress: Progress) -> None:
        game._watch(progress)
        if game.loops == game.drain_at + 1:
            for ref in game.actor.open:
                ref.value = ActorUnschedulableError("its node is dead")

    monkeypatch.setattr(game.feed, "_watch", watch)
    monkeypatch.setattr(game.dispatch, "_max_attempts", 1)
    game.feed.run()
    assert sorted(game.dispatch.done) == [("a", 2), ("b", 2)]
    assert not any(task.alone for task in game.other.tasks)
    states = [state for states in ledger.claims().values() for state in states if state.failure]
    assert [state.failure and state.failure.message for state in states] == [
        "Its machine was taken away."
    ] * 2
    assert {state.failure and state.failure.code for state in states} == {"released"}


def test_a_run_without_any_worker_ends_in_a_sentence(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    game = Game(ledger, monkeypatch, lambda task, _: done(task), "a")
    game.workers.clear()
    monkeypatch.setattr(feed, "START_S", 0.1)
    with pytest.raises(PumiceError, match=r"No worker could be placed within 0\.1 s"):
        game.feed.run()
    assert game.loops and not ledger.claims()


def test_told_to_stop_nothing_new_begins_and_what_is_in_work_ends(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    game = Game(ledger, monkeypatch, lambda task, _: done(task), "abcdef")
    game.stop_at = 2
    with pytest.raises(Interrupted):
        game.feed.run()
    assert 2 <= len(game.dispatch.done) == len(game.actor.seen) < 6


def test_what_does_not_end_in_time_is_released(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    game = Game(ledger, monkeypatch, lambda task, _: None, "abc")
    monkeypatch.setattr("jobs.driver.stop.GRACE_S", 0.05)
    game.stop_at = 2
    with pytest.raises(Interrupted):
        game.feed.run()
    states = [state for states in ledger.claims().values() for state in states]
    assert [state.failure and state.failure.code for state in states] == ["released", "released"]


def test_a_second_signal_ends_the_waiting() -> None:
    stop = Stop()
    assert not stop.asked and not stop.due
    stop.ask()
    assert stop.asked and not stop.due
    stop.ask()
    assert stop.due
