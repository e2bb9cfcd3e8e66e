"""What the driver decides: which shard is tried next, what the end of an attempt means, when to give up.

It knows the ledger and not Ray: the loop hands in the outcomes of workers, and reports workers that died.

An attempt counts against its shard if a driver saw how it ended: by an error, or by the death of its worker.
An attempt without a trace means that the driver died as well. Mostly a person stopped the job, so it weighs a
tenth; but a shard that brings whole machines down is given up in the end.

If a worker dies with several shards in work, nobody can tell which of them killed it. Each is then tried
alone, and given up only after a worker died with it alone, so that it does not take its neighbours with it.
"""

from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from jobs.driver.outcome import CRASHED_BESIDE, CRASHES, RELEASED, STORE_ERROR, Fatal, Outcome
from jobs.driver.tally import Tally
from jobs.errors import StoreError
from jobs.ledger.ledger import Ledger
from jobs.ledger.plan import Shard, Task
from jobs.ledger.records import ClaimState, Quarantined, shard_id

UNSEEN_WEIGHT = 10
"""This many attempts without a trace weigh as much as one whose end was seen."""

STORE_ERRORS_IN_A_ROW = 5
"""This many attempts in a row that end with a storage error end the run."""


Busy: TypeAlias = Callable[[], Container[tuple[str, str]]]
"""Returns what other living runs work on, by shard id and work."""


@dataclass
class _Blame:
    """The failures of a shard: its own, and those that a neighbour on the same worker may have caused."""

    max_shared: int
    own: int = 0
    shared: int = 0

    @staticmethod
    def of(codes: Iterable[str], max_attempts: int) -> "_Blame":
        blame = _Blame(max_attempts - 1)
        for code in codes:
            blame.add(code)
        return blame

    def add(self, code: str) -> None:
        if code == CRASHED_BESIDE:
            self.shared += 1
        elif code != RELEASED:
            self.own += 1

    @property
    def count(self) -> int:
        """The failures that count against the shard; shared ones alone never suffice to give it up."""
        return self.own + min(self.shared, self.max_shared)


class Dispatch:
    """The queue of a run."""

    def __init__(self, ledger: Ledger, run_id: str, max_attempts: int, busy: Busy = dict) -> None:
        """Begin with an empty queue; `busy` tells which shards other living runs work on."""
        self.tally = Tally()
        self._ledger = ledger
        self._run_id = run_id
        self._max_attempts = max_attempts
        self._busy = busy
        self._queue: deque[Task] = deque()
        self._elsewhere: list[Task] = []
        self._blames: dict[str, _Blame] = {}
        self._store_errors = 0

    def plan(
        self,
        works: Iterable[tuple[Shard, str]],
        numbers: Mapping[str, int],
        claims: Mapping[tuple[str, str], tuple[ClaimState, ...]],
        quarantined: Mapping[tuple[str, str], Quarantined],
    ) -> None:
        """Queue shards, large ones first: a long one that begins last would keep all others waiting.

        Args:
            works: the shards with their work keys.
            numbers: the number of a shard's latest commit, where there is one.
            claims: earlier attempts that made no commit, by shard id and work.
            quarantined: quarantine records, by shard id and work.

        Raises:
            StoreError: a quarantine can't be recorded.
        """
        tasks, busy = list[Task](), self._busy()
        for shard, work in works:
            number = numbers.get(shard.key, 0) + 1
            name = (shard_id(shard.key), work)
            states = [state for state in claims.get(name, ()) if state.number == number]
            attempt = max((state.attempt for state in states), default=0) + 1
            task = Task(shard, work, number, attempt, self._run_id)
            held = quarantined.get(name)
            forgiven = held.attempts if held and held.retried else 0
            if name in busy:
                self._elsewhere.append(task)
            else:
                tasks += self._judged(task, [state for state in states if state.attempt > forgiven])
        self._queue.extend(sorted(tasks, key=lambda task: (-task.shard.size, task.shard.key)))

    def _judged(self, task: Task, states: Sequence[ClaimState]) -> list[Task]:
        """The task, if the earlier attempts at its shard allow one more; otherwise the shard is given up."""
        failures = [s.failure for s in states if s.failure and s.failure.code not in (STORE_ERROR, RELEASED)]
        blame = _Blame.of([one.code for one in failures], self._max_attempts)
        if failures:  # most shards have none
            self._blames[task.shard.key] = blame
        unseen = sum(state.failure is None for state in states)
        if blame.count + unseen // UNSEEN_WEIGHT < self._max_attempts:
            return [replace(task, alone=any(one.code in CRASHES for one in failures))]
        code, message = "driver_died", "Whole runs died while this shard was in work."
        if failures:
            code, message = failures[-1].code, failures[-1].message
        self._give_up(replace(task, attempt=task.attempt - 1), code, message)
        return []

    @property
    def waiting(self) -> int:
        """The number of attempts in the queue."""
        return len(self._queue)

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """The shards that other runs work on."""
        return tuple(task.shard.key for task in self._elsewhere)

    def revisit(self) -> None:
        """Look again at the shards that other runs worked on, and queue those that no run works on any more.

        Raises:
            StoreError: the ledger can't be read or written.
        """
        tasks, self._elsewhere = self._elsewhere, []
        open_: list[Task] = []
        for task in tasks:
            commit = self._ledger.latest(task.shard.key)
            if commit is None or commit.number < task.number:
                open_.append(task)
            elif commit.work == task.work:
                self.tally.by_others += 1
            else:
                self.tally.unfinished.append((task.shard.key, "Another version of it was cleaned meanwhile."))
        if open_:
            works = [(task.shard, task.work) for task in open_]
            numbers = {task.shard.key: task.number - 1 for task in open_}
            self.plan(works, numbers, self._ledger.claims(), self._ledger.quarantined())

    def next_task(self) -> Task | None:
        """Take the next attempt from the queue; None if it is empty for now."""
        return self._queue.popleft() if self._queue else None

    def finished(self, task: Task, outcome: Outcome) -> None:
        """Act on the outcome of an attempt.

        Raises:
            Fatal: no shard can be cleaned.
            StoreError: the ledger broke, or a place broke again and again.
        """
        self.tally.ended(outcome)
        if outcome.kind == "fatal":
            raise Fatal(outcome.message, outcome.exit_code)
        self._store_errors = self._store_errors + 1 if outcome.kind == "store" else 0
        if self._store_errors >= STORE_ERRORS_IN_A_ROW:
            raise StoreError(outcome.message)
        if outcome.kind == "done" and outcome.commit:
            self.tally.add(outcome.commit)
        elif outcome.kind == "lost":
            self._elsewhere.append(task)
        elif outcome.kind == "changed":
            self.tally.unfinished.append((task.shard.key, outcome.message))
        else:
            self._failed(task, outcome.code, outcome.message)

    def crashed(self, task: Task, code: str, message: str) -> None:
        """Act on an attempt whose worker died or can't be reached; the ledger knows whether it committed.

        Args:
            task: the attempt.
            code: one of CRASHES, or RELEASED if its machine was taken away, which does not count against it.
            message: one sentence.

        Raises:
            StoreError: the ledger can't be read or written.
        """
        latest = self._ledger.latest(task.shard.key)
        commit = latest if latest is not None and latest.work == task.work else None
        self.tally.crashed(commit, code)
        if commit:
            self._ledger.publish(commit)
            self.tally.add(commit)
        else:
            self._failed(task, code, message)

    def released(self, task: Task) -> None:
        """Record an attempt that the run does not wait for, because it stops; raises StoreError.

        It does not count against its shard.
        """
        self.tally.ends["released"] += 1
        self._ledger.fail(task.claim, RELEASED, "The run was told to stop.")

    def _failed(self, task: Task, code: str, message: str) -> None:
        self._ledger.fail(task.claim, code, message)
        blame = self._blames.setdefault(task.shard.key, _Blame.of((), self._max_attempts))
        blame.add(code)
        if blame.count < self._max_attempts:
            self.tally.retried(task, code, message)
            alone = task.alone or code in CRASHES
            self._queue.append(replace(task, attempt=task.attempt + 1, alone=alone))
        elif code == STORE_ERROR:
            # The storage is to blame, not the shard: the next run tries it again.
            self.tally.unfinished.append((task.shard.key, message))
        else:
            self._give_up(task, code, message)

    def _give_up(self, task: Task, code: str, message: str) -> None:
        self._ledger.quarantine(task.claim, code, message)
        self.tally.gave_up(task, code, message)
