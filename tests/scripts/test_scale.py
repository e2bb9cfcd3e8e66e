"""The simulation of scripts/run scale, small: whatever fails and dies, every shard comes to one end."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import patch

import pytest

from jobs.driver.run import RunSummary
from scripts.scale import run as simulate_run
from scripts.scale.feed import PlayedLoop, RealLoop, measure_played
from scripts.scale.fleet import Fates
from scripts.scale.run import Figures, simulate
from scripts.scale.store import MemoryStore
from scripts.scale.table import breaks, breaks_table, loops_table, runs_table

SHARDS, ACTORS = 2000, 50
ROUGH = Fates(fails=0.02, breaks=0.005, dies=0.01, deadly=0.003)
SMOOTH = Fates(0, 0, 0, 0)


@pytest.fixture(scope="module", autouse=True)
def no_table() -> Iterator[None]:
    """Making the report's table takes most of a run's time, and has tests of its own."""
    with patch.object(simulate_run, "TABLE_AT_MOST", 0):
        yield


@pytest.fixture(scope="module")
def rough(no_table: None) -> tuple[Figures, RunSummary]:
    return simulate(SHARDS, ACTORS, ROUGH)


def sums(run: Figures, caller: str) -> Counter[str]:
    found = Counter[str]()
    for who, operation, _, count in run.requests:
        if who == caller:
            found[operation] += count
    return found


def test_every_shard_comes_to_one_end(rough: tuple[Figures, RunSummary]) -> None:
    figures, summary = rough
    assert figures.quarantined > 0 and figures.attempts > SHARDS + 2 * figures.quarantined
    assert summary.shards + len(summary.quarantined) == SHARDS and not summary.unfinished
    assert len({key for key, _ in summary.quarantined}) == len(summary.quarantined)
    commits = [one[3] for one in figures.requests if one[1:3] == ("PutObject", "_pumice/done/")]
    assert commits == [summary.shards]
    assert summary.pages == 100 * summary.shards


def test_requests_a_shard_are_bounded(rough: tuple[Figures, RunSummary]) -> None:
    figures, _ = rough
    assert sums(figures, "workers").total() < 15 * figures.attempts
    assert sums(figures, "driver").total() < 5 * figures.attempts


def test_a_fleet_ten_times_as_large_makes_no_more_requests_a_shard() -> None:
    small, large = (simulate(SHARDS, actors, SMOOTH)[0] for actors in (ACTORS, 10 * ACTORS))
    kinds = sums(small, "workers")
    assert sums(large, "workers") == kinds
    assert sums(large, "driver").total() < 1.1 * sums(small, "driver").total()
    # As scripts/run scale.ledger counts on a real S3 server, for an archive of one part.
    assert {kind: count / SHARDS for kind, count in kinds.items()} == {
        "CompleteMultipartUpload": 2, "CreateMultipartUpload": 2, "DeleteObject": 1, "GetObject": 1,
        "HeadObject": 1, "ListObjectsV2": 2, "PutObject": 3, "UploadPart": 2,
    }  # fmt: skip
    assert small.attempts == small.committed == SHARDS


def test_the_store_lists_as_a_store_does() -> None:
    store = MemoryStore()
    for key in ("_pumice/a/2", "_pumice/a/1/x", "_pumice/ab", "box.tar"):
        assert store.create(key, b"one")
    assert not store.create("box.tar", b"other") and store.create("box.tar", b"one")
    assert [info.key for info in store.list("_pumice/a")] == ["_pumice/a/1/x", "_pumice/a/2", "_pumice/ab"]
    store.delete("_pumice/a/1/x")
    assert [info.key for info in store.list("_pumice/a/")] == ["_pumice/a/2"]
    assert list(store.list("nothing/")) == [] and store.get("_pumice/a/1/x") is None
    assert store.requests["workers", "ListObjectsV2", "_pumice/a/"] == 2


def test_a_played_loop_hands_out_what_ends() -> None:
    loop = measure_played(20, 30, 0.0)
    assert loop.actors == 20 and loop.shards_s == pytest.approx(loop.wanted_s, rel=0.2) and 0 < loop.busy < 1


def test_what_breaks_is_derived_from_the_figures(rough: tuple[Figures, RunSummary]) -> None:
    small, large = (replace(rough[0], shards=n, mib=mib) for n, mib in ((1000, 1024.0), (2000, 2048.0)))
    loops = [PlayedLoop(10, 1, 1, 0.1), PlayedLoop(20, 2, 2, 0.4), PlayedLoop(40, 2, 4, 1.0)]
    found = {one.what: one.at for one in breaks([small, large], loops)}
    assert found["the driver's memory passes 8 GiB"] == pytest.approx(8000)
    full = found["the loop's thread is full, Ray's calls included"]
    assert full == pytest.approx(20 * 2.5**0.5)
    cleaners = [one for one in breaks([small, large], loops) if one.unit == "cleaners"]
    assert cleaners == sorted(cleaners, key=lambda one: one.at)
    assert "| 32 cleaners |" in breaks_table(cleaners)
    text = runs_table([small, large]) + loops_table(RealLoop(8, 500.0, 1e-3, 1e-4), loops)
    assert "| shards | 1,000 | 2,000 |" in text and "| 40 | 4.0 | 2.0 | 100% |" in text
