"""One run: take the lease, plan, have the shards cleaned, and sum up."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import Protocol

from jobs.driver.compactor import Compactor
from jobs.driver.dispatch import Dispatch
from jobs.driver.job import Job, RunSummary, WorkerSpec, new_run_id
from jobs.driver.tally import Tally
from jobs.errors import LeaseHeld
from jobs.ledger.guests import Guest, begin, busy
from jobs.ledger.heads import Heads
from jobs.ledger.lease import Lease
from jobs.ledger.ledger import Ledger
from jobs.ledger.plan import Plan
from jobs.ledger.reviews import Review, read_reviews
from jobs.ledger.runs import RunLog, logged
from jobs.ledger.weights import weights_key
from jobs.logs import about, figures, wants_json
from jobs.report.compact import compact
from jobs.shard.meter import Progress
from jobs.stores.base import Store

log = logging.getLogger(__name__)


class Watcher(Protocol):
    """An observer of a run."""

    def planned(self, plan: Plan) -> None:
        """Called once, before anything is cleaned, with what there is to do."""

    def progressed(self, progress: Progress) -> None:
        """Called about twice a second with the progress so far."""


class Silent:
    """A watcher that does nothing."""

    def planned(self, plan: Plan) -> None:
        """Do nothing."""

    def progressed(self, progress: Progress) -> None:
        """Do nothing."""


def run(job: Job, watcher: Watcher) -> RunSummary:
    """Clean what a job has left to do.

    Raises:
        InputError: a place or an option is wrong.
        LeaseHeld: another run works on this destination.
        StoreError: a place broke; what is committed stays, and the next run does the rest.
    """
    begun = time.monotonic()
    to = job.destination
    next(iter(job.source.list()), None)  # if the source can't be read, nothing is written to the destination
    to.probe()
    run_id = new_run_id()
    with (
        about(run=run_id),
        begin(to, run_id, join=job.join) as lease,
        logged(to, run_id, lease.number, job.source.url, job.recipe, job.options) as record,
    ):
        ledger = _prepared_ledger(job)
        heads, reviews = ledger.heads(), read_reviews(to)
        plan = job.plan(heads, reviews)
        _compact(to, lease, heads, reviews)
        dispatch = _dispatch(plan, ledger, job, run_id)
        watcher.planned(plan)
        log.info("run begins", extra=figures(shards=len(plan.todo), bytes=plan.size, done_before=plan.done))
        if dispatch.waiting:
            with _noting(record, dispatch.tally), Compactor(ledger, len(heads)) as compactor:
                _work(job, plan, dispatch, _guarded(watcher, lease, dispatch, compactor))
            ledger.compact()
            _compact(to, lease, ledger.heads(), reviews)
        summary = _summary(run_id, plan, dispatch, time.monotonic() - begun)
        record.ended(summary.exit_code)
        _log_end(summary)
    return summary


def _prepared_ledger(job: Job) -> Ledger:
    """The destination's ledger, after the remains of dead runs are dealt with and the weights are there."""
    to, ledger = job.destination, Ledger(job.destination)
    if to.stat(weights_key(job.recipe)) is None:
        to.create(weights_key(job.recipe), job.weights)
    ledger.roll_forward()
    if job.retry_quarantined:
        ledger.retry_quarantined()
    ledger.compact()
    return ledger


def _compact(to: Store, lease: Lease, heads: Heads, reviews: Mapping[str, Review]) -> None:
    """Update the report's table; only the lease's holder does, because two runs could write rows twice."""
    if not isinstance(lease, Guest):
        compact(to, heads, reviews)


def _dispatch(plan: Plan, ledger: Ledger, job: Job, run_id: str) -> Dispatch:
    others = partial(busy, job.destination, run_id)
    dispatch = Dispatch(ledger, run_id, job.options.max_attempts, others)
    if plan.todo:
        recipe = job.recipe.fingerprint
        works = ((shard, shard.work_key(recipe)) for shard in plan.todo)
        dispatch.plan(works, plan.numbers, ledger.claims(), ledger.quarantined())
    return dispatch


@contextmanager
def _noting(record: RunLog, tally: Tally) -> Iterator[None]:
    """Note in the run's record what the block committed, even if it ends with an error."""
    try:
        yield
    finally:
        record.did(tally.shards, tally.pages, tally.failed)


def _guarded(
    watcher: Watcher, lease: Lease, dispatch: Dispatch, compactor: Compactor
) -> Callable[[Progress], None]:
    """Pass progress on, keep the journal short, and stop as soon as another run has taken over."""

    def watch(progress: Progress) -> None:
        if lease.lost:
            raise LeaseHeld("Another run took this destination over, because this one seemed dead.")
        compactor.look(dispatch.tally.shards)
        watcher.progressed(progress)

    return watch


def _work(job: Job, plan: Plan, dispatch: Dispatch, watch: Callable[[Progress], None]) -> None:
    """Have the queue worked off on Ray."""
    from jobs.driver.cluster import Cluster  # noqa: PLC0415 - a run with nothing to do needs no Ray
    from jobs.driver.metrics import publishing  # noqa: PLC0415 - the same

    options = job.options
    spec = WorkerSpec(
        job.source.url, job.destination.url, job.recipe, options.device, 1, options.max_failed_pages,
        wants_json(),
    )  # fmt: skip
    with Cluster(options) as cluster, publishing(dispatch, watch) as publish:
        while dispatch.waiting:
            cluster.run(dispatch, spec, plan.done + len(plan.todo), publish)
            dispatch.revisit()


def _summary(run_id: str, plan: Plan, dispatch: Dispatch, seconds: float) -> RunSummary:
    tally = dispatch.tally
    return RunSummary(
        run_id=run_id,
        shards=tally.shards,
        done_before=plan.done,
        kept=plan.kept,
        by_others=tally.by_others,
        pages=tally.pages,
        cleaned=tally.cleaned,
        passed_through=tally.passed_through,
        failed=tally.failed,
        damaged=tally.damaged,
        pixels=tally.pixels,
        bytes_in=tally.bytes_in,
        bytes_out=tally.bytes_out,
        quarantined=tuple(tally.quarantined),
        unfinished=tuple(tally.unfinished),
        elsewhere=dispatch.elsewhere,
        gone=plan.gone,
        seconds=seconds,
    )


def _log_end(summary: RunSummary) -> None:
    told = {name: value for name, value in asdict(summary).items() if isinstance(value, int | float)}
    facts = figures(quarantined=len(summary.quarantined), unfinished=len(summary.unfinished), **told)
    log.info("run ended", extra=facts)
