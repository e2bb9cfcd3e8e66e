"""What the driver decides: which shard is tried next, what an attempt's end means, when to give up.

Knows the ledger and no Ray: workers hand in `Outcome`s, or are reported as crashed.

An attempt counts against its shard when its end was seen: a worker that died, an error. One that ended
without a trace, because the driver died as well, mostly means that somebody killed the job, and weighs only
a tenth; a shard that takes the whole machine down is still given up in the end.

Where a worker dies with several shards in work, nobody can tell which one killed it. Each is then tried
alone, and is given up only after it died alone: its neighbours must not be quarantined with it.
"""

from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from jobs.driver.counts import Counts
from jobs.driver.outcome import CRASHED_BESIDE, CRASHES, RELEASED, STORE_ERROR, Fatal, Outcome
from jobs.driver.tally import Tally
from jobs.errors import StoreError
from jobs.ledger.ledger import Ledger
from jobs.ledger.plan import Shard, Task
from jobs.ledger.records import Claim, ClaimState, Quarantined, shard_id

UNSEEN_WEIGHT = 10
"""So many attempts without a trace weigh as much as one whose end was seen."""

STORE_ERRORS_IN_A_ROW = 5
"""So many attempts that end in a storage error, with no success between, end the run."""


Busy: TypeAlias = Callable[[], Container[tuple[str, str]]]
"""Says what other living runs are at, by shard id and work."""


@dataclass
class _Seen:
    """The ends that a shard's attempts were seen to have: its own, and those that may be a neighbour's."""

    most: int
    own: int = 0
    shared: int = 0

    @staticmethod
    def of(codes: Iterable[str], max_attempts: int) -> "_Seen":
        seen = _Seen(max_attempts - 1)
        for code in codes:
            seen.add(code)
        return seen

    def add(self, code: str) -> None:
        if code == CRASHED_BESIDE:
            self.shared += 1
        elif code != RELEASED:
            self.own += 1

    @property
    def count(self) -> int:
        """As many as the shard is blamed for; what is not surely its own never suffices to give it up."""
        return self.own + min(self.shared, self.most)


class Dispatch:
    """The queue of a run."""

    def __init__(self, ledger: Ledger, run_id: str, max_attempts: int, busy: Busy = dict) -> None:
        """Begin with nothing; `busy` says what other living runs are at, by shard id and work."""
        self.tally = Tally()
        self.counts = Counts()
        self._ledger = ledger
        self._run_id = run_id
        self._max_attempts = max_attempts
        self._busy = busy
        self._queue: deque[Task] = deque()
        self._elsewhere: list[Task] = []
        self._seen: dict[str, _Seen] = {}
        self._store_errors = 0

    def plan(
        self,
        works: Iterable[tuple[Shard, str]],
        numbers: Mapping[str, int],
        claims: Mapping[tuple[str, str], tuple[ClaimState, ...]],
        quarantined: Mapping[tuple[str, str], Quarantined],
    ) -> None:
        """Queue shards with their work keys, large ones first: a long one begun last keeps all waiting.

        Args:
            works: the shards.
            numbers: the number of a shard's latest commit, where there is one.
            claims: what the ledger knows of earlier attempts.
            quarantined: what it knows of shards that were given up.

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
        """The task, if its shard's earlier attempts leave it one more; else the shard is given up."""
        blamed = [s.failed for s in states if s.failed and s.failed[0] not in (STORE_ERROR, RELEASED)]
        seen = _Seen.of([code for code, _ in blamed], self._max_attempts)
        if blamed:  # most shards never are
            self._seen[task.shard.key] = seen
        unseen = sum(state.failed is None for state in states)
        if seen.count + unseen // UNSEEN_WEIGHT < self._max_attempts:
            return [replace(task, alone=any(code in CRASHES for code, _ in blamed))]
        unknown = ("driver_died", "Whole runs died while this shard was in work.")
        self._give_up(replace(task, attempt=task.attempt - 1), *(blamed[-1] if blamed else unknown))
        return []

    @property
    def waiting(self) -> int:
        """How many attempts wait in the queue."""
        return len(self._queue)

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """The shards that other runs are at."""
        return tuple(task.shard.key for task in self._elsewhere)

    def revisit(self) -> None:
        """See what became of shards that other attempts had; those that nobody is at any more are queued.

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
        """The next attempt to make, or None for now."""
        return self._queue.popleft() if self._queue else None

    def finished(self, task: Task, outcome: Outcome) -> None:
        """Take note of how an attempt ended.

        Raises:
            Fatal: no shard can be done.
            StoreError: the ledger, or one place again and again.
        """
        self.counts.ended(outcome)
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
        """The worker died, or can't be reached: the ledger knows what became of the attempt.

        Args:
            task: the attempt.
            code: one of CRASHES, or RELEASED where its machine was taken away: that counts for nothing.
            message: one sentence.

        Raises:
            StoreError: the ledger can't be read or written.
        """
        latest = self._ledger.latest(task.shard.key)
        commit = latest if latest is not None and latest.work == task.work else None
        self.counts.crashed(commit, code)
        if commit:
            self._ledger.publish(commit)
            self.tally.add(commit)
        else:
            self._failed(task, code, message)

    def released(self, task: Task) -> None:
        """The run stops before the attempt ended: it shall count for nothing. Raises StoreError."""
        self.counts.ends["released"] += 1
        self._ledger.fail(self._claim(task), RELEASED, "The run was told to stop.")

    def _failed(self, task: Task, code: str, message: str) -> None:
        self._ledger.fail(self._claim(task), code, message)
        seen = self._seen.setdefault(task.shard.key, _Seen.of((), self._max_attempts))
        seen.add(code)
        if seen.count < self._max_attempts:
            self.counts.retried(task, code, message)
            alone = task.alone or code in CRASHES
            self._queue.append(replace(task, attempt=task.attempt + 1, alone=alone))
        elif code == STORE_ERROR:
            # The storage is to blame, not the shard: the next run tries it again.
            self.tally.unfinished.append((task.shard.key, message))
        else:
            self._give_up(task, code, message)

    def _give_up(self, task: Task, code: str, message: str) -> None:
        self._ledger.quarantine(self._claim(task), code, message)
        self.tally.quarantined.append((task.shard.key, message))
        self.counts.quarantined(task, code, message)

    def _claim(self, task: Task) -> Claim:
        return Claim(task.shard.key, task.number, task.work, task.attempt, task.run_id)
