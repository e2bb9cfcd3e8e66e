"""What the feed's own loop costs: on real Ray with a few cleaners, and with many that are played.

The played ones answer at the pace of a fleet whose shards take a minute, by a clock that runs while the loop
works and jumps while it waits; asking one of them takes what asking a real one took.
"""

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast
from unittest.mock import patch

import ray

from jobs.driver import feed
from jobs.driver.dispatch import Dispatch
from jobs.driver.feed import SHARDS_IN_FLIGHT, Cleaner, Feed
from jobs.driver.outcome import Outcome
from jobs.driver.stop import Stop
from jobs.driver.worker import Sight
from jobs.errors import Interrupted
from jobs.ledger.ledger import Ledger
from jobs.ledger.plan import Task
from jobs.shard.meter import Progress
from jobs.stores.base import Store
from scripts.scale.fleet import SECONDS, commit_of
from scripts.scale.ledger import shard
from scripts.scale.store import MemoryStore

TIMEOUT_S = 1e6


@dataclass(frozen=True)
class RealLoop:
    """The loop on real Ray: shards/s, and the seconds of its thread that a shard and a question took."""

    actors: int
    shards_s: float
    shard_s: float
    look_s: float


@dataclass(frozen=True)
class PlayedLoop:
    """The loop with played cleaners: the shards/s that end, those that should, its thread's busy share."""

    actors: int
    shards_s: float
    wanted_s: float
    busy: float


class NoOp:
    """A cleaner that has nothing to do."""

    def look(self) -> Sight:
        """As a worker that did nothing."""
        return Sight()

    def clean(self, task: Task) -> Outcome:
        """As a worker that was done at once."""
        return Outcome("done", commit_of(task, ()))


def measure_real(actors: int, shards: int, questions: int) -> RealLoop:
    """Hand shards out to actors of a Ray that is started here."""
    ray.init("local", num_cpus=2, include_dashboard=False, object_store_memory=80 << 20, log_to_driver=False)
    try:
        actor = ray.remote(NoOp).options(num_cpus=0.1, max_concurrency=SHARDS_IN_FLIGHT + 1)
        handles: list[Any] = [actor.remote() for _ in range(actors)]
        ray.get([handle.look.remote() for handle in handles])
        begun = time.thread_time()
        for _ in range(questions):
            ray.get([handle.look.remote() for handle in handles])
        look_s = (time.thread_time() - begun) / questions / actors
        dispatch = _dispatch(shards)
        begun, wall = time.thread_time(), time.monotonic()
        Feed([Cleaner(one) for one in handles], dispatch, lambda _: None, Stop(), TIMEOUT_S).run()
        assert dispatch.tally.shards == shards
        return RealLoop(
            actors, shards / (time.monotonic() - wall), (time.thread_time() - begun) / shards, look_s
        )
    finally:
        ray.shutdown()


def _dispatch(shards: int) -> Dispatch:
    dispatch = Dispatch(Ledger(cast(Store, MemoryStore())), "run", 3)
    dispatch.plan(((shard(number), "0" * 32) for number in range(shards)), {}, {}, {})
    return dispatch


class _Ref:
    """An answer, and when it is there."""

    def __init__(self, value: object, at: float) -> None:
        self.value, self.at = value, at


class _Played:
    """As much of Ray, of an actor and of `time` as the loop uses."""

    def __init__(self, actors: int, look_s: float) -> None:
        self._look_s, self._skipped = look_s, time.monotonic() - time.thread_time()
        self._first = self._flights = actors * SHARDS_IN_FLIGHT
        self.look = self.clean = self
        self.ended: list[float] = []

    def monotonic(self) -> float:
        """The time: of this thread's CPU, and what was waited."""
        return time.thread_time() + self._skipped

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self._skipped += seconds

    def remote(self, task: Task | None = None) -> _Ref:
        """Ask a cleaner how it goes, or to clean."""
        if task is None:
            until = time.thread_time() + self._look_s
            while time.thread_time() < until:
                pass
            return _Ref(Sight(), self.monotonic())
        if self._first:  # as if they had been begun one after the other
            self._first -= 1
        share = 1 - self._first / self._flights
        return _Ref(Outcome("lost"), self.monotonic() + SECONDS * share)

    def wait(self, refs: list[_Ref], num_returns: int, timeout: float) -> tuple[list[_Ref], list[_Ref]]:
        """Wait until so many answers are there, or for so long."""
        ready = [ref for ref in refs if ref.at <= self.monotonic()]
        if not ready and timeout:
            soonest = min(ref.at for ref in refs) - self.monotonic()
            self.sleep(max(0.0, min(timeout, soonest)))
            ready = [ref for ref in refs if ref.at <= self.monotonic()]
        return ready[:num_returns], ready[num_returns:]

    def get(self, ref: _Ref) -> object:
        """An answer that is there."""
        if isinstance(ref.value, Outcome):
            self.ended.append(self.monotonic())
        return ref.value


def measure_played(actors: int, ends: int, look_s: float) -> PlayedLoop:
    """Let a fleet's loop take so many ends, once it is full.

    Args:
        actors: of the fleet.
        ends: of attempts.
        look_s: seconds that a question to an actor takes.
    """
    played = _Played(actors, look_s)
    begun = list[tuple[float, float, int]]()

    def watch(progress: Progress) -> None:
        if not begun and progress.in_flight >= 0.9 * actors * SHARDS_IN_FLIGHT:
            begun.append((played.monotonic(), time.thread_time(), len(played.ended)))
        if begun and len(played.ended) >= begun[0][2] + ends:
            raise Interrupted("enough was seen")

    dispatch = _dispatch(actors * SHARDS_IN_FLIGHT + 2 * ends)
    with patch.object(feed, "ray", played), patch.object(feed, "time", played), suppress(Interrupted):
        Feed([Cleaner(played) for _ in range(actors)], dispatch, watch, Stop(), TIMEOUT_S).run()
    at, cpu, before = begun[0]
    seconds, count = played.monotonic() - at, len(played.ended) - before
    wanted = actors * SHARDS_IN_FLIGHT / SECONDS
    return PlayedLoop(actors, count / seconds, wanted, (time.thread_time() - cpu) / seconds)
