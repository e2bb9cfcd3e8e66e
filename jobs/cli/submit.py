"""`pumice submit` and `pumice jobs`: jobs that a Ray cluster runs on its own."""

from typing import Annotated

import typer

from jobs import api
from jobs.cli.console import SHOWN, out
from jobs.cli.options import Join, Place, takes_options
from jobs.config import CleanOptions
from jobs.errors import Interrupted
from jobs.text import one_line

Cluster = Annotated[str, typer.Option(help="The address of the dashboard of Ray's head: http://HEAD:8265.")]


@takes_options("address")
def submit_command(
    src: Place,
    dst: Place,
    options: CleanOptions,
    cluster: Cluster,
    follow: Annotated[
        bool, typer.Option("--follow", help="Print the job's output, and exit with its code.")
    ] = False,
    join: Join = False,
) -> None:
    """Have a Ray cluster do what `clean` does; it goes on when this machine is off."""
    job = api.submit(src, dst, cluster, options, join=join)
    if job.attached:
        out.print(f"This work is under way on the cluster as {job.job_id}.")
    else:
        out.print(f"Submitted as {job.job_id}.")
    if not follow:
        out.print(_remedies(cluster, job.job_id), markup=False)
        return
    try:
        code = api.follow(cluster, job.job_id, _tell)
    except (KeyboardInterrupt, Interrupted):
        out.print(f"{job.job_id} goes on. {_remedies(cluster, job.job_id)}", markup=False)
        raise typer.Exit(Interrupted.exit_code) from None
    out.print(f"{job.job_id} ended with exit code {code}.")
    raise typer.Exit(code)


def jobs_command(
    cluster: Cluster,
    stop: Annotated[
        str | None, typer.Option(help="Stop this job; a later one goes on with its work.")
    ] = None,
) -> None:
    """List the jobs that were submitted to a cluster, or stop one."""
    if stop is not None:
        api.stop_submitted(cluster, stop)
        out.print(f"{stop} was told to stop: it may take half a minute to release what it has in work.")
        return
    found = api.submitted(cluster)
    for one in found[:SHOWN]:
        # Ray calls every code but 0 a failure.
        how = one.job.status.lower() if one.job.exit_code is None else f"exit {one.job.exit_code}"
        _tell(f"{one.job.job_id}  {how}, since {one.job.started:%Y-%m-%d %H:%M} UTC")
        _tell(f"    {one.work.source} -> {one.work.destination}")
        if one.says:
            _tell(f"    {one.says}")
    if len(found) > SHOWN:
        out.print(f"{len(found) - SHOWN:,} older ones.")
    if not found:
        out.print("No job of Pumice was submitted there.")


def _remedies(cluster: str, job_id: str) -> str:
    return (
        f"The same command with --follow shows it; pumice jobs --cluster {cluster} --stop {job_id} stops it."
    )


def _tell(line: str) -> None:
    out.print(one_line(line), markup=False)
