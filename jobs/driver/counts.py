"""How a run's attempts end: counted for whoever publishes figures, and logged where one went wrong."""

import logging
from collections import Counter
from typing import Literal

from jobs.driver.outcome import RELEASED, SHARD_TIMEOUT, Outcome
from jobs.ledger.plan import Task
from jobs.ledger.records import Commit
from jobs.logs import about, figures

log = logging.getLogger(__name__)

End = Literal["done", "lost", "failed", "store", "changed", "fatal", "crashed", "timeout", "released"]
"""How an attempt ends: by an outcome of its own, or by somebody else."""

UNKNOWN = "unknown"
"""The code of pages, but cleaned ones, whose worker died between its commit and its answer."""


class Counts:
    """Running totals of one run; plain values, added to by the driver's thread alone.

    Attributes:
        pages: of committed shards, by status and error code, which is empty where there is none.
        ends: attempts by how they ended.
        retries: attempts that failed and are made again.
    """

    def __init__(self) -> None:
        self.pages: Counter[tuple[str, str]] = Counter()
        self.ends: Counter[End] = Counter()
        self.retries = 0
        self._seconds: list[float] = []

    def ended(self, outcome: Outcome) -> None:
        """An attempt came to its end and said how."""
        self.ends[outcome.kind] += 1
        if outcome.commit:
            self._seconds.append(outcome.seconds)
            self.pages.update(outcome.kinds)

    def crashed(self, commit: Commit | None, code: str) -> None:
        """An attempt's worker died or was ended, and why; after its commit, if there is one."""
        ends: dict[str, End] = {SHARD_TIMEOUT: "timeout", RELEASED: "released"}
        self.ends["done" if commit else ends.get(code, "crashed")] += 1
        if commit:
            self.pages["cleaned", ""] += commit.cleaned
            self.pages["passed_through", UNKNOWN] += commit.passed_through
            self.pages["failed", UNKNOWN] += commit.failed

    def retried(self, task: Task, code: str, message: str) -> None:
        """An attempt failed, and another is to be made."""
        self.retries += 1
        _warn(task, code, "attempt %d at %s failed and is made again: %s", message)

    def quarantined(self, task: Task, code: str, message: str) -> None:
        """The last attempt failed, or all that there may be did in earlier runs."""
        _warn(task, code, "attempt %d at %s was the last, it is quarantined: %s", message)

    def take_seconds(self) -> list[float]:
        """The durations of attempts that committed since this was asked last."""
        taken, self._seconds = self._seconds, []
        return taken


def _warn(task: Task, code: str, text: str, message: str) -> None:
    with about(shard=task.shard.key, attempt=task.attempt):
        log.warning(text, task.attempt, task.shard.key, message, extra=figures(code=code))
