"""The simulation of scripts/run scale, small: whatever fails and dies, every shard comes to one end."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from jobs.driver.job import RunSummary
from jobs.ledger.plan import find_shards
from jobs.shard.attempt import clean_shard
from jobs.stores.open import open_store
from jobs.stores.s3_client import client
from scripts.scale.__main__ import breaks, loops_table, runs_table
from scripts.scale.fleet import Fates
from scripts.scale.loop import Loop
from scripts.scale.run import Figures, simulate
from scripts.scale.store import CountingStore
from tests.samples import Item, archive, fill, png, task_of, workshop

SHARDS, WORKERS = 2000, 50
ROUGH = Fates(fails=0.02, breaks=0.005, dies=0.01, deadly=0.003)
SMOOTH = Fates(0, 0, 0, 0)
A_SHARD = {
    "CompleteMultipartUpload": 2, "CreateMultipartUpload": 2, "DeleteObject": 1, "HeadObject": 1,
    "ListObjectsV2": 2, "PutObject": 3, "UploadPart": 2,
}  # fmt: skip
"""What a worker asks of the destination for an archive of one part that is cleaned for the first time."""


@pytest.fixture(scope="module")
def rough() -> tuple[Figures, RunSummary]:
    return simulate(SHARDS, WORKERS, ROUGH)


def sums(run: Figures, caller: str) -> Counter[str]:
    found = Counter[str]()
    for (who, operation, _), count in run.requests.items():
        if who == caller:
            found[operation] += count
    return found


def test_every_shard_comes_to_one_end(rough: tuple[Figures, RunSummary]) -> None:
    figures, summary = rough
    quarantined = [key for key, _ in summary.quarantined]
    assert quarantined and figures.attempts > SHARDS + 2 * len(quarantined)
    assert summary.shards + len(quarantined) == SHARDS and not summary.unfinished
    assert len(set(quarantined)) == len(quarantined)
    commits = [
        n
        for (_, kind, folder), n in figures.requests.items()
        if (kind, folder) == ("PutObject", "_pumice/done/")
    ]
    assert commits == [summary.shards]
    assert summary.pages == 100 * summary.shards


def test_requests_a_shard_are_bounded(rough: tuple[Figures, RunSummary]) -> None:
    figures, _ = rough
    assert sums(figures, "workers").total() < 15 * figures.attempts
    assert sums(figures, "driver").total() < 5 * figures.attempts


def test_a_fleet_ten_times_as_large_makes_no_more_requests_a_shard() -> None:
    small, large = (simulate(SHARDS, workers, SMOOTH)[0] for workers in (WORKERS, 10 * WORKERS))
    kinds = sums(small, "workers")
    assert sums(large, "workers") == kinds
    assert sums(large, "driver").total() < 1.1 * sums(small, "driver").total()
    assert {kind: count / SHARDS for kind, count in kinds.items()} == A_SHARD
    assert small.attempts == SHARDS


def test_a_real_worker_makes_the_same_requests(s3_url: str) -> None:
    source, destination = open_store(f"{s3_url}/source"), open_store(f"{s3_url}/cleaned")
    fill(source, {"box.tar": archive("tar", [Item("1.png", png(1))])})
    (shard,) = find_shards(source)
    with workshop(source, destination) as shop, counted() as made:
        clean_shard(task_of(shard), shop)
    assert made == Counter({**A_SHARD, "GetObject": 1})  # which reads the source


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count the requests that this process makes to S3, by operation."""
    made, events = Counter[str](), client().meta.events

    def count(event_name: str, **_: object) -> None:
        made[event_name.rpartition(".")[2]] += 1

    events.register("before-send.s3.*", count)
    yield made
    events.unregister("before-send.s3.*", count)


def test_the_store_lists_as_a_store_does() -> None:
    store = CountingStore()
    for key in ("_pumice/a/2", "_pumice/a/1/x", "_pumice/ab", "box.tar"):
        assert store.create(key, b"one")
    assert not store.create("box.tar", b"other") and store.create("box.tar", b"one")
    assert [info.key for info in store.list("_pumice/a")] == ["_pumice/a/1/x", "_pumice/a/2", "_pumice/ab"]
    store.delete("_pumice/a/1/x")
    assert [info.key for info in store.list("_pumice/a/")] == ["_pumice/a/2"]
    assert list(store.list("nothing/")) == [] and store.get("_pumice/a/1/x") is None
    assert store.requests["driver", "ListObjectsV2", "_pumice/a/"] == 2


def test_what_breaks_is_derived_from_the_figures(rough: tuple[Figures, RunSummary]) -> None:
    run = replace(rough[0], simulated_s=1000.0, compact_s=100.0)  # 50 workers do 2 shards/s; compacting, 20
    loops = [Loop(10, 1, 1, 0.1), Loop(20, 2, 2, 0.4), Loop(40, 4, 2, 1.0)]
    found = breaks(run, loops)
    assert found["the loop's thread is full, Ray's calls included"] == pytest.approx(20 * 2.5**0.5)
    assert found["the journal grows faster than it is compacted"] == pytest.approx(500)
    assert list(found.values()) == sorted(found.values())
    text = runs_table([run]) + loops_table(loops)
    assert "| shards | 2,000 |" in text and "| 40 | 4.0 | 2.0 | 100% |" in text
