"""How busy the driver's loop is on a real Ray whose workers only wait.

One actor answers for all workers, so that a large fleet fits on a small machine. The loop makes the same
calls to Ray as for a fleet of processes.
"""

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import ray

from jobs.driver.dispatch import Dispatch
from jobs.driver.feed import SHARDS_IN_FLIGHT, Feed, RemoteWorker
from jobs.driver.outcome import Outcome
from jobs.driver.stop import Stop
from jobs.driver.worker import Sight
from jobs.errors import Interrupted
from jobs.ledger.ledger import Ledger
from jobs.ledger.plan import Task
from jobs.shard.meter import Progress
from jobs.stores.base import Store
from scripts.scale.fleet import SECONDS, commit_of, shard
from scripts.scale.store import CountingStore

WATCHED_S = 20.0


@dataclass(frozen=True)
class Loop:
    """The loop with a fleet: shards/s that the fleet can do, shards/s done, the busy share of the thread."""

    workers: int
    wanted_s: float
    shards_s: float
    busy: float


class Idle:
    """A worker that takes as long as a real one and does nothing."""

    async def look(self) -> Sight:
        """Answer as a worker that has done nothing."""
        return Sight()

    async def clean(self, task: Task) -> Outcome:
        """Wait; ends come at a steady rate from the start."""
        await asyncio.sleep(random.expovariate(1 / SECONDS))
        return Outcome("done", commit_of(task))


def measure(fleets: tuple[int, ...]) -> list[Loop]:
    """Measure fleets of these sizes, on a Ray that is started here."""
    ray.init("local", num_cpus=2, include_dashboard=False, object_store_memory=80 << 20, log_to_driver=False)
    try:
        return [_measure(workers) for workers in fleets]
    finally:
        ray.shutdown()


def _measure(workers: int) -> Loop:
    flights = workers * SHARDS_IN_FLIGHT
    actor: Any = ray.remote(Idle).options(num_cpus=1, max_concurrency=4 * flights).remote()
    dispatch = Dispatch(Ledger(cast(Store, CountingStore())), "run", 3)
    works = ((shard(number), "0" * 32) for number in range(flights + int(flights * WATCHED_S)))
    dispatch.plan(works, {}, {}, {})
    seen = list[tuple[float, float, int]]()

    def watch(progress: Progress) -> None:
        now = time.monotonic(), time.thread_time(), dispatch.tally.shards
        if not seen and progress.in_flight >= 0.9 * flights:
            seen.append(now)
        if seen and now[0] - seen[0][0] >= WATCHED_S:
            seen.append(now)
            raise Interrupted("enough was seen")

    with suppress(Interrupted):
        Feed([RemoteWorker(actor) for _ in range(workers)], dispatch, watch, Stop(), 10 * SECONDS).run()
    ray.kill(actor)
    wall, cpu, shards = (end - begin for begin, end in zip(seen[0], seen[-1], strict=True))
    return Loop(workers, flights / SECONDS, shards / wall, cpu / wall)
