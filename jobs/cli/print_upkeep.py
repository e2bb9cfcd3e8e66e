"""The status of a destination, and what verify and gc found, as a few lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from jobs.cli.console import SHOWN
from jobs.cli.print_run import megabytes, print_gone

if TYPE_CHECKING:
    from jobs.ledger.lease import Holder
    from jobs.ledger.runs import RunRecord
    from jobs.upkeep.gc import Collected
    from jobs.upkeep.status import Status
    from jobs.upkeep.verify import Verification


def print_status(out: Console, status: Status) -> None:
    """Print the totals, then each shard that needs attention, then runs and the lease."""
    plan = status.plan
    left = f"{len(plan.todo)} left ({megabytes(plan.size)})" if plan else "left: unknown"
    out.print(
        f"{status.done:,} shards done, {left}, {len(status.quarantined)} quarantined, "
        f"{len(status.in_flight)} in work."
    )
    if status.unknown:
        out.print(f"What is left is unknown: {status.unknown}", markup=False)
    for held in status.quarantined[:SHOWN]:
        out.print(f"Quarantined: {held.shard}: {held.message} ({held.attempts} attempts)", markup=False)
    for key in status.damaged[:SHOWN]:
        out.print(f"Damaged: {key}: mirrored as it is, its report says what is lost.", markup=False)
    for claim in status.in_flight[:SHOWN]:
        out.print(f"In work: {claim.shard}: attempt {claim.attempt} of run {claim.run_id}", markup=False)
    if plan:
        print_gone(out, plan.gone)
    for one in status.recipes:
        out.print(
            f"Recipe {one.recipe}: {one.shards:,} shards, {one.pages:,} pages: {one.cleaned:,} cleaned, "
            f"{one.passed_through:,} passed through, {one.failed:,} failed; {one.damaged:,} damaged archives."
        )
    for run in status.runs:
        out.print(_run(run), markup=False)
    out.print(_lease(status.holder), markup=False)
    for guest in status.guests:
        dead = ", and is dead" if guest.alive is False else ""
        out.print(f"Run {guest.record.run_id} on {guest.record.host} joined it{dead}.", markup=False)


def print_verification(out: Console, found: Verification) -> None:
    """Print each problem, and the totals."""
    for problem in found.problems:
        out.print(f"{problem.shard}: {problem.what}", markup=False)
    for recipe in dict.fromkeys(one.recipe for one in found.mixed):
        by = ", ".join(f"{one.shards:,} by {one.device}" for one in found.mixed if one.recipe == recipe)
        out.print(f"Recipe {recipe}: shards {by}, which may differ by a few grey levels.", markup=False)
    out.print(
        f"{found.shards:,} shards with {found.pages:,} pages and {megabytes(found.bytes_read)} checked, "
        f"{found.compared:,} of them against the source: {len(found.problems)} problems."
    )


def print_collected(out: Console, found: Collected) -> None:
    """Print each object that can be removed, or was."""
    for one in found.litter:
        out.print(f"{one.key}: {one.why}", markup=False)
    if not found.litter:
        out.print("Nothing to remove.")
    elif found.deleted:
        out.print(f"{len(found.litter)} objects removed.")
    else:
        out.print(f"{len(found.litter)} objects could go: --delete removes them.")


def _run(run: RunRecord) -> str:
    end = "no end recorded" if run.exit_code is None else f"exit {run.exit_code}"
    done = f"{run.shards:,} shards, {run.pages:,} pages"
    by = f", submitted as {run.submission}" if run.submission else ""
    return f"Run {run.run_id} from {run.source}{by}: {end}, {done}. {run.message}".rstrip()


def _lease(holder: Holder | None) -> str:
    if holder is None:
        return "Nobody holds the lease."
    who = f"Run {holder.record.run_id} on {holder.record.host} (process {holder.record.pid})"
    if holder.alive is None:
        return f"{who} holds the lease, if it still lives: it is on another machine."
    return f"{who} holds the lease." if holder.alive else f"{who} held the lease, and is dead."
