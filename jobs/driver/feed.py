"""The `ray.wait` loop: two shards in flight per cleaner, and what to do when one of them dies or hangs.

Ray retries nothing: a dead actor's attempts are handed to `Dispatch`, and it gets no new ones before it
answers again. An actor with an attempt that makes no progress is killed, which ends the attempt; one that is
to leave gets no new ones, and goes when those that it has end. The driver holds keys and counters, nothing
that a kill would lose.
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
"""How long a cluster may take until the first cleaner answers."""

Watch = Callable[[Progress], None]
Gone: TypeAlias = RayActorError | ActorUnschedulableError
"""An actor doesn't answer: its process died, or with it the machine that it was bound to."""


class Cleaner:
    """An actor as the driver sees it: whether it answers, and what it has done.

    `node` is the machine that it is bound to, if any. One that is `leaving` shall get no new shards; where
    its machine is being taken away, it is `drained`; it is `lost` where Ray doesn't know the machine, any
    more or not everywhere yet.
    """

    def __init__(self, handle: Any, node: str | None = None) -> None:
        """Ask for a first sign of life."""
        self.handle = handle
        self.node = node
        self.up = self.leaving = self.drained = self.lost = False
        self.flights: list[_Flight] = []
        self.question = handle.look.remote()
        self._before = Progress()
        self._latest = Progress()

    def answered(self) -> Sight:
        """Take the answer to `question`; raises what is Gone."""
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
        """What it has done in all its lives."""
        return self._before + self._latest


@dataclass
class _Flight:
    """An attempt in work: on which cleaner, what was seen of it and when that last changed."""

    cleaner: Cleaner
    task: Task
    seen: Progress | None = None
    since: float = field(default_factory=time.monotonic)
    stalled: bool = False
    beside: bool = False

    def look(self, sight: Sight) -> None:
        """Note whether it goes on."""
        now = sight.attempts.get((self.task.shard.key, self.task.attempt))
        if now != self.seen:
            self.seen, self.since = now, time.monotonic()


class Feed:
    """Feeds cleaners until the queue is empty and nothing is in flight."""

    def __init__(
        self, cleaners: list[Cleaner], dispatch: Dispatch, watch: Watch, stop: Stop, timeout_s: float
    ) -> None:
        """End attempts that show no progress for `timeout_s` seconds."""
        self._cleaners = cleaners
        self._dispatch = dispatch
        self._watch = watch
        self._stop = stop
        self._timeout_s = timeout_s
        self._pending: dict[Any, _Flight] = {}
        self._left: list[Progress] = []
        self._waiting: Task | None = None

    def run(self) -> None:
        """Work off the queue.

        Raises:
            Interrupted: it was told to stop; what was in work has ended or is released.
            PumiceError: no cleaner answers; whatever the dispatch or the watcher raises.
        """
        deadline, due = time.monotonic() + START_S, 0.0
        while self._fill() and not self._stop.due:
            if any(cleaner.up for cleaner in self._cleaners):
                deadline = time.monotonic() + START_S
            elif time.monotonic() > deadline:
                raise PumiceError(
                    f"No cleaner could be placed within {START_S:g} s: the cluster has no room, or no GPU is "
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
        """Ask how the cleaners are; twice a second, because that costs as much as there are cleaners."""
        self._listen()
        self._end_stalled()
        self._dismiss()
        self._watch(self._total())

    def _fill(self) -> bool:
        """Hand out attempts, one a cleaner in turn; False when all is done, or all there will be."""
        if self._stop.asked:
            return bool(self._pending)
        for _ in range(SHARDS_IN_FLIGHT):
            for cleaner in self._cleaners:
                if cleaner.up and not cleaner.leaving and self._has_room(cleaner):
                    self._submit(cleaner)
        return bool(self._pending) or self._next() is not None

    def _has_room(self, cleaner: Cleaner) -> bool:
        """Whether the next attempt, if there is one, may begin there."""
        task = self._next()
        if task is None or any(flight.task.alone for flight in cleaner.flights):
            return False
        return len(cleaner.flights) < (1 if task.alone else SHARDS_IN_FLIGHT)

    def _next(self) -> Task | None:
        """The attempt that is to be handed out next, without taking it."""
        self._waiting = self._waiting or self._dispatch.next_task()
        return self._waiting

    def _submit(self, cleaner: Cleaner) -> None:
        assert self._waiting is not None
        flight = _Flight(cleaner, self._waiting)
        self._pending[cleaner.handle.clean.remote(self._waiting)] = flight
        cleaner.flights.append(flight)
        self._waiting = None

    def _wait(self) -> None:
        """Wait for ends of attempts, for half a second at most."""
        if not self._pending:
            time.sleep(POLL_S / 5)
            return
        refs = list(self._pending)
        ended, _ = ray.wait(refs, num_returns=1, timeout=POLL_S)
        if ended:  # all that have, not one a loop: they may be many
            ended, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
        for ref in ended:
            flight = self._pending.pop(ref)
            flight.cleaner.flights.remove(flight)
            try:
                outcome = ray.get(ref)
            except (RayActorError, ActorUnschedulableError) as error:
                self._crashed(flight, error)
            else:
                self._dispatch.finished(flight.task, outcome)

    def _crashed(self, flight: _Flight, error: Gone) -> None:
        cleaner = flight.cleaner
        cleaner.up = False
        for other in cleaner.flights:  # each of them will hear of the same death
            other.beside = True
        code, message = "worker_died", f"the worker died: {_reason(error)}"
        if flight.stalled:
            code, message = "shard_timeout", f"no progress for {self._timeout_s:g} s"
        if cleaner.flights or flight.beside:
            code = CRASHED_BESIDE
        if cleaner.drained and not flight.stalled:
            code, message = RELEASED, "Its machine was taken away."
        self._dispatch.crashed(flight.task, code, message)

    def _end_stalled(self) -> None:
        """Kill the cleaners of attempts that hang; Ray starts them anew."""
        latest = time.monotonic() - self._timeout_s
        for cleaner in self._cleaners:
            if any(flight.since < latest and not flight.stalled for flight in cleaner.flights):
                for flight in cleaner.flights:
                    flight.stalled = True
                cleaner.up = False
                ray.kill(cleaner.handle, no_restart=False)

    def _listen(self) -> None:
        """Take the answers of cleaners; one that is gone for good is dropped."""
        questions = [cleaner.question for cleaner in self._cleaners]
        answered = set(ray.wait(questions, num_returns=len(questions), timeout=0)[0] if questions else ())
        for cleaner in [c for c in self._cleaners if c.question in answered]:
            try:
                sight = cleaner.answered()
                for flight in cleaner.flights:
                    flight.look(sight)
            except ActorUnavailableError:
                cleaner.up = False
            except (ActorDiedError, ActorUnschedulableError) as error:
                self._drop(cleaner)
                cleaner.lost = isinstance(error, ActorUnschedulableError)
                if not self._cleaners and isinstance(error, ActorDiedError):
                    raise PumiceError(f"no cleaner can be started: {_reason(error)}") from error
            cleaner.ask()

    def _dismiss(self) -> None:
        """Let go of cleaners that are to leave and have nothing in work: a machine without any ends early."""
        for cleaner in [c for c in self._cleaners if c.leaving and not c.flights]:
            ray.kill(cleaner.handle, no_restart=True)
            self._drop(cleaner)

    def _drop(self, cleaner: Cleaner) -> None:
        cleaner.up = False
        self._cleaners.remove(cleaner)
        self._left.append(cleaner.total.done)

    def _total(self) -> Progress:
        totals = (*self._left, *(cleaner.total for cleaner in self._cleaners))
        return sum(totals, Progress(in_flight=len(self._pending)))


def _reason(error: Gone) -> str:
    """The telling line of Ray's long messages."""
    if isinstance(error, ActorUnschedulableError):
        return "its machine is gone"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "Error" in line or "SYSTEM_ERROR" in line), lines[0])
