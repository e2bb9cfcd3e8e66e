"""Workers that live by a simulated clock, in place of Ray and its actors.

What a real worker asks of the store, a simulated one asks by the real `Ledger` and at the same moment: the
claim when an attempt begins, the commit and what follows when it ends. Only the cleaning is left out.
"""

import hashlib
import heapq
import math
import random
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import cast

from jobs.driver.dispatch import Dispatch
from jobs.driver.feed import SHARDS_IN_FLIGHT, Watch
from jobs.driver.outcome import CRASHED_BESIDE, STORE_ERROR, Outcome
from jobs.ledger.ledger import Ledger
from jobs.ledger.plan import Shard, Task
from jobs.ledger.records import Commit, rows_key
from jobs.shard.meter import Progress
from jobs.stores.base import ObjectInfo, Staged, Store
from scripts.scale.store import CountingStore

SECONDS = 60.0
"""How long a shard takes on average; some shards take several times as long."""
TICK_S = 0.5
"""The driver hears at once of all attempts that end within this time, as in the feed's loop."""


@dataclass(frozen=True)
class Fates:
    """How often things go wrong.

    Attributes:
        fails: the share of attempts that end with an error.
        breaks: the share of attempts that end with an error of the storage.
        dies: the share of attempts whose worker dies, and with it the other shard that it has in work.
        deadly: the share of shards that kill every worker that tries them.
    """

    fails: float = 0.002
    breaks: float = 0.001
    dies: float = 0.0005
    deadly: float = 0.00005


def shard(number: int) -> Shard:
    """The n-th archive of the simulated source."""
    key = f"{number // 1000:04d}/box-{number:07d}.tar"
    version = hashlib.sha256(key.encode()).hexdigest()[:32]
    return Shard(key, "tar", (ObjectInfo(key, 10**8 + number, version),))


def commit_of(task: Task, staged: tuple[Staged, ...] = ()) -> Commit:
    """The commit of a worker that cleaned a hundred pages."""
    shard = task.shard
    return Commit(
        shard=shard.key, number=task.number, work=task.work, run_id=task.run_id, attempt=task.attempt,
        recipe="0123456789abcdef", source=shard.objects, staged=staged, members=100, pages=100, cleaned=100,
        passed_through=0, failed=0, bytes_in=shard.size, bytes_out=shard.size, pixels=870_000_000,
        damaged=None, committed_at="2026-11-23T00:00:00+00:00", host="worker-0123456789",
    )  # fmt: skip


@dataclass
class _Flight:
    worker: int
    task: Task
    fate: str
    over: bool = False


class Fleet:
    """Simulated workers and their clock.

    Attributes:
        clock: simulated seconds so far.
        attempts: how many attempts have begun.
        cpu_s: CPU seconds that the workers' part of the simulation took.
    """

    def __init__(self, store: CountingStore, workers: int, fates: Fates) -> None:
        self.clock = self.cpu_s = 0.0
        self.attempts = 0
        self._store, self._fates = store, fates
        self._ledger = Ledger(cast(Store, store))
        self._random = random.Random(0)
        self._places = deque(number for _ in range(SHARDS_IN_FLIGHT) for number in range(workers))
        self._at: list[list[_Flight]] = [[] for _ in range(workers)]
        self._ends: list[tuple[float, int, _Flight]] = []
        self._waiting: Task | None = None

    def run(self, dispatch: Dispatch, watch: Watch) -> None:
        """Work off the queue, as `jobs.driver.feed` does; raises what `dispatch` and `watch` raise."""
        while (begun := self._fill(dispatch)) or self._ends:
            before, self._store.caller = time.process_time(), "workers"
            for flight in begun:
                self._begin(flight)
            ended = self._step()
            self.cpu_s += time.process_time() - before
            self._store.caller = "driver"
            deaths = Counter(flight.worker for flight, outcome in ended if outcome is None)
            for flight, outcome in ended:
                self._at[flight.worker].remove(flight)
                self._places.append(flight.worker)
                if outcome is not None:
                    dispatch.finished(flight.task, outcome)
                else:
                    code = "worker_died" if deaths[flight.worker] == 1 else CRASHED_BESIDE
                    dispatch.crashed(flight.task, code, "the worker died")
            dispatch.tally.take_seconds()  # as the publisher of metrics does
            watch(Progress())

    def _fill(self, dispatch: Dispatch) -> list[_Flight]:
        """Give every free place an attempt; one that may kill its worker gets a worker of its own."""
        begun = []
        for _ in range(len(self._places)):
            self._waiting = self._waiting or dispatch.next_task()
            if self._waiting is None:
                break
            worker = self._places.popleft()
            flights = self._at[worker]
            if any(flight.task.alone for flight in flights) or (self._waiting.alone and flights):
                self._places.append(worker)
                continue
            begun.append(_Flight(worker, self._waiting, self._fate(self._waiting)))
            flights.append(begun[-1])
            self._waiting = None
        return begun

    def _begin(self, flight: _Flight) -> None:
        self.attempts += 1
        assert self._ledger.claim(flight.task.claim)
        end = self.clock + self._random.expovariate(1 / SECONDS)
        heapq.heappush(self._ends, (end, self.attempts, flight))

    def _step(self) -> list[tuple[_Flight, Outcome | None]]:
        """Let time pass until attempts end; an attempt without an outcome has lost its worker."""
        ended: list[tuple[_Flight, Outcome | None]] = []
        until = math.inf
        while self._ends and self._ends[0][0] <= until:
            at, _, flight = heapq.heappop(self._ends)
            if not flight.over:
                self.clock, until = at, min(until, at + TICK_S)
                dies = flight.fate == "dies"
                for one in [one for one in self._at[flight.worker] if not one.over] if dies else [flight]:
                    one.over = True
                    ended.append((one, None if dies else self._outcome(one)))
        return ended

    def _fate(self, task: Task) -> str:
        digest = hashlib.sha256(task.shard.key.encode()).digest()
        if int.from_bytes(digest[:4], "big") < self._fates.deadly * 2**32:
            return "dies"
        drawn = self._random.random()
        for name in ("fails", "breaks", "dies"):
            drawn -= getattr(self._fates, name)
            if drawn < 0:
                return name
        return "works"

    def _outcome(self, flight: _Flight) -> Outcome:
        if flight.fate == "fails":
            return Outcome("failed", code="ValueError", message="ValueError: the shard is odd")
        if flight.fate == "breaks":
            return Outcome("store", code=STORE_ERROR, message="the store broke")
        task, attempt = flight.task, flight.task.claim.id
        keys = (task.shard.key, rows_key(task.shard.key))
        commit = commit_of(task, tuple(self._store.stage(key, attempt, b"data") for key in keys))
        assert self._ledger.commit(commit)
        self._ledger.publish(commit)
        return Outcome("done", commit)
