"""The `ray.wait` loop: two shards in flight per cleaner, and what to do when one of them dies.

Ray retries nothing: a dead actor's attempts are handed to `Dispatch`, and it gets no new ones before it
answers again. The driver holds keys and counters, nothing that a kill would lose.
"""

import time
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayActorError

from jobs.dispatch import Dispatch
from jobs.errors import PumiceError
from jobs.meter import Progress
from jobs.plan import Task

SHARDS_IN_FLIGHT = 2
POLL_S = 0.5
START_S = 300.0
"""How long a cluster may take until the first cleaner answers."""

Watch = Callable[[Progress], None]


class Cleaner:
    """An actor as the driver sees it: whether it answers, and what it has done."""

    def __init__(self, handle: Any) -> None:
        """Ask for a first sign of life."""
        self.handle = handle
        self.up = False
        self.question = handle.progress.remote()
        self._before = Progress()
        self._latest = Progress()

    def answered(self) -> None:
        """Take the answer to `question`; raises RayActorError."""
        now: Progress = ray.get(self.question)
        if now.pages < self._latest.pages or now.bytes_read < self._latest.bytes_read:
            self._before = self.total  # it was restarted, and counts from 0 again
        self._latest = now
        self.up = True

    def ask(self) -> None:
        """Ask for its progress."""
        self.question = self.handle.progress.remote()

    @property
    def total(self) -> Progress:
        """What it has done in all its lives."""
        a, b = self._before, self._latest
        return Progress(a.pages + b.pages, a.pixels + b.pixels, a.bytes_read + b.bytes_read)


class Feed:
    """Feeds cleaners until the queue is empty and nothing is in flight."""

    def __init__(self, cleaners: list[Cleaner], dispatch: Dispatch, watch: Watch) -> None:
        self._cleaners = cleaners
        self._dispatch = dispatch
        self._watch = watch
        self._pending: dict[Any, tuple[Cleaner, Task]] = {}
        self._waiting: Task | None = None

    def run(self) -> None:
        """Work off the queue.

        Raises:
            PumiceError: no cleaner answers; whatever the dispatch or the watcher raises.
        """
        deadline = time.monotonic() + START_S
        while self._fill():
            if any(cleaner.up for cleaner in self._cleaners):
                deadline = time.monotonic() + START_S
            elif time.monotonic() > deadline:
                raise PumiceError(
                    "no cleaner could be placed on the cluster: it has no room, or no GPU is free"
                )
            self._wait()
            self._listen()
            self._watch(self._total())

    def _fill(self) -> bool:
        """Hand out attempts, one a cleaner in turn; False when all is done."""
        for _ in range(SHARDS_IN_FLIGHT):
            for cleaner in self._cleaners:
                if cleaner.up and self._load(cleaner) < SHARDS_IN_FLIGHT:
                    self._submit(cleaner)
        self._waiting = self._waiting or self._dispatch.next_task()
        return bool(self._pending) or self._waiting is not None

    def _submit(self, cleaner: Cleaner) -> None:
        task = self._waiting or self._dispatch.next_task()
        self._waiting = None
        if task is not None:
            self._pending[cleaner.handle.clean.remote(task)] = (cleaner, task)

    def _load(self, cleaner: Cleaner) -> int:
        return sum(owner is cleaner for owner, _ in self._pending.values())

    def _wait(self) -> None:
        """Wait for ends of attempts, for half a second at most."""
        if not self._pending:
            time.sleep(POLL_S / 5)
            return
        ended, _ = ray.wait(list(self._pending), num_returns=1, timeout=POLL_S)
        for ref in ended:
            cleaner, task = self._pending.pop(ref)
            try:
                outcome = ray.get(ref)
            except RayActorError as error:
                cleaner.up = False
                self._dispatch.crashed(task, f"the worker died: {_reason(error)}")
            else:
                self._dispatch.finished(task, outcome)

    def _listen(self) -> None:
        """Take the answers of cleaners; one that is gone for good is dropped."""
        answered, _ = ray.wait(
            [c.question for c in self._cleaners], num_returns=len(self._cleaners), timeout=0
        )
        for cleaner in [c for c in self._cleaners if c.question in answered]:
            try:
                cleaner.answered()
            except ActorUnavailableError:
                cleaner.up = False
            except ActorDiedError as error:
                self._cleaners.remove(cleaner)
                if not self._cleaners:
                    raise PumiceError(f"no cleaner can be started: {_reason(error)}") from error
            cleaner.ask()

    def _total(self) -> Progress:
        totals = [cleaner.total for cleaner in self._cleaners]
        return Progress(
            sum(t.pages for t in totals), sum(t.pixels for t in totals), sum(t.bytes_read for t in totals)
        )


def _reason(error: RayActorError) -> str:
    """The telling line of Ray's long messages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "Error" in line or "SYSTEM_ERROR" in line), lines[0])
