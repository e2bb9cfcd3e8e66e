"""The same from Python: `clean(source, destination)` makes destination the cleaned mirror of source.

Each function imports the rooms that it needs when it is called: `pumice --version` and `pumice submit` must
not wait for torch, Ray or Arrow.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from jobs.config import CleanOptions
from jobs.errors import InputError
from jobs.stores.open import open_store
from model.shipped import CLEANER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jobs.driver.job import Job, RunSummary
    from jobs.driver.run import Watcher
    from jobs.ledger.plan import Plan
    from jobs.ledger.runs import RunRecord
    from jobs.remote.submit import Listed, Submitted
    from jobs.report.findings import Findings
    from jobs.review.apply import Applied
    from jobs.review.page import HtmlReport
    from jobs.stores.base import Store
    from jobs.upkeep.gc import Collected
    from jobs.upkeep.status import Status
    from jobs.upkeep.verify import Verification


def clean(
    source: str,
    destination: str,
    options: CleanOptions | None = None,
    watcher: Watcher | None = None,
    *,
    join: bool = False,
) -> RunSummary:
    """Make destination the cleaned mirror of source; idempotent.

    Args:
        source: a folder or `s3://bucket/prefix`; only read.
        destination: a folder or `s3://bucket/prefix`; made if it is not there.
        options: the options; None for the defaults.
        watcher: told of the progress.
        join: share the work of another run that works on this destination.

    Returns:
        What was done.

    Raises:
        InputError: the places, the options or the weights are wrong.
        LeaseHeld: another run works on this destination, and `join` is False.
        StoreError: a place broke; what is committed stays, and the next run does the rest.
    """
    return _run(replace(_job(source, destination, options or CleanOptions()), join=join), watcher)


def resume(
    destination: str, watcher: Watcher | None = None, *, retry_quarantined: bool = False
) -> RunSummary:
    """Go on where the last run stopped, with its source, its weights and its options.

    Args:
        destination: the destination of that run.
        watcher: told of the progress.
        retry_quarantined: try quarantined shards again.

    Raises:
        InputError: no run was made there.
        LeaseHeld, StoreError: as `clean`.
    """
    from jobs.driver.job import Job
    from jobs.ledger.weights import read_weights

    last = _last_run(open_store(destination))
    from_, to = _open_places(last.source, destination)
    options = last.clean_options()
    recipe = options.recipe(last.weights_sha256)
    return _run(Job(from_, to, read_weights(to, recipe), recipe, options, retry_quarantined), watcher)


def plan(source: str, destination: str, options: CleanOptions | None = None) -> Plan:
    """What `clean` would do; writes nothing.

    Raises:
        InputError, StoreError: as `clean`.
    """
    from jobs.ledger.ledger import Ledger
    from jobs.ledger.reviews import read_reviews

    job = _job(source, destination, options or CleanOptions())
    return job.plan(Ledger(job.destination).heads(), read_reviews(job.destination))


def status(destination: str) -> Status:
    """What is done, left, quarantined and in work; writes nothing.

    Raises:
        InputError: it is no place, or can't be read.
        StoreError: it broke, or a newer version wrote it.
    """
    from jobs.upkeep.status import status

    return status(destination)


def verify(destination: str) -> Verification:
    """Compare every committed object with what the ledger says of it; writes nothing.

    Raises:
        InputError, StoreError: as `status`.
    """
    from jobs.upkeep.verify import verify

    return verify(destination)


def gc(destination: str, *, delete: bool = False) -> Collected:
    """Find what crashes left behind, and remove it if `delete`.

    Raises:
        LeaseHeld: a run works on this destination, and `delete` is True.
        InputError, StoreError: as `status`.
    """
    from jobs.upkeep.gc import gc

    return gc(destination, delete=delete)


def findings(destination: str, since: str | None = None) -> Findings:
    """The summary of a report.

    Args:
        destination: a place that was cleaned into.
        since: only pages of runs that began on this day (UTC) or later, as `2026-11-30`.

    Raises:
        InputError, StoreError: as `status`; or `since` is no day.
    """
    from jobs.report.findings import findings

    return findings(destination, since)


def write_html(
    destination: str,
    folder: Path,
    since: str | None = None,
    sample: int = 0,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> HtmlReport:
    """Write the reviewers' page.

    Args:
        destination: a place that was cleaned into.
        folder: a new or empty folder, or one that an earlier call wrote.
        since: only pages of runs that began on this day (UTC) or later, as `2026-11-30`.
        sample: the number of unflagged pages to draw at random.
        progress: told how many pages have their pictures, and how many will.

    Raises:
        DestinationFull: no space is left in the folder.
        InputError, StoreError: as `status`; or the folder or another argument is wrong.
    """
    from jobs.review.page import write_html

    return write_html(destination, folder, since, sample, progress)


def apply_decisions(
    decisions: Path, destination: str | None = None, watcher: Watcher | None = None
) -> Applied:
    """Record what reviewers decided, then do what `resume` does: originals of rejected pages come back.

    Args:
        decisions: a file of decisions: JSON, as the reviewers' page saves it, or CSV.
        destination: where the pages are; None for the destination that the file names.
        watcher: told of the progress.

    Raises:
        InputError: it is no such file, or no run was made there.
        LeaseHeld, StoreError: as `clean`; the same call again does what is left.
    """
    from jobs.review.apply import outcome, record
    from jobs.review.decisions import read_decisions

    file = read_decisions(decisions)
    url = destination or file.destination
    if not url:
        raise InputError(f"{decisions} doesn't say where the pages are: give --destination.")
    to = open_store(url)
    _last_run(to)
    recorded = record(to, file)
    return outcome(to, file, recorded, resume(url, watcher))


def submit(
    source: str, destination: str, cluster: str, options: CleanOptions | None = None, *, join: bool = False
) -> Submitted:
    """Have a Ray cluster do what `clean` does; the same work submitted twice is one job.

    Args:
        source: an address that the cluster's machines understand: `s3://bucket/prefix`, or the absolute path
            of a folder that all of them have.
        destination: an address of the same kinds.
        cluster: the address of its head's dashboard, `http://head:8265`.
        options: as for `clean`, except `address`.
        join: as for `clean`.

    Raises:
        InputError: as `clean`; or the cluster can't be reached, refuses the token, or runs another Ray.
        LeaseHeld: a job with another source or other options works on this destination.
        RayError: the cluster fails.
    """
    from jobs.remote.ray_api import JobsApi
    from jobs.remote.submit import submit
    from jobs.remote.work import Work

    options = options or CleanOptions()
    _open_places(source, destination)
    if options.model == CLEANER and CLEANER.is_file():  # the cluster checks it: here that would load torch
        sha256 = hashlib.sha256(CLEANER.read_bytes()).hexdigest()
    else:
        _, sha256 = _read_weights(options.model)
    work = Work.of(source, destination, options, sha256, join=join)
    return submit(JobsApi(cluster), work, options.model)


def follow(cluster: str, job_id: str, tell: Callable[[str], None]) -> int:
    """Hand a submitted job's lines to `tell` until it has ended; returns its exit code.

    Raises:
        InputError: the address or the token is wrong.
        RayError: the cluster was lost, or no longer knows the job.
    """
    from jobs.remote.ray_api import JobsApi
    from jobs.remote.submit import follow

    return follow(JobsApi(cluster), job_id, tell)


def submitted(cluster: str) -> list[Listed]:
    """The jobs that were submitted to a cluster, the newest first; raises InputError, RayError."""
    from jobs.remote.ray_api import JobsApi
    from jobs.remote.submit import submitted

    return submitted(JobsApi(cluster))


def stop_submitted(cluster: str, job_id: str) -> None:
    """Tell a submitted job to stop; raises InputError if there is none or it has ended, and RayError."""
    from jobs.remote.ray_api import JobsApi
    from jobs.remote.submit import stop

    stop(JobsApi(cluster), job_id)


def _run(job: Job, watcher: Watcher | None) -> RunSummary:
    from jobs.driver.run import Silent, run

    return run(job, watcher or Silent())


def _last_run(to: Store) -> RunRecord:
    from jobs.ledger.runs import last_runs

    runs = last_runs(to, 1)
    if not runs:
        raise InputError(f"No run was made in {to.url} yet: use pumice clean SRC {to.url}.")
    return runs[0]


def _job(source: str, destination: str, options: CleanOptions) -> Job:
    from jobs.driver.job import Job

    weights, sha256 = _read_weights(options.model)
    return Job(*_open_places(source, destination), weights, options.recipe(sha256), options)


def _read_weights(model: Path) -> tuple[bytes, str]:
    """The bytes of the weights and their sha256, checked: wrong weights would end every worker.

    Raises:
        InputError: the file can't be read, or holds no weights that this version can use.
    """
    from model.network.weights import WeightsError, fingerprint, load_weights

    try:
        load_weights(model)
        return model.read_bytes(), fingerprint(model)
    except WeightsError as error:
        raise InputError(str(error)) from error


def _open_places(source: str, destination: str) -> tuple[Store, Store]:
    """Both places.

    Raises:
        InputError: one lies in the other, or an address is wrong.
    """
    from_, to = open_store(source), open_store(destination)
    inner, outer = f"{to.url.rstrip('/')}/", f"{from_.url.rstrip('/')}/"
    if inner.startswith(outer) or outer.startswith(inner):
        raise InputError(
            f"destination {to.url} and source {from_.url} lie in one another: results would be taken for "
            "sources, or written over them; give a destination elsewhere"
        )
    return from_, to
