"""Two runs on one destination at a time: real processes, no shard done twice, nothing lost if one dies."""

import os
import signal
import time
from pathlib import Path

import pytest

from jobs import api
from jobs.ledger.ledger import Ledger
from jobs.stores.local import LocalStore
from tests.chaos.breaking import Act, Breaking, freeze_at, in_child, outcome_of
from tests.chaos.serial import run_serially
from tests.samples import Item, archive, digests, fill, png

SHARDS = 12


@pytest.fixture
def source(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path / "source")
    fill(store, {f"{n:02}.tar": archive("tar", [Item(f"{n}.png", png(n))]) for n in range(SHARDS)})
    return store


@pytest.fixture
def expected(source: LocalStore, tmp_path: Path) -> dict[str, str]:
    undisturbed = LocalStore(tmp_path / "undisturbed")
    assert outcome_of(in_child(lambda: run_serially(source, undisturbed))) == 0
    return digests(undisturbed)


def slowly(seconds: float) -> Act:
    def act(name: str, after: bool) -> None:
        if name == "stage" and not after:
            time.sleep(seconds)

    return act


def wait_for_claim(destination: LocalStore) -> None:
    deadline = time.monotonic() + 60
    while not list(destination.list("_pumice/claims/")):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def assert_complete(destination: LocalStore, expected: dict[str, str]) -> None:
    assert digests(destination) == expected
    assert list(destination.leftovers()) == [] and Ledger(destination).claims() == {}
    assert api.verify(destination.url).problems == ()


def test_two_runs_share_the_shards(source: LocalStore, expected: dict[str, str], tmp_path: Path) -> None:
    destination = LocalStore(tmp_path / "shared")
    host = in_child(lambda: run_serially(source, Breaking(destination, slowly(0.2))))  # type: ignore[arg-type]
    wait_for_claim(destination)
    guest = in_child(lambda: run_serially(source, Breaking(destination, slowly(0.2)), join=True))  # type: ignore[arg-type]
    assert outcome_of(host) == 0 and outcome_of(guest) == 0
    assert_complete(destination, expected)
    commits = list(Ledger(destination).each_commit())
    assert len({commit.run_id for commit in commits}) == 2, "both had some"
    assert {(commit.number, commit.attempt) for commit in commits} == {(1, 1)}, "no shard was tried twice"


@pytest.mark.parametrize("dies", ["host", "guest"])
def test_the_one_that_lives_takes_over_from_the_one_that_dies(
    dies: str, source: LocalStore, expected: dict[str, str], tmp_path: Path
) -> None:
    destination = LocalStore(tmp_path / "shared")
    frozen = freeze_at(destination, 40)
    slow = Breaking(destination, slowly(0.3))
    first, second = (frozen, slow) if dies == "host" else (slow, frozen)
    host = in_child(lambda: run_serially(source, first))  # type: ignore[arg-type]
    wait_for_claim(destination)
    guest = in_child(lambda: run_serially(source, second, join=True))  # type: ignore[arg-type]
    victim, survivor = (host, guest) if dies == "host" else (guest, host)
    assert outcome_of(victim) == -signal.SIGSTOP
    os.kill(victim, signal.SIGKILL)
    assert outcome_of(victim) == -signal.SIGKILL and outcome_of(survivor) == 0
    assert_complete(destination, expected)
    assert {commit.number for commit in Ledger(destination).each_commit()} == {1}
