"""Runs beside the one that holds the lease: who may begin, who lives, and whose claims are whose."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.errors import LeaseHeld
from jobs.ledger import lease
from jobs.ledger.guests import Guest, begin, busy, guests
from jobs.ledger.lease import LEASES, acquire, holder
from jobs.ledger.ledger import Ledger
from jobs.ledger.records import Claim, shard_id
from jobs.stores.base import Store

GUEST = """
import sys, time
from jobs.ledger.guests import begin
from jobs.stores.open import open_store
with begin(open_store(sys.argv[1]), "guest", join=True):
    print("in", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def left_alone(place: Store) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that is a guest of a run that has ended meanwhile."""
    with acquire(place, "host"):
        command = [sys.executable, "-c", GUEST, place.url]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3])
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
    with process:
        yield process
        process.kill()


def records(place: Store) -> list[str]:
    return sorted(Path(info.key).stem for info in place.list(LEASES))


def test_who_joins_nobody_takes_the_lease(place: Store) -> None:
    with begin(place, "run", join=True) as own:
        assert not isinstance(own, Guest) and records(place) == ["000001"]
    with begin(place, "next", join=False):
        assert records(place) == ["000002"]


def test_a_guest_has_a_record_of_its_own_and_leaves_nothing(place: Store) -> None:
    with acquire(place, "host"):
        with pytest.raises(LeaseHeld, match="host.*--join"):
            begin(place, "run", join=False)
        with begin(place, "run", join=True) as own:
            assert isinstance(own, Guest) and own.number == 1 and own.renew()
            assert records(place) == ["000001", "guest-run"]
            held = holder(place)
            assert held is not None and held.record.run_id == "host"
            assert [one.record.run_id for one in guests(place)] == ["run"]
        assert records(place) == ["000001"]


def test_nobody_begins_beside_a_guest_but_another_guest(
    place: Store, left_alone: subprocess.Popen[bytes]
) -> None:
    with pytest.raises(LeaseHeld, match=rf"Run guest on .* \(process {left_alone.pid}\)"):
        begin(place, "run", join=False)
    assert holder(place) is None, "and the lease is not left held"
    with begin(place, "run", join=True) as own:
        assert not isinstance(own, Guest)
    left_alone.kill()
    left_alone.wait()
    with begin(place, "run-2", join=False):
        assert guests(place) == () and "guest-guest" not in records(place)


def test_a_silent_guest_far_away_is_waited_for(place: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with acquire(place, "host", ttl_s=30):
        begin(place, "guest", join=True, ttl_s=0.3)  # and is never renewed
    monkeypatch.setattr(lease, "boot_id", lambda: "another boot")
    assert [one.alive for one in guests(place)] == [None]
    with begin(place, "run", join=False) as own:
        assert guests(place) == ()
        record = holder(place)
        assert record is not None and record.record.renewals, "nobody takes who waits for dead"
        assert own.number == 2


def test_the_claims_of_the_living_are_theirs(place: Store, left_alone: subprocess.Popen[bytes]) -> None:
    ledger = Ledger(place)
    for shard, run in (("a", "guest"), ("b", "dead"), ("c", "own"), ("d", "guest")):
        assert ledger.claim(Claim(shard, 1, "work", 1, run))
    ledger.fail(Claim("d", 1, "work", 1, "guest"), "worker_died", "It died.")
    with begin(place, "own", join=True):
        assert busy(place, "own") == {(shard_id("a"), "work"): "guest"}
        left_alone.kill()
        left_alone.wait()
        assert busy(place, "own") == {}
