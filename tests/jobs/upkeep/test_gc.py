"""What may be removed, and what never."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace

import pytest

from jobs.errors import LeaseHeld
from jobs.ledger.lease import acquire
from jobs.ledger.ledger import Ledger
from jobs.ledger.records import Claim
from jobs.stores.base import Store
from jobs.upkeep.gc import MIN_AGE_S, gc
from tests.jobs.ledger.test_ledger import ONE, OUTPUT, REPORT, commit_of, ready, stage

OWN = "_pumice/rows/2024-box-017.tar-f0dff2f5f0e1b8a0.parquet"


def everything(place: Store) -> set[str]:
    return {info.key for info in place.list()} | {info.key for info in place.list("_pumice/")}


@pytest.fixture
def settled(place: Store) -> Store:
    """A place with one published shard."""
    commit = ready(place, ONE, b"clean")
    assert Ledger(place).commit(commit)
    Ledger(place).publish(commit)
    place.delete(REPORT)  # under a name that is not the shard's
    return place


def reasons(place: Store, **options: bool) -> list[tuple[str, str]]:
    return [(one.key, one.why) for one in gc(place.url, min_age_s=0, **options).litter]


def test_a_clean_place_has_nothing_to_remove(settled: Store) -> None:
    before = everything(settled)
    assert gc(settled.url, min_age_s=0).litter == ()
    assert gc(settled.url, min_age_s=0, delete=True).litter == ()
    assert everything(settled) - before <= {"_pumice/leases/000001.json"}


def test_what_a_crash_left_staged_goes_and_only_when_told(settled: Store) -> None:
    claim = Claim("b.tar", 1, "work", 1, "dead")
    assert Ledger(settled).claim(claim)
    stage(settled, claim, b"half")
    assert len(list(settled.leftovers())) == 2
    assert len(reasons(settled)) == 2 and len(list(settled.leftovers())) == 2
    assert {why for _, why in reasons(settled, delete=True)} == {"staged, and no commit names it"}
    assert list(settled.leftovers()) == []
    assert settled.get(OUTPUT) == b"clean"
    assert Ledger(settled).claims()  # an attempt that may count


def test_what_is_young_may_belong_to_somebody_who_lives(settled: Store) -> None:
    stage(settled, ONE, b"at work")
    assert gc(settled.url).litter == () and MIN_AGE_S >= 3600
    gc(settled.url, delete=True)
    assert len(list(settled.leftovers())) == 2


def test_what_a_commit_names_stays_and_is_published(settled: Store) -> None:
    commit = ready(settled, replace(ONE, number=2, work="work-b"), b"newer")
    dead = ready(settled, replace(ONE, number=2, work="work-b", attempt=2), b"dead")
    assert Ledger(settled).commit(commit)  # and dies
    named = {staged.token.split(" ")[0] for staged in commit.staged}
    found = gc(settled.url, min_age_s=0)
    tokens = {one.token: one.key for one in settled.leftovers()}
    assert named < set(tokens)
    left = [one for one in found.litter if "staged" in one.why]
    assert len(left) == len(dead.staged)
    gc(settled.url, min_age_s=0, delete=True)
    assert settled.get(OUTPUT) == b"newer"
    assert list(settled.leftovers()) == [] and Ledger(settled).claims() == {}


def test_overtaken_attempts_and_strange_reports_go(settled: Store) -> None:
    late = replace(ONE, run_id="late", attempt=9)
    assert not Ledger(settled).claim(late)
    # As when the commit came between the look and the claim.
    settled.put(late.key, json.dumps(asdict(late)).encode())
    settled.put("_pumice/rows/nobody.parquet", b"x")
    settled.put("_pumice/reports/nobody.parquet", b"x")
    settled.put("_pumice/reports/run_date=2026-01-02/part.parquet", b"a compaction's affair")
    settled.put("2024/mine.txt", b"not Pumice's")
    assert sorted(why for _, why in reasons(settled)) == [
        "an attempt that a commit overtook",
        *["the report of no shard"] * 2,
    ]
    reasons(settled, delete=True)
    assert reasons(settled) == []
    assert settled.get("2024/mine.txt") == b"not Pumice's"


def test_a_report_that_a_commit_names_stays(place: Store) -> None:
    from jobs.ledger.records import rows_key

    claim = Claim("b.tar", 1, "work", 1, "run")
    assert Ledger(place).claim(claim)
    upload = place.stage(rows_key("b.tar"), claim.id)
    upload.write(b"rows")
    commit = replace(commit_of(claim, (upload.finish(),)), shard="b.tar")
    assert Ledger(place).commit(commit)
    Ledger(place).publish(commit)
    assert reasons(place, delete=True) == []
    assert place.get(rows_key("b.tar")) == b"rows"


@pytest.fixture
def held(settled: Store) -> Iterator[Store]:
    with acquire(settled, "run"):
        yield settled


def test_nothing_is_removed_beside_a_run(held: Store) -> None:
    stage(held, ONE, b"at work")
    assert len(gc(held.url, min_age_s=0).litter) == 2
    with pytest.raises(LeaseHeld):
        gc(held.url, delete=True, min_age_s=0)
    assert len(list(held.leftovers())) == 2


def test_a_place_where_nothing_was_done(place: Store) -> None:
    assert gc(place.url).litter == ()
