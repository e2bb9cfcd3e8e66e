"""Jobs that a cluster runs by itself: submit, find again, follow, stop.

A job's id is `pumice-<hash of the destination>-<number>`. A destination has one lease, so one of its jobs may
run at a time, and a new job takes the number after the highest. Ray accepts an id once: if two users submit
at the same moment, one makes the job, and the other finds it and attaches to it.
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
"""A job is followed this long while its cluster does not answer: a head may be restarted."""


@dataclass(frozen=True)
class Submitted:
    """A job that does the work; `attached` if it was submitted before."""

    job_id: str
    attached: bool


@dataclass(frozen=True)
class Listed:
    """A job of Pumice, its work, and the last line of its log."""

    job: RayJob
    work: Work
    says: str


def submit(cluster: JobsApi, work: Work, model: Path) -> Submitted:
    """Have a cluster do the work; if a job for this work runs there, attach to it.

    Raises:
        InputError: the cluster can't be reached, refuses this user, or runs another Ray.
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
    """Pass the lines of a job's log to `tell` until the job has ended.

    Returns:
        Its exit code: that of `pumice clean`; 130 if it was stopped, 1 if it did not run to its end.

    Raises:
        RayError: the cluster was lost, or no longer knows the job.
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
                raise RayError(f"The cluster no longer knows {job_id}: submit again; done work stays done.")
            heard = time.monotonic()
            whole = len(log) if job.ended else log.rfind("\n") + 1
            for line in log[told:whole].splitlines():
                tell(line)
            told = max(told, whole)
            if job.ended:
                return _exit_code(job, tell)
        # Each answer has the whole log: a long one is asked for less often.
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
    """Tell one of Pumice's jobs to stop; it releases its attempts in work.

    Raises:
        InputError: it is no job of Pumice, or has ended.
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
    """Submit under this id; False if another user was faster. Looks the job up if the answer gets lost."""
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
    """A job and its log, which is empty if the machine that had it is gone."""
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
        for line in job.message.splitlines():  # it never ran, so its log is empty
            tell(line)
        return RayError.exit_code
    code = job.exit_code or 0
    if code == NO_COMMAND:
        tell("The head has no `python`: start Ray there with its environment's bin folder in PATH.")
    return code if code >= 0 else 128 - code
