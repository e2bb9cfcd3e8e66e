"""The commands that look at a destination, or go on with it: resume, status, report, verify, gc."""

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from jobs import api
from jobs.cli.console import err, out
from jobs.cli.print_run import print_summary
from jobs.cli.print_upkeep import print_collected, print_status, print_verification
from jobs.errors import InputError


class Format(StrEnum):
    """The format of an answer."""

    TEXT = "text"
    JSON = "json"


Destination = Annotated[str, typer.Argument(help="The destination: a folder or s3://bucket/prefix.")]


def resume_command(
    dst: Destination,
    retry_quarantined: Annotated[
        bool, typer.Option("--retry-quarantined", help="Try quarantined shards again.")
    ] = False,
) -> None:
    """Go on where the last run stopped, with its source, weights and options."""
    from jobs.cli.progress import ProgressBar

    with ProgressBar(err) as bar:
        summary = api.resume(dst, bar, retry_quarantined=retry_quarantined)
    print_summary(out, summary, dst)
    raise typer.Exit(summary.exit_code)


def status_command(dst: Destination) -> None:
    """Show what is done, left, quarantined and in work, and how the last runs ended."""
    print_status(out, api.status(dst))


def report_command(
    dst: Destination,
    since: Annotated[
        str | None, typer.Option(help="Only pages of runs that began on this day (UTC) or later: 2026-11-30.")
    ] = None,
    format: Annotated[Format, typer.Option(help="text for people, json for programs.")] = Format.TEXT,  # noqa: A002
    html: Annotated[
        Path | None, typer.Option(help="Write the reviewers' page into this folder; open its index.html.")
    ] = None,
    sample: Annotated[
        int,
        typer.Option(min=0, help="Number of unflagged pages to draw at random for the reviewers' page."),
    ] = 0,
) -> None:
    """Summarize the report: totals, measures before and after cleaning, the worst pages."""
    from jobs.cli.print_report import print_findings, print_html
    from jobs.cli.progress import counting

    if sample and not html:
        raise InputError("--sample draws pages for the reviewers' page: give --html FOLDER with it.")
    if html:
        with counting(err, "pictures") as progress:
            written = api.write_html(dst, html, since, sample, progress)
        if format is Format.JSON:
            out.print_json(json.dumps(asdict(written), default=str))
        else:
            print_html(out, written)
        return
    found = api.findings(dst, since)
    if format is Format.JSON:
        out.print_json(json.dumps(asdict(found)))
    else:
        print_findings(out, found)


def verify_command(dst: Destination) -> None:
    """Hash all committed objects, and match every page with its output and its row; changes nothing."""
    found = api.verify(dst)
    print_verification(out, found)
    raise typer.Exit(found.exit_code)


def gc_command(
    dst: Destination,
    delete: Annotated[bool, typer.Option("--delete", help="Remove it; without this, only list it.")] = False,
) -> None:
    """List or remove what crashes left behind; never what a commit names."""
    print_collected(out, api.gc(dst, delete=delete))
