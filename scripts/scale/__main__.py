"""`scripts/run scale`: what a run over a million shards on 500 workers asks of the driver and of S3.

The real driver (`jobs.driver.run.run`: plan, dispatch, ledger, lease, compactions) runs with a store in
memory and with workers that live by a simulated clock. Some workers fail or die, or meet a shard that kills
them. The driver's loop is measured by itself on a real Ray. Prints tables, and how many workers break what;
--write puts them into infra/scale.md.
"""

import argparse
import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence

from jobs.driver.feed import SHARDS_IN_FLIGHT
from jobs.stores.base import READERS
from scripts.blocks import ROOT, machine, table, write_block
from scripts.scale.fleet import SECONDS, Fates
from scripts.scale.loop import Loop, measure
from scripts.scale.run import LATENCY_S, Figures, simulate
from scripts.scale.store import READS

SIZES = (10_000, 100_000, 1_000_000)
FLEETS = (125, 250, 500, 1000)
HOUR_S = 3600
# "Your application can achieve at least 3,500 PUT/COPY/POST/DELETE or 5,500 GET/HEAD requests per second per
# partitioned prefix": https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html
WRITES_S, READS_S = 3500, 5500


def runs_table(runs: Sequence[Figures]) -> str:
    """A column for each size."""
    rows: dict[str, Callable[[Figures], str]] = {
        "planning: CPU": lambda run: f"{run.plan_s:,.1f} s",
        "the loop without Ray: CPU a shard": lambda run: f"{1000 * run.loop_s / run.shards:.2f} ms",
        "compactions beside it: CPU and waiting": lambda run: f"{run.compactions:,}: {run.compact_s:,.0f} s",
        "the next run, with nothing to do: CPU": lambda run: f"{run.again_s:,.1f} s",
        "attempts": lambda run: f"{run.attempts:,}",
        "simulated hours, shards/s": lambda run: f"{run.simulated_s / HOUR_S:.1f}, {_pace(run):.1f}",
        "requests a shard: workers, driver": _by_caller,
        "destination: writes/s, reads/s": lambda run: f"{_rate(run, False):,.0f}, {_rate(run, True):,.0f}",
    }
    body = [[name, *[cell(run) for run in runs]] for name, cell in rows.items()]
    return table(["shards", *[f"{run.shards:,}" for run in runs]], body)


def loops_table(loops: Sequence[Loop]) -> str:
    """The driver's loop with fleets of several sizes."""
    rows = [
        [f"{one.workers:,}", f"{one.wanted_s:.1f}", f"{one.shards_s:.1f}", f"{one.busy:.0%}"] for one in loops
    ]
    return table(["workers", "shards/s they can do", "shards/s done", "the loop's thread is busy"], rows)


def breaks(run: Figures, loops: Sequence[Loop]) -> dict[str, float]:
    """What breaks, and at how many workers; the first to break first."""
    workers = run.workers / _pace(run)  # that do one shard/s
    found = {
        "the loop's thread is full, Ray's calls included": _full_loop(loops),
        "the journal grows faster than it is compacted": run.shards / run.compact_s * workers,
        f"the destination, if S3 keeps it in one partition, gets {WRITES_S:,} writes/s":
            WRITES_S / _rate(run, False) * run.workers,
        f"the same: {READS_S:,} reads/s": READS_S / _rate(run, True) * run.workers,
    }  # fmt: skip
    return dict(sorted(found.items(), key=lambda one: one[1]))


def report(sizes: Sequence[int], workers: int) -> str:
    """Measure everything; the text."""
    loops = measure(FLEETS)
    runs = [simulate(shards, workers, Fates())[0] for shards in sizes]
    found = [[what, f"{float(f'{at:.1e}'):,.0f} workers"] for what, at in breaks(runs[-1], loops).items()]
    parts = [
        f"{workers} simulated workers with {SHARDS_IN_FLIGHT} shards in work each. A shard takes "
        f"{SECONDS:g} s, a request {LATENCY_S:g} s, up to {READERS} at once. The CPU time of requests over "
        "a network and the report's table are left out.",
        runs_table(runs),
        "The loop on a real Ray, with workers that only wait:",
        loops_table(loops),
        table(["what breaks", "at"], found),
        f"{machine()}; `scripts/run scale --write`.",
    ]
    return "\n\n".join(parts)


def _pace(run: Figures) -> float:
    return run.shards / run.simulated_s


def _by_caller(run: Figures) -> str:
    sums = Counter[str]()
    for (caller, _, _), count in run.requests.items():
        sums[caller] += count
    return f"{sums['workers'] / run.shards:.1f}, {sums['driver'] / run.shards:.1f}"


def _rate(run: Figures, reads: bool) -> float:
    """Requests on the destination a simulated second."""
    made = sum(count for (_, kind, _), count in run.requests.items() if (kind in READS) == reads)
    return made / run.simulated_s


def _full_loop(loops: Sequence[Loop]) -> float:
    """Where the busy share becomes 1: it grows by a power of the fleet's size, not slower than the fleet."""
    small, *_, large = [one for one in loops if one.shards_s > 0.9 * one.wanted_s]
    power = math.log(large.busy / small.busy) / math.log(large.workers / small.workers)
    return float(large.workers * (1 / large.busy) ** (1 / max(1.0, power)))


def main() -> None:
    """Parse, measure, print, write."""
    parser = argparse.ArgumentParser(
        prog="scripts/run scale", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--shards", type=int, nargs="+", default=SIZES, help="how many shards; a run for each"
    )
    parser.add_argument("--workers", type=int, default=500)
    parser.add_argument("--write", action="store_true", help="into infra/scale.md")
    given = parser.parse_args()
    logging.disable(logging.WARNING)  # of failures, which are simulated
    text = report(sorted(given.shards), given.workers)
    print(text)
    if given.write:
        write_block(ROOT / "infra" / "scale.md", "scale", text)


if __name__ == "__main__":
    main()
