"""One simulated run: the real driver with a fleet in place of Ray, and what the run costs it."""

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

from jobs.config import CleanOptions, Recipe
from jobs.driver import compactor
from jobs.driver import run as runs
from jobs.driver.dispatch import Dispatch
from jobs.driver.feed import Watch
from jobs.driver.run import Job, RunSummary, Silent
from jobs.ledger.ledger import Ledger
from jobs.ledger.plan import Plan
from jobs.stores.base import Store
from scripts.scale.driver import Archives, Fleet, Remote, world
from scripts.scale.fleet import Facts, Fates

TABLE_AT_MOST = 10_000
"""Of larger runs the report's table is left out: its time goes with the shards, as one run shows."""


@dataclass(frozen=True)
class Figures:
    """What a simulated run came to; seconds are the driver's CPU's unless they are said to be others.

    Attributes:
        shards, actors: what was simulated.
        plan_s, loop_s, end_s, table_s: until the first attempt begins, until the last has ended, until the
            run has ended; making the report's table, None if it was left out.
        compactions, compact_s, compact_wait_s: how many there were beside the loop, and what they took.
        loop_wait_s: what else the loop waits for the store.
        simulated_s: how long the fleet took.
        attempts, committed, quarantined: what came of it.
        mib_before, mib_planned, mib: the driver's memory at the start, its peak until planned, its peak.
        requests: by caller, operation and folder.
    """

    shards: int
    actors: int
    plan_s: float
    loop_s: float
    end_s: float
    table_s: float | None
    compactions: int
    compact_s: float
    compact_wait_s: float
    loop_wait_s: float
    simulated_s: float
    attempts: int
    committed: int
    quarantined: int
    mib_before: float
    mib_planned: float
    mib: float
    requests: list[tuple[str, str, str, int]]


@dataclass
class _Watch:
    """Stops the times of a driver: of its CPU, and of what it would wait for the store."""

    remote: Remote
    marks: list[tuple[float, float, float]] = field(default_factory=list)
    spans: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def mark(self) -> None:
        """Note the moment: CPU seconds, seconds waited, the most MiB so far."""
        status = Path("/proc/self/status").read_text()
        found = re.search(r"VmHWM:\s*(\d+) kB", status)
        assert found is not None
        self.marks.append((time.process_time(), self.remote.waited_s, int(found[1]) / 1024))

    @contextmanager
    def timed(self, owner: object, name: str) -> Iterator[None]:
        """Note what each call of a function takes."""
        function: Callable[..., Any] = getattr(owner, name)
        spans = self.spans.setdefault(name, [])

        def call(*given: Any) -> Any:
            before = time.process_time(), self.remote.waited_s
            result = function(*given)
            spans.append((time.process_time() - before[0], self.remote.waited_s - before[1]))
            return result

        with patch.object(owner, name, call):
            yield


class _Inline(Executor):
    """Does what it is given at once."""

    def __init__(self, *_: object) -> None:
        pass

    def submit(self, function: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        done = Future[Any]()
        done.set_result(function(*given, **named))
        return done


def simulate(shards: int, actors: int, fates: Fates) -> tuple[Figures, RunSummary]:
    """Run from nothing to the end, and see what it costs."""
    with world(fates) as remote:
        watch = _Watch(remote)

        def work(job: Job, plan: Plan, dispatch: Dispatch, watcher: Watch) -> None:
            watch.mark()
            fleet = Fleet(remote, actors)
            with watch.timed(Ledger, "compact"):
                while dispatch.waiting:
                    fleet.run(dispatch, watcher)
                    dispatch.revisit()
            watch.mark()

        job = Job(cast(Store, Archives(shards)), cast(Store, remote), b"", Recipe("0" * 64), CleanOptions())
        table = nullcontext() if shards <= TABLE_AT_MOST else patch.object(runs, "compact", lambda *_: None)
        # Simulated time flies: beside the loop, a compaction would seem to take hours of it.
        inline = patch.object(compactor, "ThreadPoolExecutor", _Inline)
        with inline, patch.object(runs, "_work", work), table, watch.timed(runs, "_compact"):
            watch.mark()
            summary = runs.run(job, Silent())
            watch.mark()
        return _figures(shards, actors, watch, remote.ask("facts"), summary), summary


def _figures(shards: int, actors: int, watch: _Watch, facts: Facts, summary: RunSummary) -> Figures:
    begun, planned, worked, ended = watch.marks
    compactions, tables = watch.spans["compact"], watch.spans["_compact"]
    table_s = sum(cpu for cpu, _ in tables)
    compact_wait_s = sum(wait for _, wait in compactions)
    return Figures(
        shards=shards,
        actors=actors,
        plan_s=planned[0] - begun[0],
        loop_s=worked[0] - planned[0],
        end_s=ended[0] - worked[0] - table_s,
        table_s=table_s if shards <= TABLE_AT_MOST else None,
        compactions=len(compactions),
        compact_s=sum(cpu for cpu, _ in compactions),
        compact_wait_s=compact_wait_s,
        loop_wait_s=worked[1] - planned[1] - compact_wait_s,
        simulated_s=facts.seconds,
        attempts=facts.attempts,
        committed=summary.shards,
        quarantined=len(summary.quarantined),
        mib_before=begun[2],
        mib_planned=planned[2],
        mib=ended[2],
        requests=[(*request, count) for request, count in sorted(facts.requests.items())],
    )
