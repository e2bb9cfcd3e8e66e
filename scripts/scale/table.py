"""What simulated runs came to, as tables, and what of it breaks first."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jobs.driver.feed import SHARDS_IN_FLIGHT
from scripts.blocks import table
from scripts.scale.driver import LATENCY_S
from scripts.scale.feed import PlayedLoop, RealLoop
from scripts.scale.fleet import SECONDS, SOURCE
from scripts.scale.run import Figures
from scripts.scale.store import READS

# "Your application can achieve at least 3,500 PUT/COPY/POST/DELETE or 5,500 GET/HEAD requests per second per
# partitioned prefix": https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html
WRITES_S, READS_S = 3500, 5500
MEMORY_GIB = 8
HOUR_S = 3600


@dataclass(frozen=True)
class Break:
    """Something that breaks: at how many cleaners or shards."""

    what: str
    at: float
    unit: str


def runs_table(runs: Sequence[Figures]) -> str:
    """A column for each size."""
    last = max((run for run in runs if run.table_s is not None), key=lambda run: run.shards, default=None)
    rows: dict[str, Callable[[Figures], str]] = {
        "planning: CPU": lambda run: f"{run.plan_s:,.1f} s",
        "the loop without Ray: CPU a shard": lambda run: f"{_loop_ms(run):.2f} ms",
        "the same: shards/s that fill a core": lambda run: f"{1000 / _loop_ms(run):,.0f}",
        "compactions beside it: CPU": lambda run: f"{run.compactions:,}: {run.compact_s:,.0f} s",
        "the end but for the table: CPU": lambda run: f"{run.end_s:,.1f} s",
        "the report's table: CPU": lambda run: _table_s(run, last),
        "memory when planned, at most": lambda run: f"{run.mib_planned:,.0f}, {run.mib:,.0f} MiB",
        "attempts, shards quarantined": lambda run: f"{run.attempts:,}, {run.quarantined}",
        "simulated hours, shards/s": lambda run: f"{run.simulated_s / HOUR_S:.1f}, {_pace(run):.1f}",
        "requests a shard: cleaners', driver's": _by_caller,
        "destination: writes/s, reads/s": _rates,
        "its folder with most writes": lambda run: _busiest(run, reads=False),
        "its folder with most reads": lambda run: _busiest(run, reads=True),
    }
    body = [[name, *[cell(run) for run in runs]] for name, cell in rows.items()]
    return table(["shards", *[f"{run.shards:,}" for run in runs]], body)


def kinds_line(run: Figures) -> str:
    """All requests a shard, by operation."""
    kinds = Counter[str]()
    for _, operation, _, count in run.requests:
        kinds[operation] += count
    told = ", ".join(f"{count / run.shards:.2f} {kind}" for kind, count in sorted(kinds.items()))
    return f"Requests a shard, failures, retries and the source's included: {told}."


def breaks(runs: Sequence[Figures], loops: Sequence[PlayedLoop]) -> list[Break]:
    """What breaks, the first by cleaners first, then by shards."""
    run = runs[-1]
    cleaners = run.actors / _pace(run)  # that make one shard/s
    writes, reads = _sums(run, reads=False), _sums(run, reads=True)
    waits = run.loop_wait_s / run.simulated_s
    found = [
        Break("the loop's thread is full, Ray's calls included", _full_loop(loops), "cleaners"),
        Break("the loop's thread is full, if Ray cost nothing", 1000 / _loop_ms(run) * cleaners, "cleaners"),
        Break("the loop does nothing but wait to record failures", run.actors / waits, "cleaners"),
        Break("the journal grows faster than it is compacted", _full_compactor(run) * cleaners, "cleaners"),
        Break(
            f"a destination that S3 keeps in one partition gets {WRITES_S:,} writes/s",
            WRITES_S / (writes.total() / run.shards) * cleaners, "cleaners",
        ),
        Break(
            f"the same: {READS_S:,} reads/s", READS_S / (reads.total() / run.shards) * cleaners, "cleaners"
        ),
        Break(
            f"its busiest folder alone gets {WRITES_S:,} writes/s",
            WRITES_S / (max(writes.values()) / run.shards) * cleaners, "cleaners",
        ),
    ]  # fmt: skip
    return sorted(found, key=lambda one: one.at) + sorted(_by_shards(runs), key=lambda one: one.at)


def _by_shards(runs: Sequence[Figures]) -> list[Break]:
    first, last = runs[-2:]
    slope = (last.mib - first.mib) / (last.shards - first.shards)
    memory = last.shards + (MEMORY_GIB * 1024 - last.mib) / slope
    tables = [run.shards / run.table_s * HOUR_S for run in runs if run.table_s]
    found = [Break(f"the driver's memory passes {MEMORY_GIB} GiB", memory, "shards in one run")]
    return found + [Break("the report's table takes an hour of CPU", at, "new shards") for at in tables[-1:]]


def breaks_table(found: Sequence[Break]) -> str:
    """The same as a table."""
    return table(["what breaks", "at"], [[one.what, f"{_round(one.at):,} {one.unit}"] for one in found])


def loops_table(real: RealLoop, loops: Sequence[PlayedLoop]) -> str:
    """The feed's loop at several sizes of the fleet."""
    rows = [
        [f"{one.actors:,}", f"{one.wanted_s:.1f}", f"{one.shards_s:.1f}", f"{one.busy:.0%}"] for one in loops
    ]
    told = (
        f"On a real Ray with {real.actors} cleaners that do nothing the loop hands out {real.shards_s:,.0f} "
        f"shards/s; its thread takes {real.shard_s * 1000:.2f} ms a shard, and {real.look_s * 1000:.2f} ms "
        "to ask a cleaner how it goes. With that, and cleaners that are played:"
    )
    heads = ["cleaners", "shards/s that end", "that the loop takes", "its thread is busy"]
    return f"{told}\n\n{table(heads, rows)}"


def assumptions() -> str:
    """What all figures stand on."""
    return (
        f"A shard takes {SECONDS:g} s, a cleaner has {SHARDS_IN_FLIGHT} at a time, a request of the driver "
        f"takes {LATENCY_S:g} s, 16 at once where it can. CPU of requests over a network is not in it."
    )


def _loop_ms(run: Figures) -> float:
    return (run.loop_s - run.compact_s) / run.shards * 1000


def _table_s(run: Figures, last: Figures | None) -> str:
    if run.table_s is not None or last is None or last.table_s is None:
        return "–" if run.table_s is None else f"{run.table_s:,.0f} s"
    return f"about {last.table_s * run.shards / last.shards:,.0f} s"


def _pace(run: Figures) -> float:
    return run.shards / run.simulated_s


def _by_caller(run: Figures) -> str:
    sums = Counter[str]()
    for caller, _, _, count in run.requests:
        sums[caller] += count
    return f"{sums['workers'] / run.shards:.1f}, {sums['driver'] / run.shards:.1f}"


def _sums(run: Figures, *, reads: bool) -> Counter[str]:
    """Requests on the destination, by folder."""
    sums = Counter[str]()
    for _, operation, folder, count in run.requests:
        if (operation in READS) == reads and folder != SOURCE:
            sums[folder] += count
    return sums


def _rates(run: Figures) -> str:
    return ", ".join(f"{_sums(run, reads=reads).total() / run.simulated_s:,.0f}" for reads in (False, True))


def _busiest(run: Figures, *, reads: bool) -> str:
    folder, count = _sums(run, reads=reads).most_common(1)[0]
    return f"{folder} {count / run.simulated_s:,.0f}/s"


def _full_compactor(run: Figures) -> float:
    """Commits/s that fill the compactor's thread."""
    return run.shards / (run.compact_s + run.compact_wait_s)


def _full_loop(loops: Sequence[PlayedLoop]) -> float:
    """Where the busy share is 1: it grows with the fleet by a power that the last two free loops tell."""
    free = [one for one in loops if one.shards_s > 0.95 * one.wanted_s][-2:]
    small, large = free
    power = math.log(large.busy / small.busy) / math.log(large.actors / small.actors)
    return float(large.actors * (1 / large.busy) ** (1 / power))


def _round(number: float) -> int:
    """Two digits that count."""
    return int(float(f"{number:.1e}"))
