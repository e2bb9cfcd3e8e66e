"""The totals of a run: its shards and pages, and how its attempts ended. Attempts that went wrong are logged.

No commit is kept, because a run may make a million.
"""

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from jobs.driver.outcome import RELEASED, SHARD_TIMEOUT, Outcome
from jobs.ledger.plan import Task
from jobs.ledger.records import Commit
from jobs.logs import about, figures

log = logging.getLogger(__name__)

End = Literal["done", "lost", "failed", "store", "changed", "fatal", "crashed", "timeout", "released"]
"""How an attempt ends: with its own outcome, or from outside."""

UNKNOWN = "unknown"
"""The code of pages that are not cleaned and whose worker died between its commit and its answer."""


@dataclass
class Tally:
    """Totals of one run; only the driver's thread adds to them.

    Attributes:
        shards: the number of shards that the run committed; the next eight fields are the totals of these.
        by_others: the number of shards that other runs committed meanwhile.
        quarantined, unfinished: shards that the run did not finish, each with the reason.
        kinds: the pages of committed shards by status and error code, which is empty where there is none.
        ends: attempts by how they ended.
        retries: attempts that failed and are made again.
    """

    shards: int = 0
    pages: int = 0
    cleaned: int = 0
    passed_through: int = 0
    failed: int = 0
    damaged: int = 0
    pixels: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    by_others: int = 0
    quarantined: list[tuple[str, str]] = field(default_factory=list)
    unfinished: list[tuple[str, str]] = field(default_factory=list)
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    ends: Counter[End] = field(default_factory=Counter)
    retries: int = 0
    _seconds: list[float] = field(default_factory=list)

    def add(self, commit: Commit) -> None:
        """Count a shard that this run committed."""
        self.shards += 1
        self.pages += commit.pages
        self.cleaned += commit.cleaned
        self.passed_through += commit.passed_through
        self.failed += commit.failed
        self.damaged += commit.damaged is not None
        self.pixels += commit.pixels
        self.bytes_in += commit.bytes_in
        self.bytes_out += commit.bytes_out

    def ended(self, outcome: Outcome) -> None:
        """Count an attempt that ended with its own outcome."""
        self.ends[outcome.kind] += 1
        if outcome.commit:
            self._seconds.append(outcome.seconds)
            self.kinds.update(outcome.kinds)

    def crashed(self, commit: Commit | None, code: str) -> None:
        """Count an attempt whose worker died or was ended, with the reason's code and its commit, if any."""
        ends: dict[str, End] = {SHARD_TIMEOUT: "timeout", RELEASED: "released"}
        self.ends["done" if commit else ends.get(code, "crashed")] += 1
        if commit:
            self.kinds["cleaned", ""] += commit.cleaned
            self.kinds["passed_through", UNKNOWN] += commit.passed_through
            self.kinds["failed", UNKNOWN] += commit.failed

    def retried(self, task: Task, code: str, message: str) -> None:
        """Count and log an attempt that failed and is made again."""
        self.retries += 1
        _warn(task, code, "attempt %d at %s failed and is made again: %s", message)

    def gave_up(self, task: Task, code: str, message: str) -> None:
        """Note and log a shard that is quarantined; `task` was its last attempt, of this run or earlier."""
        self.quarantined.append((task.shard.key, message))
        _warn(task, code, "attempt %d at %s was the last, it is quarantined: %s", message)

    def take_seconds(self) -> list[float]:
        """The durations of attempts that committed since the last call, in seconds."""
        taken, self._seconds = self._seconds, []
        return taken


def _warn(task: Task, code: str, text: str, message: str) -> None:
    with about(shard=task.shard.key, attempt=task.attempt):
        log.warning(text, task.attempt, task.shard.key, message, extra=figures(code=code))
