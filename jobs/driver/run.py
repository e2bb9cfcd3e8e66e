"""One run: take the lease, see what is left, have it done, and say what came of it."""

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from jobs.config import CleanOptions, Recipe
from jobs.driver.compactor import Compactor
from jobs.driver.dispatch import Dispatch
from jobs.driver.worker import WorkerSpec, weights_key
from jobs.errors import LeaseHeld
from jobs.ledger.guests import Guest, begin, busy
from jobs.ledger.heads import Heads
from jobs.ledger.lease import Lease
from jobs.ledger.ledger import Ledger
from jobs.ledger.plan import Plan, find_shards, make_plan
from jobs.ledger.reviews import Review, read_reviews, with_rejections
from jobs.ledger.runs import logged
from jobs.logs import about, figures, wants_json
from jobs.report.compact import compact
from jobs.shard.meter import Progress
from jobs.stores.base import Store

log = logging.getLogger(__name__)


class Watcher(Protocol):
    """Is told how a run goes on."""

    def planned(self, plan: Plan) -> None:
        """What there is to do; once, before anything is done."""

    def progressed(self, progress: Progress) -> None:
        """How far it is, about twice a second."""


class Silent:
    """A watcher that ignores what it is told."""

    def planned(self, plan: Plan) -> None:
        """Do nothing."""

    def progressed(self, progress: Progress) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class RunSummary:
    """What a run did.

    Attributes:
        run_id: names it in the ledger and in the report.
        shards: shards committed by this run; `done_before` were committed already, `kept` of them of
            another recipe; `by_others` by runs beside this one.
        pages: their pages: cleaned + passed_through + failed.
        quarantined: shards that are given up, with the reason.
        unfinished: shards that the next run tries again, with the reason.
        elsewhere: shards that runs beside this one are still at.
        gone: committed shards that the source no longer has.
        seconds: wall time.
    """

    run_id: str
    shards: int
    done_before: int
    kept: int
    by_others: int
    pages: int
    cleaned: int
    passed_through: int
    failed: int
    damaged: int
    pixels: int
    bytes_in: int
    bytes_out: int
    quarantined: tuple[tuple[str, str], ...]
    unfinished: tuple[tuple[str, str], ...]
    elsewhere: tuple[str, ...]
    gone: tuple[str, ...]
    seconds: float

    @property
    def exit_code(self) -> int:
        """0 all is clean; 3 pages failed, or shards are quarantined or were left for the next run."""
        return 3 if self.failed or self.quarantined or self.unfinished else 0


@dataclass(frozen=True)
class Job:
    """What is to be run: both places, the weights' bytes, the recipe they amount to, the options.

    `retry_quarantined` gives what was given up a fresh count; `join` shares the work of a run that is at it.
    """

    source: Store
    destination: Store
    weights: bytes
    recipe: Recipe
    options: CleanOptions
    retry_quarantined: bool = False
    join: bool = False

    def plan(self, heads: Heads, reviews: Mapping[str, Review]) -> Plan:
        """What there is to do after what is committed and decided; raises InputError, StoreError."""
        keep = self.options.recipe_changed == "keep"
        others = {one.recipe for one in heads.recipes()} - {self.recipe.fingerprint} if keep else ()
        shards = with_rejections(find_shards(self.source), reviews)
        return make_plan(shards, heads, self.recipe.fingerprint, sorted(others))


def new_run_id() -> str:
    """A name that no other run has; names sort by time as far as clocks are right."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"


def run(job: Job, watcher: Watcher) -> RunSummary:
    """Do what is left of a job.

    Raises:
        InputError: a place or an option is wrong.
        LeaseHeld: another run works on this destination.
        StoreError: a place broke; what is committed stays, the next run does the rest.
    """
    begun = time.monotonic()
    to, options = job.destination, job.options
    next(
        iter(job.source.list()), None
    )  # a source that is not there must not leave a trace in the destination
    to.probe()
    run_id = new_run_id()
    with (
        about(run=run_id),
        begin(to, run_id, join=job.join) as lease,
        logged(to, run_id, lease.number, job.source.url, job.recipe, options) as record,
    ):
        ledger = _ledger(job)
        heads, reviews = ledger.heads(), read_reviews(to)
        plan = job.plan(heads, reviews)
        _compact(to, lease, heads, reviews)
        dispatch = _dispatch(plan, ledger, job, run_id)
        watcher.planned(plan)
        log.info("run begins", extra=figures(shards=len(plan.todo), bytes=plan.size, done_before=plan.done))
        if dispatch.waiting:
            try:
                with Compactor(ledger, len(heads)) as compactor:
                    _work(job, plan, dispatch, _guarded(watcher, lease, dispatch, compactor))
            finally:  # a run that was told to stop did something too
                record.did(dispatch.tally.shards, dispatch.tally.pages, dispatch.tally.failed)
            ledger.compact()
            _compact(to, lease, ledger.heads(), reviews)
        summary = _summary(run_id, plan, dispatch, time.monotonic() - begun)
        record.ended(summary.exit_code)
        _log_end(summary)
    return summary


def _ledger(job: Job) -> Ledger:
    """The destination's, with what dead runs left rolled forward, and the weights where workers find them."""
    to, ledger = job.destination, Ledger(job.destination)
    if to.stat(weights_key(job.recipe)) is None:
        to.create(weights_key(job.recipe), job.weights)
    ledger.roll_forward()
    if job.retry_quarantined:
        ledger.retry_quarantined()
    ledger.compact()
    return ledger


def _log_end(summary: RunSummary) -> None:
    told = {name: value for name, value in asdict(summary).items() if isinstance(value, int | float)}
    facts = figures(quarantined=len(summary.quarantined), unfinished=len(summary.unfinished), **told)
    log.info("run ended", extra=facts)


def _compact(to: Store, lease: Lease, heads: Heads, reviews: Mapping[str, Review]) -> None:
    """Bring the report's table up to date; one run at a time does, or rows could stand there twice."""
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


def _work(job: Job, plan: Plan, dispatch: Dispatch, watch: Callable[[Progress], None]) -> None:
    from jobs.driver.cluster import Cluster  # noqa: PLC0415 - a run with nothing to do needs no Ray
    from jobs.driver.metrics import publishing  # noqa: PLC0415 - likewise

    options = job.options
    spec = WorkerSpec(
        job.source.url, job.destination.url, job.recipe, options.device, 1, options.max_failed_pages,
        wants_json(),
    )  # fmt: skip
    with Cluster(options) as cluster, publishing(dispatch, watch) as publish:
        while dispatch.waiting:
            cluster.run(dispatch, spec, plan.done + len(plan.todo), publish)
            dispatch.revisit()


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
