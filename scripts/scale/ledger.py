"""`scripts/run scale.ledger --shards 1000000`: planning against a large ledger: time, memory, requests.

plan: a synthetic ledger of so many commits, as one snapshot, and a source that lists the same shards. What is
measured is what a nightly run with nothing new does with them: read the snapshot, make the shards and their
work keys from the listing, compare. The listing itself is the store's affair.

full: the same number of commits as real records, read one by one: what a run costs that has no snapshot.

requests: shards cleaned to a real S3 server, every request counted by kind.

Each prints its line; --write puts the table into infra/ledger.md.
"""

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from jobs.ledger.commit_log import SNAPSHOTS
from jobs.ledger.heads import SCHEMA, Heads
from jobs.ledger.ledger import Ledger
from jobs.ledger.plan import Shard, make_plan
from jobs.ledger.records import Commit, done_key
from jobs.stores.base import ObjectInfo, Store
from jobs.stores.open import open_store
from scripts.blocks import show_figures

RECIPE = "0123456789abcdef"
DOCS = Path(__file__).parents[2] / "infra" / "ledger.md"


def shard(number: int) -> Shard:
    """The n-th archive of the synthetic source."""
    key = f"{number // 1000:04d}/box-{number:07d}.tar"
    version = hashlib.sha256(key.encode()).hexdigest()[:32]
    return Shard(key, "tar", (ObjectInfo(key, 10**8 + number, version),))


def build_snapshot(store: Store, shards: int) -> int:
    """Write a ledger that was compacted; the snapshot's bytes."""
    tables = []
    for start in range(0, shards, 100_000):
        some = [shard(number) for number in range(start, min(shards, start + 100_000))]
        count = len(some)
        columns = {
            "shard": [one.key.encode() for one in some],
            "work": [one.work_key(RECIPE) for one in some],
            "recipe": [RECIPE] * count,
            "number": [1] * count,
            "damaged": [False] * count,
        }
        arrays = [pa.array(columns.get(field.name, [100] * count), field.type) for field in SCHEMA]
        tables.append(pa.table(arrays, SCHEMA))
    data = Heads(pa.concat_tables(tables)).to_parquet()
    store.put(f"{SNAPSHOTS}000001.parquet", data)
    return len(data)


def build_commits(folder: Path, shards: int) -> None:
    """Write the records of a ledger that has no snapshot; not durably, for it is only read."""
    for number in range(shards):
        one = shard(number)
        commit = Commit(
            shard=one.key, number=1, work=one.work_key(RECIPE), run_id="run", attempt=1, recipe=RECIPE,
            source=one.objects, staged=(), members=100, pages=100, cleaned=100, passed_through=0, failed=0,
            bytes_in=one.size, bytes_out=one.size, pixels=10**9, damaged=None, committed_at="", host="",
        )  # fmt: skip
        path = folder / done_key(one.key, 1)
        path.parent.mkdir(parents=True)
        path.write_bytes(commit.to_json())


def plan(folder: str, shards: int) -> dict[str, float]:
    """Read and compare, in this process: seconds by the clock and of the CPU, and the peak of its memory."""
    store = open_store(folder)
    clocks = (time.perf_counter, time.process_time)
    begun = [clock() for clock in clocks]
    heads = Ledger(store).heads()
    read = [clock() for clock in clocks]
    made = make_plan(map(shard, range(shards)), heads, RECIPE)
    compared = [clock() for clock in clocks]
    assert (made.done, made.todo, made.gone) == (shards, (), ())
    return {
        "read_s": read[0] - begun[0],
        "read_cpu_s": read[1] - begun[1],
        "compare_s": compared[0] - read[0],
        "compare_cpu_s": compared[1] - read[1],
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measure(folder: str, shards: int) -> dict[str, float]:
    """`plan` in a process of its own, whose memory is nobody else's."""
    command = [sys.executable, __file__, "--plan-in", folder, "--shards", str(shards)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    told = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    figures: dict[str, float] = json.loads(told.stdout)
    return figures


def compare(shards: int, full: bool) -> str:
    """A row of the table."""
    with tempfile.TemporaryDirectory(prefix="pumice-bench-") as name:
        if full:
            build_commits(Path(name), shards)
            size = "none: every commit is read"
        else:
            size = f"{build_snapshot(open_store(name), shards) / 1e6:.1f} MB"
        got = measure(name, shards)
    return (
        f"| {shards:,} | {size} | {got['read_s']:.1f} s ({got['read_cpu_s']:.1f} s) "
        f"| {got['compare_s']:.1f} s ({got['compare_cpu_s']:.1f} s) | {got['mib']:,.0f} MiB |"
    )


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count the requests that this process makes to S3, by operation."""
    from jobs.stores.s3_client import client  # noqa: PLC0415 - only this needs boto3

    seen: Counter[str] = Counter()
    events = client().meta.events
    events.register("before-send.s3.*", lambda event_name, **_: seen.update([event_name.rpartition(".")[2]]))
    yield seen


def requests(shards: int) -> str:
    """Clean small archives to S3 in this process; a Markdown list of requests a shard."""
    from jobs.ledger.plan import find_shards  # noqa: PLC0415
    from jobs.shard.attempt import clean_shard  # noqa: PLC0415
    from tests.s3_server import BUCKET, serve_s3  # noqa: PLC0415
    from tests.samples import Item, archive, fill, png, task_of, workshop  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="pumice-bench-") as name, serve_s3(Path(name)):
        source, destination = open_store(f"s3://{BUCKET}/source"), open_store(f"s3://{BUCKET}/cleaned")
        data = archive("tar", [Item(f"{n}.png", png(n)) for n in range(4)])
        fill(source, {f"{number}.tar": data for number in range(shards)})
        found = list(find_shards(source))
        with workshop(source, destination) as shop, counted() as seen:
            for one in found:
                clean_shard(task_of(one), shop)
    total = sum(seen.values()) / shards
    kinds = ", ".join(f"{count / shards:g} {kind}" for kind, count in sorted(seen.items()))
    return f"{total:g} requests a shard (an archive of one part, done for the first time): {kinds}."


def main() -> None:
    """Parse, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shards", type=int, default=1_000_000)
    parser.add_argument("--full", type=int, default=20_000, help="commits to read without a snapshot")
    parser.add_argument("--plan-in", help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    if given.plan_in:
        print(json.dumps(plan(given.plan_in, given.shards)))
        return
    lines = [
        "| committed shards | snapshot | reading (CPU) | comparing (CPU) | memory of the process |",
        "|---|---|---|---|---|",
        *[compare(shards, full=False) for shards in sorted({100_000, given.shards})],
        compare(given.full, full=True),
        "",
        requests(20),
        "",
        f"`scripts/run scale.ledger --shards {given.shards}`, {os.cpu_count()} cores, a local disk.",
    ]
    show_figures(lines, DOCS if given.write else None)


if __name__ == "__main__":
    main()
