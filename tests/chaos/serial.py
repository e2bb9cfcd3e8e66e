"""A whole run without Ray, in this process: the real `run()` with its lease, and one attempt after another.

So that a test can break it at any step of the protocol, in seconds and as often as it likes.
"""

from collections.abc import Callable
from unittest.mock import patch

from jobs.config import CleanOptions
from jobs.driver import compactor
from jobs.driver import run as runs
from jobs.driver.dispatch import Dispatch
from jobs.driver.job import Job, RunSummary
from jobs.driver.outcome import Outcome
from jobs.driver.run import Silent
from jobs.driver.worker import _outcome_of
from jobs.ledger.plan import Plan
from jobs.shard.attempt import clean_shard
from jobs.shard.meter import Progress
from jobs.stores.base import Store
from tests.samples import RECIPE, workshop


def work(job: Job, plan: Plan, dispatch: Dispatch, watch: Callable[[Progress], None]) -> None:
    """Does what a cluster does, in this process."""
    with workshop(job.source, job.destination) as shop:
        while dispatch.waiting:
            while task := dispatch.next_task():
                try:
                    commit = clean_shard(task, shop)
                except Exception as error:  # noqa: BLE001 - as at the actor boundary
                    outcome = _outcome_of(error, task)
                else:
                    outcome = Outcome("done", commit) if commit else Outcome("lost")
                dispatch.finished(task, outcome)
                watch(Progress())
            dispatch.revisit()


def run_serially(
    source: Store, destination: Store, options: CleanOptions | None = None, *, join: bool = False
) -> RunSummary:
    """Make destination the cleaned mirror of source; raises as `run`."""
    job = Job(source, destination, b"weights", RECIPE, options or CleanOptions(), join=join)
    with patch.object(runs, "_work", work), patch.object(compactor, "COMPACT_AT", 2):
        return runs.run(job, Silent())
