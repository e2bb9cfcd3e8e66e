"""Work that a cluster does by itself: submitted, found again, followed, stopped.

A job's id is `pumice-<hash of the destination>-<number>`. A destination has one lease, so of its jobs one
may be under way, and whoever submits takes the number after the highest. Ray takes an id but once: of two who
submit at the same moment one gets the job made, and the other finds it and attaches to it.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.driver.stop import GRACE_S
from jobs.errors import InputError, Interrupted, LeaseHeld, RayError
from jobs.remote.package import make_package
from jobs.remote.ray_api import JobsApi, RayJob
from jobs.remote.work import METADATA, Work

NO_COMMAND = 127
"""A shell's exit code where there is no such command."""

TRIES = 5
POLL_S = 2.0
PATIENCE_S = 300.0
"""How long a job is followed without hearing of its cluster: a head may be started anew."""


@dataclass(frozen=True)
class Submitted:
    """A job that does the work; `attached` if somebody else had submitted it."""

    job_id: str
    attached: bool


@dataclass(frozen=True)
class Listed:
    """A job of Pumice, what it is about, and the last line that it said."""

    job: RayJob
    work: Work
    says: str


def submit(cluster: JobsApi, work: Work, model: Path) -> Submitted:
    """Have a cluster do the work; where it is at it already, that is the job.

    Raises:
        InputError: the cluster can't be reached, lets nobody in, or runs another Ray.
        LeaseHeld: a job with another source or other options works on this destination.
        RayError: the cluster fails.
    """
    cluster.check_version()
    package = ""
    for _ in range(TRIES):
        before = {work.number(job.job_id): job for job in cluster.jobs() if work.number(job.job_id)}
        for job in before.values():
            if not job.ended:
                return _attached(cluster, job, work)
        package = package or _upload(cluster, model)
        job_id = f"{work.stem}{max(before, default=0) + 1}"
        if _made(cluster, job_id, work, package):
            return Submitted(job_id, attached=False)
    raise RayError(
        f"The cluster at {cluster.url} took none of {TRIES} ids for the job: run the same command again."
    )


def follow(cluster: JobsApi, job_id: str, tell: Callable[[str], None]) -> int:
    """Tell a job's lines until it has ended.

    Returns:
        Its exit code: that of `pumice clean`, 130 where it was stopped, 1 where it didn't come to its end.

    Raises:
        RayError: the cluster was lost, or knows the job no more.
    """
    told, heard = 0, time.monotonic()
    while True:
        asked = time.monotonic()
        try:
            job, log = _look(cluster, job_id)
        except (InputError, RayError) as error:
            if asked - heard > PATIENCE_S:
                raise RayError(f"{error} The job may go on: the same command finds it again.") from error
        else:
            if job is None:
                raise RayError(f"The cluster knows {job_id} no more: submit again, what is done stays done.")
            heard = time.monotonic()
            whole = len(log) if job.ended else log.rfind("\n") + 1
            for line in log[told:whole].splitlines():
                tell(line)
            told = max(told, whole)
            if job.ended:
                return _exit_code(job, tell)
        # The log comes whole each time: a long one is asked for less often.
        time.sleep(max(POLL_S, 20 * (time.monotonic() - asked)))


def submitted(cluster: JobsApi) -> list[Listed]:
    """Pumice's jobs on a cluster, the newest first.

    Raises:
        InputError, RayError: as `submit`.
    """
    found = ((job, Work.from_metadata(job.metadata)) for job in cluster.jobs())
    mine = [Listed(job, work, _says(cluster, job)) for job, work in found if work]
    return sorted(mine, key=lambda one: one.job.started, reverse=True)


def stop(cluster: JobsApi, job_id: str) -> None:
    """Tell one of Pumice's jobs to stop; it releases what it has in work.

    Raises:
        InputError: it is none of them, or has ended.
    """
    job = cluster.job(job_id)
    if job is None or Work.from_metadata(job.metadata) is None:
        raise InputError(f"{job_id} is no job of Pumice on {cluster.url}: pumice jobs lists them.")
    if job.ended:
        raise InputError(f"{job_id} has ended already: {job.status.lower()}.")
    cluster.stop(job_id)


def _attached(cluster: JobsApi, job: RayJob, work: Work) -> Submitted:
    if job.metadata.get(METADATA) != work.told:
        raise LeaseHeld(
            f"{job.job_id} works on {work.destination} already, with another source or other options: wait "
            f"for its end, or stop it: pumice jobs --cluster {cluster.url} --stop {job.job_id}"
        )
    return Submitted(job.job_id, attached=True)


def _upload(cluster: JobsApi, model: Path) -> str:
    package = make_package(model)
    return cluster.upload(package.name, package.data)


def _made(cluster: JobsApi, job_id: str, work: Work, package: str) -> bool:
    """Submit under this id; False if somebody else was faster. A lost answer is looked up."""
    nonce = uuid.uuid4().hex
    environment = {**work.settings, "RAY_JOB_STOP_WAIT_TIME_S": f"{GRACE_S + 10:.0f}"}
    request: dict[str, Any] = {
        "submission_id": job_id,
        "entrypoint": work.entrypoint,
        "metadata": {METADATA: work.told, "nonce": nonce},
        "runtime_env": {"working_dir": package, "env_vars": environment},
    }
    try:
        cluster.submit(request)
    except (InputError, RayError):
        job = cluster.job(job_id)
        if job is None:
            raise
        return job.metadata.get("nonce") == nonce
    return True


def _look(cluster: JobsApi, job_id: str) -> tuple[RayJob | None, str]:
    """A job and its log; no log where the machine is gone that had it."""
    job = cluster.job(job_id)
    try:
        return job, cluster.log(job_id) if job else ""
    except RayError:
        return job, ""


def _says(cluster: JobsApi, job: RayJob) -> str:
    text = cluster.log(job.job_id) if job.status == "RUNNING" else job.message
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _exit_code(job: RayJob, tell: Callable[[str], None]) -> int:
    if job.status == "STOPPED":
        return Interrupted.exit_code
    if job.exit_code is None and job.status != "SUCCEEDED":
        for line in job.message.splitlines():  # it never ran, so its log says nothing
            tell(line)
        return RayError.exit_code
    code = job.exit_code or 0
    if code == NO_COMMAND:
        tell("The head knows no `python`: start Ray there with its environment's bin folder in PATH.")
    return code if code >= 0 else 128 - code
