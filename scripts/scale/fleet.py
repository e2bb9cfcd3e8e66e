"""The world around a driver, in a process of its own: the store, and cleaners that live by a simulated clock.

What a worker asks of the store it asks by the real `Ledger`, when it would: the claim as an attempt begins,
the commit and what follows as it ends. Only cleaning is left out.
"""

import hashlib
import heapq
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from jobs.driver.outcome import STORE_ERROR, Outcome
from jobs.ledger.ledger import Ledger
from jobs.ledger.plan import Task
from jobs.ledger.records import Claim, Commit, rows_key
from jobs.stores.base import Staged
from scripts.scale.store import MemoryStore, Request

SECONDS = 60.0
"""How long a shard takes on average; log-normal, so that some take several times as long."""
SPREAD = 0.6
TICK_S = 0.5
"""What ends within so long is heard of at once, as in the feed's loop."""
RECIPE = "0123456789abcdef"
SOURCE = "the source"
"""The folder that reading the source is counted under."""


@dataclass(frozen=True)
class Fates:
    """How often things go wrong.

    Attributes:
        fails: attempts that end with an error, as a share.
        breaks: attempts that end with an error of the storage.
        dies: attempts whose worker dies, and with it whatever else it has in work.
        deadly: shards that kill every worker that tries them.
    """

    fails: float = 0.002
    breaks: float = 0.001
    dies: float = 0.0005
    deadly: float = 0.00005


@dataclass(frozen=True)
class End:
    """An attempt that ended on a cleaner; without an outcome, the cleaner died over it."""

    cleaner: int
    task: Task
    outcome: Outcome | None


@dataclass
class _Flight:
    cleaner: int
    task: Task
    fate: str
    over: bool = False


@dataclass
class World:
    """A store and a fleet; `step` is all that drives the clock."""

    fates: Fates
    rows: bytes
    store: MemoryStore = field(default_factory=MemoryStore)
    clock: float = 0.0
    attempts: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(0)
        self._ends: list[tuple[float, int, _Flight]] = []
        self._at: dict[int, list[_Flight]] = {}
        self._ledger = Ledger(self.store)

    def step(self, begun: Sequence[tuple[int, Task]]) -> list[End]:
        """Begin attempts on cleaners, then let time pass until some end."""
        ended = [end for cleaner, task in begun if (end := self._begin(cleaner, task)) is not None]
        until = self.clock if ended else math.inf
        while self._ends and self._ends[0][0] <= until:
            at, _, flight = heapq.heappop(self._ends)
            if not flight.over:
                self.clock = at
                until = min(until, at + TICK_S)
                ended += self._end(flight)
        return ended

    def _begin(self, cleaner: int, task: Task) -> End | None:
        self.attempts += 1
        if not self._ledger.claim(_claim(task)):
            return End(cleaner, task, Outcome("lost"))
        seconds = self._random.lognormvariate(math.log(SECONDS) - SPREAD**2 / 2, SPREAD)
        flight = _Flight(cleaner, task, self._fate(task))
        self._at.setdefault(cleaner, []).append(flight)
        heapq.heappush(self._ends, (self.clock + seconds, self.attempts, flight))
        return None

    def _fate(self, task: Task) -> str:
        digest = hashlib.sha256(task.shard.key.encode()).digest()
        if int.from_bytes(digest[:4], "big") < self.fates.deadly * 2**32:
            return "dies"
        drawn = self._random.random()
        for name in ("fails", "breaks", "dies"):
            drawn -= getattr(self.fates, name)
            if drawn < 0:
                return name
        return "works"

    def _end(self, flight: _Flight) -> list[End]:
        flights = self._at[flight.cleaner]
        if flight.fate == "dies":
            self._at[flight.cleaner] = []
            for one in flights:
                one.over = True
            return [End(one.cleaner, one.task, None) for one in flights]
        flights.remove(flight)
        return [End(flight.cleaner, flight.task, self._outcome(flight))]

    def _outcome(self, flight: _Flight) -> Outcome:
        self.store.count("GetObject", SOURCE)
        if flight.fate == "fails":
            return Outcome("failed", code="ValueError", message="ValueError: the shard is odd")
        if flight.fate == "breaks":
            return Outcome("store", code=STORE_ERROR, message="the store broke")
        commit = commit_of(flight.task, self._stage(flight.task))
        if not self._ledger.commit(commit):
            return Outcome("lost")
        self._ledger.publish(commit)
        return Outcome("done", commit)

    def _stage(self, task: Task) -> tuple[Staged, ...]:
        staged = []
        for key, data in ((task.shard.key, b"cleaned"), (rows_key(task.shard.key), self.rows)):
            upload = self.store.stage(key, _claim(task).id)
            upload.write(data)
            staged.append(upload.finish())
        return tuple(staged)


def commit_of(task: Task, staged: tuple[Staged, ...]) -> Commit:
    """What a worker commits that cleaned a hundred pages."""
    shard = task.shard
    return Commit(
        shard=shard.key, number=task.number, work=task.work, run_id=task.run_id, attempt=task.attempt,
        recipe=RECIPE, source=shard.objects, staged=staged, members=100, pages=100, cleaned=100,
        passed_through=0, failed=0, bytes_in=shard.size, bytes_out=shard.size, pixels=870_000_000,
        damaged=None, committed_at="2026-11-23T00:00:00+00:00", host="worker-0123456789",
    )  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """What a world has seen: simulated seconds, attempts, requests by caller, operation and folder."""

    seconds: float
    attempts: int
    requests: dict[Request, int]


def serve(connection: Connection, world: World) -> None:
    """Answer a driver in another process until it hangs up."""
    while True:
        try:
            name, given = connection.recv()
        except EOFError:
            return
        connection.send(_answer(world, name, given))


def _answer(world: World, name: str, given: tuple[Any, ...]) -> object:
    if name == "step":
        return world.step(*given)
    if name == "facts":
        return Facts(world.clock, world.attempts, dict(world.store.requests))
    world.store.caller = "driver"
    answer = getattr(world.store, name)(*given)
    world.store.caller = "workers"
    return list(answer) if name == "list" else answer


def _claim(task: Task) -> Claim:
    return Claim(task.shard.key, task.number, task.work, task.attempt, task.run_id)
