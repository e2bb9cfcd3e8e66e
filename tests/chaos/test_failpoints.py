"""SIGKILL and SIGSTOP at every step of claim, stage, commit, publish, settle, compact; in real processes."""

import os
import signal
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest

from jobs import api
from jobs.driver import run as runs
from jobs.ledger import lease
from jobs.ledger.guests import begin
from jobs.ledger.ledger import Ledger
from jobs.ledger.runs import last_runs
from jobs.stores.local import LocalStore
from tests.chaos.breaking import freeze_at, in_child, kill_at, outcome_of
from tests.chaos.reader import watching
from tests.chaos.serial import run_serially
from tests.samples import Item, archive, digests, fill, png, tiff

PAGES = [Item(f"{n}.png", png(n)) for n in range(2)]
FILES = {"box.tar": archive("tar", PAGES), "loose/a.png": png(3), "loose/b.tif": tiff([4, 5])}
NEWER = {"box.tar": archive("tar", [*PAGES, Item("new.png", png(9))])}
STRIDE = int(os.environ.get("PUMICE_CHAOS_STRIDE", "3"))
"""Every so many moments are tried; scripts/run chaos tries all."""


@pytest.fixture
def source(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path / "source")
    fill(store, FILES)
    return store


@pytest.fixture
def expected(source: LocalStore, tmp_path: Path) -> dict[str, str]:
    undisturbed = LocalStore(tmp_path / "undisturbed")
    run_in_child(source, undisturbed)
    return digests(undisturbed)


def run_in_child(source: LocalStore, destination: object) -> None:
    assert outcome_of(in_child(lambda: run_serially(source, destination))) == 0  # type: ignore[arg-type]


def assert_settled(source: LocalStore, destination: LocalStore, expected: dict[str, str]) -> None:
    """The end state, byte for byte, and nothing left behind."""
    assert digests(destination) == expected
    assert list(destination.leftovers()) == []
    assert Ledger(destination).claims() == {} == Ledger(destination).quarantined()
    found = api.verify(destination.url)
    assert found.problems == () and found.pages == 5 and found.compared == 2
    assert {commit.number for commit in Ledger(destination).each_commit()} == {1}
    assert len(Ledger(destination).heads()) == 2


@pytest.mark.timeout(1200)
def test_a_kill_at_any_moment_loses_nothing(
    source: LocalStore, expected: dict[str, str], tmp_path: Path
) -> None:
    kills = 0
    while True:
        moment = kills * STRIDE
        destination = LocalStore(tmp_path / f"killed-{moment}")
        with watching(Path(destination.url), {key: {one} for key, one in expected.items()}) as seen:
            end = outcome_of(in_child(lambda d=destination, m=moment: run_serially(source, kill_at(d, m))))  # type: ignore[misc]
            run_in_child(source, destination)
        assert seen.partial == ()
        assert_settled(source, destination, expected)
        if end != -signal.SIGKILL:
            assert end == 0
            break
        kills += 1
    assert kills * STRIDE > 80


@pytest.mark.timeout(1200)
def test_kills_one_after_the_other_get_it_done(
    source: LocalStore, expected: dict[str, str], tmp_path: Path
) -> None:
    destination, kills = LocalStore(tmp_path / "killed"), 0
    # Later and later, or a run would never get beyond its own start.
    while outcome_of(in_child(lambda k=kills: run_serially(source, kill_at(destination, 20 + k * STRIDE)))):  # type: ignore[misc]
        kills += 1
        assert kills < 200
    run_in_child(source, destination)
    assert_settled(source, destination, expected)
    runs_made = last_runs(destination, 300)
    assert kills >= 3 and [run.exit_code for run in runs_made][:2] == [0, 0]


def begin_zombie(source: LocalStore, destination: LocalStore, moment: int) -> tuple[int, int]:
    """Start a run that freezes at a moment: its pid, and how it stopped."""

    def work() -> None:
        with patch.object(runs, "begin", partial(begin, ttl_s=0.3)):
            run_serially(source, freeze_at(destination, moment))

    pid = in_child(work)
    return pid, outcome_of(pid)


def take_over(source: LocalStore, destination: LocalStore) -> None:
    """A run on another machine, which finds the lease silent."""

    def work() -> None:
        with patch.object(lease, "boot_id", lambda: "another boot"):
            run_serially(source, destination)

    assert outcome_of(in_child(work)) == 0


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("changed", [False, True])
def test_a_zombie_that_wakes_after_another_run_changes_nothing(
    changed: bool, source: LocalStore, tmp_path: Path
) -> None:
    moment = 0
    while True:
        fill(source, FILES)
        destination = LocalStore(tmp_path / f"zombie-{moment}")
        pid, stopped = begin_zombie(source, destination, moment)
        if stopped != -signal.SIGSTOP:
            assert stopped == 0
            break
        if changed:
            fill(source, NEWER)
        take_over(source, destination)
        result = digests(destination)
        os.kill(pid, signal.SIGCONT)
        outcome_of(pid)
        assert digests(destination) == result
        run_in_child(source, destination)
        assert digests(destination) == result
        assert api.verify(destination.url).problems == ()
        assert Ledger(destination).claims() == {}
        moment += STRIDE
    assert moment > 80
