"""`pumice review`: applies what reviewers decided about pages."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from jobs import api
from jobs.cli.console import SHOWN, err, out
from jobs.cli.print_run import print_summary
from jobs.review.sampling import CONFIDENCE, SampleFinding

if TYPE_CHECKING:
    from jobs.review.apply import Applied

review_app = typer.Typer(help="Apply the decisions of reviewers.", no_args_is_help=True)


@review_app.command("apply")
def apply_command(
    decisions: Annotated[
        Path, typer.Argument(help="The JSON or CSV file that the reviewers' page exported.")
    ],
    destination: Annotated[
        str | None, typer.Option(help="The destination, if the file names none or another one.")
    ] = None,
) -> None:
    """Record decisions: rejected pages become their originals again, accepted pages need no more review."""
    from jobs.cli.progress import ProgressBar

    with ProgressBar(err) as bar:
        applied = api.apply_decisions(decisions, destination, bar)
    print_applied(out, applied)
    print_summary(out, applied.run, applied.destination)
    raise typer.Exit(applied.exit_code)


def print_applied(to: Console, applied: "Applied") -> None:
    """Print what is recorded, what was skipped, and the bound that the sample gives."""
    to.print(f"{applied.accepted:,} pages accepted, {applied.rejected:,} rejected.")
    for one in applied.skipped[:SHOWN]:
        page = f" page {one.page_index + 1}" if one.page_index else ""
        to.print(f"Skipped: {one.shard}: {one.member}{page} {one.why}.", markup=False)
    if len(applied.skipped) > SHOWN:
        to.print(f"Skipped: {len(applied.skipped) - SHOWN:,} more.")
    if applied.sample:
        to.print(_bound(applied.sample))


def _bound(found: SampleFinding) -> str:
    of_drawn = f" of {found.size:,}" if found.size and found.size != found.decided else ""
    pages = ""
    if found.population is not None:
        pages = f", {math.floor(found.at_most * found.population):,} of {found.population:,} pages"
    return (
        f"Sample: {found.decided:,}{of_drawn} drawn pages decided, {found.rejected:,} rejected. With "
        f"{CONFIDENCE:.0%} confidence at most {found.at_most:.2%} of the pages that nothing flagged are "
        f"faulty{pages}."
    )
