"""One run at a time: leases of the living, the dead and the far away."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobs.errors import LeaseHeld, StoreError
from jobs.ledger import lease
from jobs.ledger.lease import LeaseRecord, acquire
from jobs.ledger.records import read_record
from jobs.stores.base import Store
from jobs.stores.local import LocalStore

HOLDER = """
import sys, time
from pathlib import Path
from jobs.ledger.lease import acquire
from jobs.stores.local import LocalStore
with acquire(LocalStore(Path(sys.argv[1])), "other-run"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lease of `tmp_path`."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def record(store: Store, number: int) -> LeaseRecord:
    data = store.get(f"_pumice/leases/{number:06d}.json")
    assert data is not None
    return read_record(LeaseRecord, data, "lease")


def numbers(store: Store) -> list[str]:
    return [Path(info.key).stem for info in store.list("_pumice/leases/")]


def far_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on this process is on another machine than it was."""
    monkeypatch.setattr(lease, "boot_id", lambda: "another boot")


def test_a_released_lease_is_free_at_once(place: Store) -> None:
    with acquire(place, "run-1") as first:
        assert not first.lost
        assert record(place, 1).run_id == "run-1"
        assert not record(place, 1).released
    assert record(place, 1).released
    with acquire(place, "run-2"):
        assert numbers(place) == ["000002"]


def test_a_held_lease_names_its_holder(place: Store) -> None:
    with acquire(place, "run-1"):
        with pytest.raises(LeaseHeld, match=rf"Run run-1 on .* \(process {record(place, 1).pid}\)"):
            acquire(place, "run-2")
        assert numbers(place) == ["000001"]


def test_one_of_many_acquires(place: Store) -> None:
    def attempt(who: int) -> str:
        try:
            acquire(place, f"run-{who}")
        except LeaseHeld:
            return ""
        return f"run-{who}"

    with ThreadPoolExecutor(6) as pool:
        winners = [who for who in pool.map(attempt, range(6)) if who]
    assert winners == [record(place, 1).run_id]


def test_a_living_process_holds_and_a_killed_one_does_not(
    holder: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    store = LocalStore(tmp_path)
    with pytest.raises(LeaseHeld, match=f"process {holder.pid}"):
        acquire(store, "mine")
    holder.kill()
    begin = time.monotonic()
    while time.monotonic() - begin < 5:
        try:
            with acquire(store, "mine"):
                assert record(store, 2).run_id == "mine"
            break
        except LeaseHeld:
            time.sleep(0.02)  # the kill is on its way; nobody reaps the process before the end
    assert time.monotonic() - begin < 5


def test_a_reused_pid_is_not_its_former_owner(place: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    acquire(place, "run-1")
    monkeypatch.setattr(lease, "pid_start", lambda pid: "another start")
    acquire(place, "run-2")
    assert record(place, 2).run_id == "run-2"


def test_a_silent_holder_far_away_is_taken_over(place: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    old = acquire(place, "run-1", ttl_s=0.4)
    far_away(monkeypatch)
    begin = time.monotonic()
    acquire(place, "run-2")
    assert time.monotonic() - begin >= 0.4
    assert not old.renew()
    assert old.lost
    old.release()
    assert (record(place, 2).run_id, record(place, 2).released) == ("run-2", False)
    assert numbers(place) == ["000002"]


def test_a_renewing_holder_far_away_holds(place: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with acquire(place, "run-1", ttl_s=2) as first:
        far_away(monkeypatch)
        with pytest.raises(LeaseHeld, match="run-1"):
            acquire(place, "run-2")
        assert not first.lost


def test_a_holder_far_away_that_releases_while_watched(place: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = acquire(place, "run-1", ttl_s=20)
    far_away(monkeypatch)
    timer = threading.Timer(0.2, first.release)
    timer.start()
    acquire(place, "run-2")
    timer.join()
    assert record(place, 2).run_id == "run-2"


def test_a_failed_renewal_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(tmp_path)
    failures = iter(range(2))
    put = store.put

    def flaky(key: str, data: bytes) -> None:
        if next(failures, None) is not None:
            raise StoreError("the network is away")
        put(key, data)

    monkeypatch.setattr(store, "put", flaky)
    with acquire(store, "run-1", ttl_s=3) as held:
        deadline = time.monotonic() + 20
        while record(store, 1).renewals == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert record(store, 1).renewals > 0
        assert not held.lost


def test_a_lease_that_cannot_be_renewed_for_its_ttl_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path)

    def refuse(key: str, data: bytes) -> None:
        raise StoreError("the network is away")

    with acquire(store, "run-1", ttl_s=0.3) as held:
        monkeypatch.setattr(store, "put", refuse)
        deadline = time.monotonic() + 5
        while not held.lost and time.monotonic() < deadline:
            time.sleep(0.02)
        assert held.lost


def test_a_slow_maker_of_a_used_number_gives_way(place: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    acquire(place, "run-1").release()

    def overtaken(store: Store, key: str) -> bool:
        monkeypatch.undo()
        acquire(store, "run-2").release()  # number 2
        acquire(store, "run-3")  # number 3, which removes number 2
        return False

    monkeypatch.setattr(lease, "lives", overtaken)
    with pytest.raises(LeaseHeld, match="run-3"):
        acquire(place, "run-late")


def test_a_lease_of_another_version_is_told(place: Store) -> None:
    place.put("_pumice/leases/000001.json", b'{"new": 1}')
    with pytest.raises(StoreError, match="update Pumice"):
        acquire(place, "run-1")
