"""One simulated run: the real driver with a simulated fleet and store, and what the run costs the driver."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast
from unittest.mock import patch

from jobs.config import CleanOptions, Recipe
from jobs.driver import compactor
from jobs.driver import run as runs
from jobs.driver.dispatch import Dispatch
from jobs.driver.feed import Watch
from jobs.driver.job import Job, RunSummary
from jobs.driver.run import Silent
from jobs.ledger.ledger import Ledger
from jobs.ledger.plan import Plan
from jobs.stores.base import READERS, ObjectInfo, Store
from scripts.scale.fleet import Fates, Fleet, shard
from scripts.scale.store import CountingStore, Request

LATENCY_S = 0.1
"""How long a request takes: AWS says that small objects take 0.1 to 0.2 s, in
https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html"""


@dataclass(frozen=True)
class Figures:
    """What a simulated run came to. Seconds are CPU seconds of the driver unless said otherwise.

    Attributes:
        shards, workers: what was simulated.
        plan_s: until the first attempt begins.
        loop_s: until the last attempt has ended, without compactions.
        again_s: a second run, which finds nothing to do.
        compactions: how many compactions there were during the loop.
        compact_s: how long these would take: CPU, and waiting for the store.
        simulated_s: how long the fleet took, by its clock.
        attempts: how many attempts there were.
        requests: of the first run, by caller, operation and folder.
    """

    shards: int
    workers: int
    plan_s: float
    loop_s: float
    again_s: float
    compactions: int
    compact_s: float
    simulated_s: float
    attempts: int
    requests: Counter[Request]


class _Archives:
    """A source of archives; a run without cleaning only lists it."""

    url = "s3://source"

    def __init__(self, count: int) -> None:
        self._count = count

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All of them, in key order."""
        return (shard(number).objects[0] for number in range(self._count))


class _Inline(Executor):
    """Runs what is submitted at once."""

    def __init__(self, *_: object) -> None:
        pass

    def submit(self, function: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        done = Future[Any]()
        done.set_result(function(*given, **named))
        return done


@contextmanager
def _compactions(store: CountingStore) -> Iterator[list[tuple[float, float]]]:
    """Of each compaction: its CPU seconds, and the seconds that it would wait for the store."""
    spans, compact = list[tuple[float, float]](), Ledger.compact

    def timed(ledger: Ledger) -> None:
        cpu, before = time.process_time(), store.requests.copy()
        compact(ledger)
        made = store.requests - before
        lists = sum(count for (_, operation, _), count in made.items() if operation == "ListObjectsV2")
        waited = LATENCY_S * (lists + (made.total() - lists) / READERS)
        spans.append((time.process_time() - cpu, waited))

    with patch.object(Ledger, "compact", timed):
        yield spans


def simulate(shards: int, workers: int, fates: Fates) -> tuple[Figures, RunSummary]:
    """Run from nothing to the end, then once more."""
    store = CountingStore()
    fleet = Fleet(store, workers, fates)
    marks, spans = list[float](), list[tuple[float, float]]()

    def work(_job: Job, _plan: Plan, dispatch: Dispatch, watch: Watch) -> None:
        marks.append(time.process_time())
        with _compactions(store) as seen:
            while dispatch.waiting:
                fleet.run(dispatch, watch)
                dispatch.revisit()
        marks.append(time.process_time() - fleet.cpu_s)
        spans.extend(seen)

    job = Job(cast(Store, _Archives(shards)), cast(Store, store), b"", Recipe("0" * 64), CleanOptions())
    # Simulated time passes quickly: on a thread of its own a compaction would seem to take hours of it.
    inline = patch.object(compactor, "ThreadPoolExecutor", _Inline)
    # There are no rows to make the report's table of.
    with inline, patch.object(runs, "_work", work), patch.object(runs, "compact", lambda *_: None):
        begun = time.process_time()
        summary = runs.run(job, Silent())
        requests, again = store.requests.copy(), time.process_time()
        runs.run(job, Silent())
    figures = Figures(
        shards, workers, marks[0] - begun, marks[1] - marks[0] - sum(cpu for cpu, _ in spans),
        time.process_time() - again, len(spans), sum(map(sum, spans)), fleet.clock, fleet.attempts, requests,
    )  # fmt: skip
    return figures, summary
