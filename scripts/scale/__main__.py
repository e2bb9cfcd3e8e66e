"""`scripts/run scale`: what a million shards on 500 cleaners ask of the driver and of S3.

The real driver (`jobs.driver.run.run`: plan, dispatch, ledger, lease, compactions) runs against a store in
memory
and cleaners that live by a simulated clock, some of which fail, die, or meet a shard that kills them. The
loop that stands between it and Ray is measured by itself. Each size has a process of its own. Prints tables,
and the sizes at which things break; --write puts them into ARCHITECTURE.md.
"""

import argparse
import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict

from scripts.blocks import ROOT, machine, write_block
from scripts.scale.feed import measure_played, measure_real
from scripts.scale.fleet import Fates
from scripts.scale.run import Figures, simulate
from scripts.scale.table import assumptions, breaks, breaks_table, kinds_line, loops_table, runs_table

SIZES = (10_000, 100_000, 1_000_000)
FLEETS = (125, 250, 500, 1000, 2000)
ENDS = 40
"""Of attempts, in a loop that is measured."""


def run_apart(shards: int, actors: int) -> Figures:
    """Simulate in a process of its own, whose memory is nobody else's."""
    command = [
        sys.executable,
        "-m",
        "scripts.scale.__main__",
        "--driver",
        str(shards),
        "--actors",
        str(actors),
    ]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    return Figures(**json.loads(told.stdout))


def report(sizes: Sequence[int], actors: int) -> str:
    """Measure everything; the text."""
    real = measure_real(12, 2000, 50)
    loops = [measure_played(fleet, ENDS, real.look_s) for fleet in FLEETS]
    runs = [run_apart(shards, actors) for shards in sizes]
    parts = [
        f"{actors} simulated cleaners. {assumptions()}",
        runs_table(runs),
        kinds_line(runs[-1]),
        loops_table(real, loops),
        breaks_table(breaks(runs, loops)),
        f"{machine()}; `scripts/run scale`.",
    ]
    return "\n\n".join(parts)


def main() -> None:
    """Parse, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shards", type=int, nargs="+", default=SIZES, help="two sizes or more")
    parser.add_argument("--actors", type=int, default=500)
    parser.add_argument("--driver", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    logging.disable(logging.WARNING)  # of failures, which are simulated
    if given.driver:
        print(json.dumps(asdict(simulate(given.driver, given.actors, Fates())[0])))
        return
    text = report(sorted(given.shards), given.actors)
    print(text)
    if given.write:
        write_block(ROOT / "ARCHITECTURE.md", "scale", text)


if __name__ == "__main__":
    main()
