"""What `status` says of a ledger in every state that it can be in; no Ray is needed for any."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from jobs import api
from jobs.cli.print_upkeep import print_status
from jobs.config import CleanOptions, Recipe
from jobs.errors import InputError, Interrupted, StoreError
from jobs.ledger import lease
from jobs.ledger.lease import acquire
from jobs.ledger.ledger import Ledger
from jobs.ledger.plan import find_shards
from jobs.ledger.records import Claim, Commit
from jobs.ledger.runs import RunLog, RunRecord, last_runs, logged
from jobs.shard.attempt import clean_shard
from jobs.stores.base import Store
from jobs.stores.local import LocalStore
from jobs.upkeep.status import Status
from tests.samples import RECIPE, Item, archive, fill, png, task_of, workshop

RECORD = RunRecord(
    "20260101T000000Z-0", 1, "/scans", RECIPE.weights_sha256, RECIPE.fingerprint, {"max_attempts": 2}, "host",
    "0.1", "2026-01-01T00:00:00+00:00",
)  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path / "source")
    fill(store, {name: archive("tar", [Item("1.png", png(1))]) for name in ("a.tar", "b.tar", "c.tar")})
    return store


@pytest.fixture
def destination(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "cleaned")


def clean_some(source: Store, destination: Store, *keys: str) -> list[Commit]:
    with workshop(source, destination) as shop:
        made = [clean_shard(task_of(shard), shop) for shard in find_shards(source) if shard.key in keys]
    commits = [commit for commit in made if commit]
    assert len(commits) == len(keys)
    return commits


def told(status: Status) -> list[str]:
    shown = Console(file=io.StringIO(), width=200, highlight=False, soft_wrap=True)
    print_status(shown, status)
    assert isinstance(shown.file, io.StringIO)
    return shown.file.getvalue().splitlines()


def test_nothing_was_ever_done(destination: LocalStore) -> None:
    assert told(api.status(destination.url)) == [
        "0 shards done, left: unknown, 0 quarantined, 0 in work.",
        "What is left is unknown: no run was made here yet",
        "Nobody holds the lease.",
    ]
    assert not Path(destination.url).exists()


def test_everything_at_once(source: LocalStore, destination: LocalStore) -> None:
    commits = clean_some(source, destination, "a.tar", "b.tar")
    source.delete("b.tar")
    (held,) = [shard for shard in find_shards(source) if shard.key == "c.tar"]
    work = held.work_key(RECIPE.fingerprint)
    ledger = Ledger(destination)
    ledger.quarantine(Claim("c.tar", 1, work, 3, "run-1"), "worker_died", "it died")
    ledger.claim(Claim("d.tar", 1, "work", 1, "run-2"))
    log = RunLog(destination, replace(RECORD, source=source.url))
    log.did(len(commits), sum(one.pages for one in commits), 0)
    log.ended(3)
    with acquire(destination, "run-3"):
        seen = told(api.status(destination.url))
    size = (Path(source.url) / "c.tar").stat().st_size / 1e6
    assert seen[:-1] == [
        f"2 shards done, 1 left ({size:.1f} MB), 1 quarantined, 1 in work.",
        "Quarantined: c.tar: it died (3 attempts)",
        "In work: d.tar: attempt 1 of run run-2",
        "Gone from the source, results kept: b.tar",
        f"Recipe {RECIPE.fingerprint}: 2 shards, 2 pages: 2 cleaned, 0 passed through, 0 failed; "
        "0 damaged archives.",
        f"Run 20260101T000000Z-0 from {source.url}: exit 3, 2 shards, 2 pages.",
    ]
    assert seen[-1].startswith("Run run-3 on ") and seen[-1].endswith("holds the lease.")


def test_damaged_archives_are_named(source: LocalStore, destination: LocalStore) -> None:
    whole = archive("tar", [Item("1.png", png(1)), Item("2.png", png(2))])
    fill(source, {"cut.tar": whole[:700]})
    clean_some(source, destination, "a.tar", "cut.tar")
    said = told(api.status(destination.url))
    assert "Damaged: cut.tar: mirrored as it is, its report says what is lost." in said
    assert sum(line.startswith("Damaged") for line in said) == 1


def test_a_quarantine_ends_when_its_source_is_gone(source: LocalStore, destination: LocalStore) -> None:
    Ledger(destination).quarantine(Claim("c.tar", 1, "work", 3, "run-1"), "x", "it died")
    RunLog(destination, replace(RECORD, source=source.url))
    assert len(api.status(destination.url).quarantined) == 1
    source.delete("c.tar")
    assert api.status(destination.url).quarantined == ()


def test_a_source_that_is_away_hides_nothing_else(destination: LocalStore) -> None:
    RunLog(destination, replace(RECORD, source="/no/such/folder"))
    status = api.status(destination.url)
    assert status.plan is None and "no folder" in status.unknown and len(status.runs) == 1


def test_an_attempt_that_ended_is_not_in_work(source: LocalStore, destination: LocalStore) -> None:
    clean_some(source, destination, "a.tar")
    ledger = Ledger(destination)
    for claim in (
        Claim("a.tar", 1, "old", 1, "r"),
        Claim("c.tar", 1, "w", 1, "r"),
        Claim("c.tar", 1, "w", 2, "r"),
    ):
        ledger.claim(claim)
    ledger.fail(Claim("c.tar", 1, "w", 1, "r"), "x", "y")
    found = ledger.in_flight(ledger.heads())
    assert [(claim.shard, claim.attempt) for claim in found] == [("c.tar", 2)]


def test_who_holds_the_lease(destination: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    held = acquire(destination, "run-1")
    assert told(api.status(destination.url))[-1].endswith("holds the lease.")
    monkeypatch.setattr(lease, "pid_start", lambda pid: "another start")
    assert told(api.status(destination.url))[-1].endswith("held the lease, and is dead.")
    monkeypatch.setattr(lease, "boot_id", lambda: "another boot")
    assert "another machine" in told(api.status(destination.url))[-1]
    held.release()
    assert told(api.status(destination.url))[-1] == "Nobody holds the lease."


def test_runs_are_recorded_however_they_end(
    place: Store, source: LocalStore, destination: LocalStore
) -> None:
    options = CleanOptions(max_attempts=7)
    commits = clean_some(source, destination, "a.tar", "b.tar")
    with logged(place, "20260101T000000Z-a", 1, "/scans", Recipe("w"), options) as log:
        log.did(len(commits), sum(one.pages for one in commits), 0)
        log.ended(0)
    with (
        pytest.raises(Interrupted),
        # A clock that went back: the lease's number tells which run is the newer.
        logged(place, "20200101T000000Z-b", 2, "/scans", Recipe("w"), options) as log,
    ):
        log.did(1, commits[0].pages, 0)
        raise Interrupted("stop")
    with pytest.raises(RuntimeError), logged(place, "20260101T000000Z-c", 3, "/x", Recipe("w"), options):
        raise RuntimeError
    runs = last_runs(place, 9)
    assert [(run.lease, run.exit_code, run.message, run.shards, run.pages) for run in runs] == [
        (3, None, "", 0, 0),
        (2, 130, "stop", 1, 1),
        (1, 0, "", 2, 2),
    ]
    assert runs[0].clean_options() == options and runs[0].weights_sha256 == "w"
    assert len(last_runs(place, 1)) == 1


def test_a_record_of_another_version_is_told(place: Store) -> None:
    place.put("_pumice/runs/x.json", b'{"new": 1}')
    with pytest.raises(StoreError, match="update Pumice"):
        last_runs(place, 1)


def test_a_place_that_is_none() -> None:
    with pytest.raises(InputError):
        api.status("gs://x")
