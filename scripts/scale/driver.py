"""What a simulated driver works with: a source, a destination in another process, a fleet instead of Ray.

The world lives in a process of its own, so that the driver's memory and CPU are nobody else's.
"""

import io
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from jobs.driver.dispatch import Dispatch
from jobs.driver.feed import SHARDS_IN_FLIGHT, Watch
from jobs.driver.outcome import CRASHED_BESIDE
from jobs.ledger.commit_log import READERS
from jobs.ledger.plan import Task
from jobs.report.schema import Row, write_parquet
from jobs.shard.meter import Progress
from jobs.stores.base import ObjectInfo
from scripts.scale.fleet import End, Fates, World, serve
from scripts.scale.ledger import shard
from scripts.scale.store import LISTED

LATENCY_S = 0.1
"""What a request of the driver takes: AWS says that small objects take 0.1 to 0.2 s, in
https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html"""


class Remote:
    """The world as the driver sees it: the destination's store, and the fleet; from any thread."""

    url = "s3://simulated"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self.waited_s = 0.0

    def ask(self, name: str, *given: object) -> Any:
        """Have something done there."""
        with self._lock:
            self._connection.send((name, given))
            return self._connection.recv()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def request(*given: object) -> Any:
            answer = self.ask(name, *given)
            alone = threading.current_thread() is threading.main_thread()
            pages = max(1, -(-len(answer) // LISTED)) if name == "list" else 1
            with self._lock:
                self.waited_s += LATENCY_S * pages / (1 if alone else READERS)
            return iter(answer) if name == "list" else answer

        return request

    def open(self, info: ObjectInfo) -> io.BytesIO:
        """An object's bytes."""
        return io.BytesIO(self.ask("get", info.key))


class Archives:
    """A source of so many archives; only its listing is asked for."""

    url = "s3://source"

    def __init__(self, count: int) -> None:
        self._count = count

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All of them, in key order."""
        return (shard(number).objects[0] for number in range(self._count))


@contextmanager
def world(fates: Fates) -> Iterator[Remote]:
    """A new world in a process of its own."""
    rows, context = io.BytesIO(), get_context("spawn")
    pages = [Row("shard", f"{page:04d}.png", 0, 0, "cleaned", "0" * 64, "1" * 64) for page in range(100)]
    write_parquet([pages], rows, "20261123T000000Z-0", "0" * 16, "cuda", 1)
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there, World(fates, rows.getvalue())), daemon=True)
    process.start()
    there.close()
    try:
        yield Remote(here)
    finally:
        here.close()
        process.join()


class Fleet:
    """Hands attempts out as `jobs.driver.feed` does: two a cleaner, alone where they may kill it."""

    def __init__(self, remote: Remote, actors: int) -> None:
        self._remote = remote
        self._places = deque(number for _ in range(SHARDS_IN_FLIGHT) for number in range(actors))
        self._at: dict[int, list[Task]] = {number: [] for number in range(actors)}
        self._waiting: Task | None = None

    def run(self, dispatch: Dispatch, watch: Watch) -> None:
        """Work off the queue; raises what `dispatch` and `watch` raise."""
        while (begun := self._fill(dispatch)) or any(self._at.values()):
            ended: list[End] = self._remote.ask("step", begun)
            deaths = Counter(end.cleaner for end in ended if end.outcome is None)
            for end in ended:
                self._at[end.cleaner].remove(end.task)
                self._places.append(end.cleaner)
                if end.outcome is not None:
                    dispatch.finished(end.task, end.outcome)
                else:
                    code = "worker_died" if deaths[end.cleaner] == 1 else CRASHED_BESIDE
                    dispatch.crashed(end.task, code, "the worker died")
            dispatch.counts.take_seconds()  # as whoever publishes them does
            watch(Progress())

    def _fill(self, dispatch: Dispatch) -> list[tuple[int, Task]]:
        begun = []
        for _ in range(len(self._places)):
            self._waiting = self._waiting or dispatch.next_task()
            if self._waiting is None:
                break
            cleaner = self._places.popleft()
            flights = self._at[cleaner]
            if any(task.alone for task in flights) or (self._waiting.alone and flights):
                self._places.append(cleaner)
                continue
            flights.append(self._waiting)
            begun.append((cleaner, self._waiting))
            self._waiting = None
        return begun
