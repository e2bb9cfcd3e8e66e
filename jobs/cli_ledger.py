"""The commands that look after a destination's ledger."""

from typing import Annotated

import typer
from rich.console import Console

from jobs import api
from jobs.progress import ProgressBar
from jobs.status_text import print_collected, print_status, print_verification
from jobs.summary import print_summary

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Destination = Annotated[str, typer.Argument(help="A folder or s3://bucket/prefix that was cleaned into.")]


def resume_command(
    dst: Destination,
    retry_quarantined: Annotated[
        bool, typer.Option("--retry-quarantined", help="Try shards again that were set aside.")
    ] = False,
) -> None:
    """Go on where the last run stopped, with its source, weights and options."""
    with ProgressBar(err) as bar:
        summary = api.resume(dst, bar, retry_quarantined=retry_quarantined)
    print_summary(out, summary, dst)
    raise typer.Exit(summary.exit_code)


def status_command(dst: Destination) -> None:
    """Say what is done, left, set aside and in work, and how the last runs ended."""
    print_status(out, api.status(dst))


def verify_command(dst: Destination) -> None:
    """Hash everything that was committed, and match every page with its output and row; changes nothing."""
    found = api.verify(dst)
    print_verification(out, found)
    raise typer.Exit(found.exit_code)


def gc_command(
    dst: Destination,
    delete: Annotated[bool, typer.Option("--delete", help="Remove it; else only say what would go.")] = False,
) -> None:
    """Remove what crashes left behind; never anything that a commit names."""
    print_collected(out, api.gc(dst, delete=delete))
