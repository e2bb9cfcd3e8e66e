"""A plan and the summary of a run, as a few lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from jobs.driver.job import RunSummary
    from jobs.ledger.plan import Plan


MB, GB = 10**6, 10**9


def print_plan(out: Console, plan: Plan) -> None:
    """Print the shards that a run would clean."""
    for shard in plan.todo:
        files = f", {len(shard.objects)} files" if shard.kind == "files" else ""
        out.print(f"{shard.key}  {shard.kind}, {megabytes(shard.size)}{files}", markup=False)
    out.print(f"{len(plan.todo)} shards to clean ({megabytes(plan.size)}), {plan.done} done before.")
    _print_kept(out, plan.kept)
    print_gone(out, plan.gone)


def print_summary(out: Console, summary: RunSummary, destination: str) -> None:
    """Print what a run did, and each shard that did not succeed."""
    if not (summary.shards or summary.quarantined or summary.unfinished or summary.by_others):
        out.print(f"Nothing to do: {summary.done_before} shards are done.")
    else:
        _print_counts(out, summary)
        for key, reason in summary.quarantined:
            out.print(f"Quarantined: {key}: {reason}", markup=False)
        for key, reason in summary.unfinished:
            out.print(f"Left for the next run: {key}: {reason}", markup=False)
        if summary.by_others:
            out.print(f"{summary.by_others} shards were done by runs beside this one.")
        out.print(f"Report: {destination.rstrip('/')}/_pumice/reports", markup=False)
    if summary.elsewhere:
        out.print(f"{len(summary.elsewhere)} shards are still in work in a run beside this one.")
    _print_kept(out, summary.kept)
    print_gone(out, summary.gone)


def _print_counts(out: Console, summary: RunSummary) -> None:
    seconds = max(1e-3, summary.seconds)
    out.print(
        f"{summary.pages:,} pages in {summary.shards} shards: {summary.cleaned:,} cleaned, "
        f"{summary.passed_through:,} passed through, {summary.failed:,} failed."
    )
    out.print(
        f"{seconds:,.1f} s: {summary.pages / seconds:.1f} pages/s, {summary.pixels / seconds / 1e6:.1f} "
        f"MPixel/s; {megabytes(summary.bytes_in)} in, {megabytes(summary.bytes_out)} out."
    )
    if summary.damaged:
        out.print(f"{summary.damaged} damaged archives were copied as they are.")


def _print_kept(out: Console, kept: int) -> None:
    if kept:
        out.print(f"{kept} shards are another recipe's results: --recipe-changed redo does them again.")


def print_gone(out: Console, gone: tuple[str, ...]) -> None:
    """Print the first shard that the source no longer has, and how many more there are."""
    if gone:
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        out.print(f"Gone from the source, results kept: {gone[0]}{more}", markup=False)


def megabytes(size: int) -> str:
    """A size for people: `12.3 MB`, `4.5 GB`."""
    return f"{size / GB:,.1f} GB" if size >= GB else f"{size / MB:,.1f} MB"
