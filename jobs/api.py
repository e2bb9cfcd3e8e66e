"""The same from Python: `clean(source, destination)` makes destination the cleaned mirror of source."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from jobs.config import CleanOptions
from jobs.driver.run import Job, RunSummary, Silent, Watcher, run
from jobs.driver.worker import read_weights
from jobs.errors import InputError
from jobs.ledger.ledger import Ledger
from jobs.ledger.plan import Plan
from jobs.ledger.reviews import read_reviews
from jobs.ledger.runs import RunRecord, last_runs
from jobs.remote import submit as clusters
from jobs.remote.ray_api import JobsApi
from jobs.remote.submit import Listed, Submitted
from jobs.remote.work import Work
from jobs.report.findings import Findings, findings
from jobs.review.apply import Applied, outcome, record
from jobs.review.decisions import read_decisions
from jobs.review.page import HtmlReport, write_html
from jobs.stores.base import Store
from jobs.stores.open import open_store
from jobs.upkeep.gc import Collected, gc
from jobs.upkeep.status import Status, status
from jobs.upkeep.verify import Verification, verify
from model.network.weights import WeightsError, fingerprint, load_weights

__all__ = [
    "Applied",
    "Collected",
    "Findings",
    "HtmlReport",
    "Listed",
    "Plan",
    "RunSummary",
    "Silent",
    "Status",
    "Submitted",
    "Verification",
    "Watcher",
    "apply_decisions",
    "clean",
    "findings",
    "follow",
    "gc",
    "plan",
    "resume",
    "status",
    "stop_submitted",
    "submit",
    "submitted",
    "verify",
    "write_html",
]


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
        destination: likewise; made if it is not there.
        options: what else there is to say.
        watcher: told of the progress.
        join: where another run works on this destination, share its work.

    Returns:
        What was done.

    Raises:
        InputError: the places, the options or the weights are wrong.
        LeaseHeld: another run works on this destination, and this one was not told to join.
        StoreError: a place broke; what is committed stays, the next run does the rest.
    """
    job = replace(_job(source, destination, options or CleanOptions()), join=join)
    return run(job, watcher or Silent())


def resume(
    destination: str, watcher: Watcher | None = None, *, retry_quarantined: bool = False
) -> RunSummary:
    """Go on where the last run stopped, with its source, its weights and its options.

    Args:
        destination: what it cleaned into.
        watcher: told of the progress.
        retry_quarantined: try shards again that were given up.

    Raises:
        InputError: no run was made there.
        LeaseHeld, StoreError: as `clean`.
    """
    last = _last_run(open_store(destination))
    from_, to = _open_places(last.source, destination)
    options = last.clean_options()
    recipe = options.recipe(last.weights_sha256)
    return run(
        Job(from_, to, read_weights(to, recipe), recipe, options, retry_quarantined), watcher or Silent()
    )


def apply_decisions(
    decisions: Path, destination: str | None = None, watcher: Watcher | None = None
) -> Applied:
    """Record what reviewers decided, then do what `resume` does: originals of rejected pages come back.

    Args:
        decisions: a file of them, JSON as the report's page saves it or CSV.
        destination: where the pages are; as the file says if not given.
        watcher: told of the progress.

    Returns:
        What came of it.

    Raises:
        InputError: it is no such file, or no run was made there.
        LeaseHeld, StoreError: as `clean`; the same call again does what is left.
    """
    file = read_decisions(decisions)
    url = destination or file.destination
    if not url:
        raise InputError(f"{decisions} doesn't say where the pages are: give --destination.")
    to = open_store(url)
    _last_run(to)
    recorded = record(to, file)
    return outcome(to, file, recorded, resume(url, watcher))


def plan(source: str, destination: str, options: CleanOptions | None = None) -> Plan:
    """What `clean` would do; writes nothing.

    Raises:
        InputError, StoreError: as `clean`.
    """
    job = _job(source, destination, options or CleanOptions())
    return job.plan(Ledger(job.destination).heads(), read_reviews(job.destination))


def submit(
    source: str, destination: str, cluster: str, options: CleanOptions | None = None, *, join: bool = False
) -> Submitted:
    """Have a Ray cluster do what `clean` does; the same work submitted twice is one job.

    Args:
        source: an address that the cluster's machines understand: `s3://bucket/prefix`, or the absolute path
            of a folder that all of them have.
        destination: likewise.
        cluster: the address of its head's dashboard, `http://head:8265`.
        options: as for `clean`, but for `address`.
        join: as for `clean`.

    Raises:
        InputError: as `clean`; or the cluster can't be reached, lets nobody in, or runs another Ray.
        LeaseHeld: it has a job at work on this destination, with another source or other options.
        RayError: it fails.
    """
    options = options or CleanOptions()
    _open_places(source, destination)
    _, sha256 = _read_weights(options.model)
    work = Work.of(source, destination, options, sha256, join=join)
    return clusters.submit(JobsApi(cluster), work, options.model)


def follow(cluster: str, job_id: str, tell: Callable[[str], None]) -> int:
    """Tell a submitted job's lines until it has ended; its exit code.

    Raises:
        InputError: the address or the token is wrong.
        RayError: the cluster was lost, or knows the job no more.
    """
    return clusters.follow(JobsApi(cluster), job_id, tell)


def submitted(cluster: str) -> list[Listed]:
    """The jobs that were submitted to a cluster, the newest first; raises InputError, RayError."""
    return clusters.submitted(JobsApi(cluster))


def stop_submitted(cluster: str, job_id: str) -> None:
    """Tell a submitted job to stop; raises InputError where it is none, or has ended, and RayError."""
    clusters.stop(JobsApi(cluster), job_id)


def _last_run(to: Store) -> RunRecord:
    runs = last_runs(to, 1)
    if not runs:
        raise InputError(f"No run was made in {to.url} yet: use pumice clean SRC {to.url}.")
    return runs[0]


def _job(source: str, destination: str, options: CleanOptions) -> Job:
    weights, sha256 = _read_weights(options.model)
    return Job(*_open_places(source, destination), weights, options.recipe(sha256), options)


def _read_weights(model: Path) -> tuple[bytes, str]:
    """The weights' bytes and their sha256, checked so that a wrong file is a sentence and no dead worker."""
    try:
        load_weights(model)
        return model.read_bytes(), fingerprint(model)
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
