"""The same from Python: `clean(source, destination)` makes destination the cleaned mirror of source."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from jobs.commit_log import COMPACT_AT
from jobs.config import CleanOptions, Recipe
from jobs.dispatch import Dispatch, Tally
from jobs.errors import InputError, LeaseHeld
from jobs.heads import Heads
from jobs.lease import Lease, acquire
from jobs.ledger import Ledger
from jobs.meter import Progress
from jobs.places import open_store
from jobs.plan import Plan, find_shards, make_plan
from jobs.store import Store
from jobs.worker import WorkerSpec, weights_key
from model.weights import WeightsError, fingerprint, load_weights


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
            another recipe.
        pages: their pages: cleaned + passed_through + failed.
        quarantined: shards that are given up, with the reason.
        unfinished: shards that the next run tries again, with the reason.
        gone: committed shards that the source no longer has.
        seconds: wall time.
    """

    run_id: str
    shards: int
    done_before: int
    kept: int
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
    gone: tuple[str, ...]
    seconds: float

    @property
    def exit_code(self) -> int:
        """0 all is clean; 3 pages failed, or shards are quarantined or were left for the next run."""
        return 3 if self.failed or self.quarantined or self.unfinished else 0


def clean(
    source: str, destination: str, options: CleanOptions | None = None, watcher: Watcher | None = None
) -> RunSummary:
    """Make destination the cleaned mirror of source; idempotent.

    Args:
        source: a folder or `s3://bucket/prefix`; only read.
        destination: likewise; made if it is not there.
        options: what else there is to say.
        watcher: told of the progress.

    Returns:
        What was done.

    Raises:
        InputError: the places, the options or the weights are wrong.
        LeaseHeld: another run works on this destination.
        StoreError: a place broke; what is committed stays, the next run does the rest.
    """
    begun = time.monotonic()
    options, watcher = options or CleanOptions(), watcher or Silent()
    weights, recipe = _read_weights(options.model)
    from_, to = _open_places(source, destination)
    next(iter(from_.list()), None)  # a source that is not there must not leave a trace in the destination
    to.probe()
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"
    with acquire(to, run_id) as lease:
        ledger = Ledger(to)
        ledger.roll_forward()
        plan = _plan(from_, ledger.compact(), recipe, options)
        dispatch = _dispatch(plan, ledger, recipe, run_id, options)
        watcher.planned(plan)
        if dispatch.waiting:
            spec = WorkerSpec(from_.url, to.url, recipe, options.device, threads=1)
            to.create(weights_key(recipe), weights)
            shards = plan.done + len(plan.todo)
            _run(dispatch, spec, options, shards, _guarded(watcher, lease, dispatch, ledger))
            ledger.compact()
    return _summary(run_id, plan, dispatch.tally, time.monotonic() - begun)


def plan(source: str, destination: str, options: CleanOptions | None = None) -> Plan:
    """What `clean` would do; writes nothing.

    Raises:
        InputError, StoreError: as `clean`.
    """
    options = options or CleanOptions()
    _, recipe = _read_weights(options.model)
    from_, to = _open_places(source, destination)
    return _plan(from_, Ledger(to).heads(), recipe, options)


def _read_weights(model: Path) -> tuple[bytes, Recipe]:
    """The weights' bytes, checked here so that a wrong file is one sentence and not a dead worker."""
    try:
        load_weights(model)
        return model.read_bytes(), Recipe(fingerprint(model))
    except WeightsError as error:
        raise InputError(str(error)) from error


def _open_places(source: str, destination: str) -> tuple[Store, Store]:
    """Both places, if neither lies in the other.

    Raises:
        InputError: they overlap, or an address is wrong.
    """
    from_, to = open_store(source), open_store(destination)
    inner, outer = f"{to.url.rstrip('/')}/", f"{from_.url.rstrip('/')}/"
    if inner.startswith(outer) or outer.startswith(inner):
        raise InputError(
            f"destination {to.url} and source {from_.url} lie in one another: results would be taken for "
            "sources, or written over them; give a destination elsewhere"
        )
    return from_, to


def _plan(source: Store, heads: Heads, recipe: Recipe, options: CleanOptions) -> Plan:
    known = {one.recipe for one in heads.recipes()} if options.recipe_changed == "keep" else set()
    return make_plan(find_shards(source), heads, recipe.fingerprint, sorted(known - {recipe.fingerprint}))


def _dispatch(plan: Plan, ledger: Ledger, recipe: Recipe, run_id: str, options: CleanOptions) -> Dispatch:
    dispatch = Dispatch(ledger, run_id, options.max_attempts)
    if plan.todo:
        works = [(shard, shard.work_key(recipe.fingerprint)) for shard in plan.todo]
        dispatch.plan(works, plan.numbers, ledger.claims())
    return dispatch


def _run(
    dispatch: Dispatch,
    spec: WorkerSpec,
    options: CleanOptions,
    shards: int,
    watch: Callable[[Progress], None],
) -> None:
    from jobs.cluster import Cluster  # noqa: PLC0415 - a run with nothing to do needs no Ray

    with Cluster(options) as cluster:
        cluster.run(dispatch, spec, shards, watch)


def _guarded(
    watcher: Watcher, lease: Lease, dispatch: Dispatch, ledger: Ledger
) -> Callable[[Progress], None]:
    """Pass progress on, keep the journal short, and stop as soon as another run has taken over."""
    compacted = 0

    def watch(progress: Progress) -> None:
        nonlocal compacted
        if lease.lost:
            raise LeaseHeld("Another run took this destination over, because this one seemed dead.")
        if len(dispatch.tally.commits) >= compacted + COMPACT_AT:
            compacted = len(dispatch.tally.commits)
            ledger.compact()
        watcher.progressed(progress)

    return watch


def _summary(run_id: str, plan: Plan, tally: Tally, seconds: float) -> RunSummary:
    commits = tally.commits
    return RunSummary(
        run_id=run_id,
        shards=len(commits),
        done_before=plan.done,
        kept=plan.kept,
        pages=sum(c.pages for c in commits),
        cleaned=sum(c.cleaned for c in commits),
        passed_through=sum(c.passed_through for c in commits),
        failed=sum(c.failed for c in commits),
        damaged=sum(c.damaged is not None for c in commits),
        pixels=sum(c.pixels for c in commits),
        bytes_in=sum(c.bytes_in for c in commits),
        bytes_out=sum(c.bytes_out for c in commits),
        quarantined=tuple(tally.quarantined),
        unfinished=tuple(tally.unfinished),
        gone=plan.gone,
        seconds=seconds,
    )
