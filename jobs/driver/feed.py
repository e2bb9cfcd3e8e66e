"""The `ray.wait` loop: it keeps two shards in flight on each worker, and acts when a worker dies or hangs.

Ray retries nothing. `Dispatch` gets the attempts of a dead worker, and the worker gets no new ones until it
answers again. A worker with an attempt that makes no progress is killed, which ends the attempt. A worker
that has to leave gets no new attempts, and is ended when it has none. The driver holds only keys and
counters, so nothing is lost if it is killed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, ActorUnschedulableError, RayActorError

from jobs.driver.dispatch import Dispatch
from jobs.driver.outcome import CRASHED_BESIDE, RELEASED
from jobs.driver.stop import Stop
from jobs.driver.worker import Sight
from jobs.errors import Interrupted, PumiceError
from jobs.ledger.plan import Task
from jobs.shard.meter import Progress

SHARDS_IN_FLIGHT = 2
POLL_S = 0.5
START_S = 300.0
"""A cluster may take this long until the first worker answers."""

Watch = Callable[[Progress], None]
Gone: TypeAlias = RayActorError | ActorUnschedulableError
"""A worker that does not answer: its process died, or the machine that it is bound to."""


class RemoteWorker:
    """A worker (a Ray actor) as the driver sees it.

    Attributes:
        node: the machine that it is bound to, if any.
        up: whether it answers.
        leaving: it gets no new shards.
        drained: its machine is being taken away.
        lost: Ray does not know its machine, any more or not everywhere yet.
        flights: its attempts in work.
    """

    def __init__(self, handle: Any, node: str | None = None) -> None:
        """Ask for a first sign of life."""
        self.handle = handle
        self.node = node
        self.up = self.leaving = self.drained = self.lost = False
        self.flights: list[Flight] = []
        self.question = handle.look.remote()
        self._before = Progress()
        self._latest = Progress()

    def answered(self) -> Sight:
        """Take the answer to `question`; raises the errors of Gone."""
        sight: Sight = ray.get(self.question)
        now = sight.total
        if now.pages < self._latest.pages or now.bytes_read < self._latest.bytes_read:
            self._before = self.total.done  # it was restarted, and counts from 0 again
        self._latest = now
        self.up = True
        return sight

    def ask(self) -> None:
        """Ask for its progress."""
        self.question = self.handle.look.remote()

    @property
    def total(self) -> Progress:
        """Its progress since its first start, over all restarts."""
        return self._before + self._latest


@dataclass
class Flight:
    """An attempt in work.

    Attributes:
        worker: where it is in work.
        task: the attempt.
        seen: its progress when the worker was last asked.
        since: when that last changed, by the monotonic clock.
        stalled: it was ended because it made no progress.
        beside: its worker died with other attempts in work.
    """

    worker: RemoteWorker
    task: Task
    seen: Progress | None = None
    since: float = field(default_factory=time.monotonic)
    stalled: bool = False
    beside: bool = False

    def look(self, sight: Sight) -> None:
        """Note whether it made progress."""
        now = sight.attempts.get((self.task.shard.key, self.task.attempt))
        if now != self.seen:
            self.seen, self.since = now, time.monotonic()


class Feed:
    """Hands attempts to workers until the queue is empty and nothing is in flight."""

    def __init__(
        self, workers: list[RemoteWorker], dispatch: Dispatch, watch: Watch, stop: Stop, timeout_s: float
    ) -> None:
        """Attempts that make no progress for `timeout_s` seconds are ended."""
        self._workers = workers
        self._dispatch = dispatch
        self._watch = watch
        self._stop = stop
        self._timeout_s = timeout_s
        self._pending: dict[Any, Flight] = {}
        self._left: list[Progress] = []
        self._waiting: Task | None = None

    def run(self) -> None:
        """Work off the queue.

        Raises:
            Interrupted: it was told to stop; attempts in work have ended or are released.
            PumiceError: no worker answers; and whatever the dispatch or the watcher raises.
        """
        deadline, due = time.monotonic() + START_S, 0.0
        while self._fill() and not self._stop.due:
            if any(worker.up for worker in self._workers):
                deadline = time.monotonic() + START_S
            elif time.monotonic() > deadline:
                raise PumiceError(
                    f"No worker could be placed within {START_S:g} s: the cluster has no room, or no GPU is "
                    "free; see `ray status`, make room, then run the same command again."
                )
            self._wait()
            if not self._pending or time.monotonic() >= due:
                due = time.monotonic() + POLL_S
                self._look()
        if self._stop.asked:
            for flight in self._pending.values():
                self._dispatch.released(flight.task)
            raise Interrupted("The run was told to stop.")

    def _look(self) -> None:
        """Ask all workers for their progress; twice a second, because the cost grows with their number."""
        self._listen()
        self._end_stalled()
        self._dismiss()
        self._watch(self._total())

    def _fill(self) -> bool:
        """Hand out attempts to the workers in turn; False when nothing is in work and nothing will be."""
        if self._stop.asked:
            return bool(self._pending)
        for _ in range(SHARDS_IN_FLIGHT):
            for worker in self._workers:
                if worker.up and not worker.leaving and self._has_room(worker):
                    self._submit(worker)
        return bool(self._pending) or self._next() is not None

    def _has_room(self, worker: RemoteWorker) -> bool:
        """Whether there is a next attempt that may begin on this worker."""
        task = self._next()
        if task is None or any(flight.task.alone for flight in worker.flights):
            return False
        return len(worker.flights) < (1 if task.alone else SHARDS_IN_FLIGHT)

    def _next(self) -> Task | None:
        """The next attempt, without taking it."""
        self._waiting = self._waiting or self._dispatch.next_task()
        return self._waiting

    def _submit(self, worker: RemoteWorker) -> None:
        assert self._waiting is not None
        flight = Flight(worker, self._waiting)
        self._pending[worker.handle.clean.remote(self._waiting)] = flight
        worker.flights.append(flight)
        self._waiting = None

    def _wait(self) -> None:
        """Wait until attempts end, for half a second at most."""
        if not self._pending:
            time.sleep(POLL_S / 5)
            return
        refs = list(self._pending)
        ended, _ = ray.wait(refs, num_returns=1, timeout=POLL_S)
        if ended:  # take all that have ended: they may be many
            ended, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
        for ref in ended:
            flight = self._pending.pop(ref)
            flight.worker.flights.remove(flight)
            try:
                outcome = ray.get(ref)
            except (RayActorError, ActorUnschedulableError) as error:
                self._crashed(flight, error)
            else:
                self._dispatch.finished(flight.task, outcome)

    def _crashed(self, flight: Flight, error: Gone) -> None:
        worker = flight.worker
        worker.up = False
        for other in worker.flights:  # the same death will be reported for each of them
            other.beside = True
        code, message = "worker_died", f"the worker died: {_reason(error)}"
        if flight.stalled:
            code, message = "shard_timeout", f"no progress for {self._timeout_s:g} s"
        if worker.flights or flight.beside:
            code = CRASHED_BESIDE
        if worker.drained and not flight.stalled:
            code, message = RELEASED, "Its machine was taken away."
        self._dispatch.crashed(flight.task, code, message)

    def _end_stalled(self) -> None:
        """Kill the workers of attempts that hang; Ray starts them again."""
        latest = time.monotonic() - self._timeout_s
        for worker in self._workers:
            if any(flight.since < latest and not flight.stalled for flight in worker.flights):
                for flight in worker.flights:
                    flight.stalled = True
                worker.up = False
                ray.kill(worker.handle, no_restart=False)

    def _listen(self) -> None:
        """Take the answers of workers; one that is gone for good is dropped."""
        questions = [worker.question for worker in self._workers]
        answered = set(ray.wait(questions, num_returns=len(questions), timeout=0)[0] if questions else ())
        for worker in [c for c in self._workers if c.question in answered]:
            try:
                sight = worker.answered()
                for flight in worker.flights:
                    flight.look(sight)
            except ActorUnavailableError:
                worker.up = False
            except (ActorDiedError, ActorUnschedulableError) as error:
                self._drop(worker)
                worker.lost = isinstance(error, ActorUnschedulableError)
                if not self._workers and isinstance(error, ActorDiedError):
                    raise PumiceError(f"no worker can be started: {_reason(error)}") from error
            worker.ask()

    def _dismiss(self) -> None:
        """End workers that leave and have nothing in work: a draining machine ends when it has no worker."""
        for worker in [c for c in self._workers if c.leaving and not c.flights]:
            ray.kill(worker.handle, no_restart=True)
            self._drop(worker)

    def _drop(self, worker: RemoteWorker) -> None:
        worker.up = False
        self._workers.remove(worker)
        self._left.append(worker.total.done)

    def _total(self) -> Progress:
        totals = (*self._left, *(worker.total for worker in self._workers))
        return sum(totals, Progress(in_flight=len(self._pending)))


def _reason(error: Gone) -> str:
    """The line of Ray's long message that names the cause."""
    if isinstance(error, ActorUnschedulableError):
        return "its machine is gone"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "Error" in line or "SYSTEM_ERROR" in line), lines[0])
