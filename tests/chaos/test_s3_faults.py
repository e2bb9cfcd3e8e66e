"""S3 behind a faulty proxy, and a server that is killed: the job ends right, or stops with one sentence."""

import os
import random
import time
from collections.abc import Iterator

import pytest

from jobs import api
from jobs.driver.job import RunSummary
from jobs.errors import InputError, StoreError
from jobs.ledger.ledger import Ledger
from jobs.stores import s3_client
from jobs.stores.base import Store
from jobs.stores.s3 import S3Store
from jobs.upkeep.gc import gc
from tests.chaos.breaking import in_child, outcome_of
from tests.chaos.proxy import FAULTS, FaultyProxy
from tests.chaos.serial import run_serially
from tests.s3_server import S3Server
from tests.samples import Item, archive, digests, fill, png, tiff

RUNS = 30
AGAIN = 75
SEED = int(os.environ.get("PUMICE_CHAOS_SEED", "1"))
PAGES = [Item(f"{n}.png", png(n)) for n in range(3)]
FILES = {
    **{f"{number}/box.tar": archive("tar", PAGES) for number in range(3)},
    "loose/a.png": png(3),
    "loose/b.tif": tiff([4, 5]),
}


@pytest.fixture
def proxy(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    one = FaultyProxy(s3_server.port, SEED)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{one.port}")
    monkeypatch.setattr(s3_client, "READ_TIMEOUT_S", 2)
    s3_client._made.cache_clear()
    yield one
    s3_client.client().close()
    s3_client._made.cache_clear()
    one.close()


def until_done(source: Store, destination: Store) -> tuple[RunSummary, int]:
    """Run as cron would, again and again; how often it stopped with a sentence."""
    for stops in range(RUNS):
        try:
            summary = run_serially(source, destination)
        except (StoreError, InputError) as error:
            assert str(error).endswith(".") and "\n" not in str(error)
            time.sleep(0.2)
            continue
        if not summary.unfinished:
            return summary, stops
    raise AssertionError("it never came to an end")


def assert_right(source: Store, destination: Store, expected: dict[str, str]) -> None:
    assert digests(destination) == expected
    found = api.verify(destination.url)
    assert found.problems == () and found.pages == 12 and found.compared == 4
    Ledger(destination).roll_forward()  # what the last answer lost
    gc(destination.url, delete=True, min_age_s=0)  # uploads whose beginning was not heard of
    assert list(destination.leftovers()) == [] and Ledger(destination).claims() == {}
    assert {commit.number for commit in Ledger(destination).each_commit()} == {1}
    assert run_serially(source, destination).shards == 0


@pytest.fixture
def places(s3_url: str) -> tuple[Store, Store, dict[str, str]]:
    source, destination, plain = (S3Store(f"{s3_url}/{name}") for name in ("source", "cleaned", "plain"))
    fill(source, FILES)
    run_serially(source, plain)
    return source, destination, digests(plain)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", [*FAULTS, "all"])
def test_faults_on_the_way(
    fault: str, places: tuple[Store, Store, dict[str, str]], proxy: FaultyProxy
) -> None:
    source, destination, expected = places
    proxy.faults = FAULTS if fault == "all" else (fault,)
    proxy.rate = 0.04 if fault == "hang" else 0.15
    until_done(source, destination)
    assert sum(proxy.struck[one] for one in proxy.faults) >= 2
    proxy.rate = 0
    assert_right(source, destination, expected)


def attempt(source: Store, destination: Store) -> None:
    """One run, as a process of its own; exits AGAIN where it stopped with a sentence."""
    s3_client._made.cache_clear()  # connections don't survive a fork
    try:
        unfinished = run_serially(source, destination).unfinished
    except (StoreError, InputError) as error:
        unfinished = ((str(error), ""),)
        assert str(error).endswith(".") and "\n" not in str(error)
    if unfinished:
        os._exit(AGAIN)


@pytest.mark.timeout(900)
def test_a_server_that_is_killed_and_comes_back(
    places: tuple[Store, Store, dict[str, str]], s3_server: S3Server
) -> None:
    source, destination, expected = places
    chance, ends = random.Random(SEED), list[int]()
    for _ in range(2):
        # A process each, as by cron: with the server away a run can't let go of the lease, but its end does.
        run = in_child(lambda: attempt(source, destination))
        time.sleep(chance.uniform(0.1, 0.6))
        s3_server.kill()
        time.sleep(chance.uniform(0.1, 2))
        s3_server.restart()
        ends.append(outcome_of(run))
    while (end := outcome_of(in_child(lambda: attempt(source, destination)))) != 0:
        ends.append(end)
        assert len(ends) < RUNS
    assert set(ends) <= {0, AGAIN}
    assert_right(source, destination, expected)
