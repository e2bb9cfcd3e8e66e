"""What happens around a run: clocks that jump, a folder that may be written no more, a disk that fills up."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs import api
from jobs.driver.outcome import Fatal
from jobs.errors import LeaseHeld, PumiceError
from jobs.ledger import lease
from jobs.ledger.lease import acquire
from jobs.ledger.ledger import Ledger
from jobs.stores.base import Store
from jobs.stores.local import LocalStore
from tests.chaos.breaking import Breaking, Countdown, in_child, outcome_of
from tests.chaos.serial import run_serially
from tests.samples import Item, archive, digests, fill, png

FILES = {"box.tar": archive("tar", [Item(f"{n}.png", png(n)) for n in range(3)]), "a.png": png(9)}
NOBODY = 65534


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_a_clock_that_jumps_neither_takes_a_lease_nor_keeps_one(
    jump: float, place: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with acquire(place, "run-1", ttl_s=9) as held:
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + jump)
        monkeypatch.setattr(lease, "boot_id", lambda: "another boot")
        with pytest.raises(LeaseHeld):
            acquire(place, "run-2")
        assert not held.lost
    silent = acquire(place, "run-3", ttl_s=0.3)
    monkeypatch.setattr(lease, "boot_id", lambda: "a third boot")
    begun = time.monotonic()
    acquire(place, "run-4")
    assert time.monotonic() - begun >= 0.3
    assert not silent.renew()


@pytest.fixture
def ground() -> Iterator[Path]:
    """A folder that belongs to a user who may not do everything."""
    folder = Path(tempfile.mkdtemp(prefix="pumice-chaos-"))
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


def as_nobody(work: Callable[[], object]) -> int:
    """Do it in a child that is not root; how it ended."""

    def there() -> None:
        if os.geteuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        work()

    return outcome_of(in_child(there))


def allow(folder: Path, mode: int) -> None:
    """Set what the owner may do with a folder and all folders in it."""
    for one in [folder, *[path for path in folder.rglob("*") if path.is_dir()]]:
        one.chmod(mode)


@pytest.mark.parametrize("moment", [6, 30, 60, 75, 90])
def test_a_permission_that_is_lost_stops_the_run_and_the_next_one_goes_on(moment: int, ground: Path) -> None:
    source, destination = LocalStore(ground / "source"), LocalStore(ground / "cleaned")
    assert as_nobody(lambda: fill(source, FILES)) == 0
    assert as_nobody(lambda: run_serially(source, LocalStore(ground / "plain"))) == 0
    (ground / "sentence").write_text("")
    (ground / "sentence").chmod(0o666)

    def lose() -> None:
        countdown = Countdown(moment, lambda: allow(Path(destination.url), 0o555))
        try:
            run_serially(source, Breaking(destination, countdown))  # type: ignore[arg-type]
        except PumiceError as error:
            (ground / "sentence").write_text(str(error))

    assert as_nobody(lose) == 0
    told = (ground / "sentence").read_text()
    assert told == "" or ("permission" in told or "can't be" in told), told
    allow(Path(destination.url), 0o755)
    assert as_nobody(lambda: run_serially(source, destination)) == 0
    assert digests(destination) == digests(LocalStore(ground / "plain"))
    assert api.verify(destination.url).problems == ()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that holds about half of the result."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_fills_up_stops_the_run_and_the_next_one_goes_on(
    small_disk: Path, tmp_path: Path
) -> None:
    source, destination = LocalStore(tmp_path / "source"), LocalStore(small_disk / "cleaned")
    fill(source, {f"{n}.png": png(n, 200, 200) for n in range(12)})
    run_serially(source, LocalStore(tmp_path / "plain"))
    with pytest.raises(Fatal, match="No space is left"):
        run_serially(source, destination)
    shown, whole = digests(destination), digests(LocalStore(tmp_path / "plain"))
    assert shown.items() <= whole.items() and shown != whole
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    run_serially(source, destination)
    assert digests(destination) == whole
    assert api.verify(destination.url).problems == () and Ledger(destination).claims() == {}
    assert list(destination.leftovers()) == []
