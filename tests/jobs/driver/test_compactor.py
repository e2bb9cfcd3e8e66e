"""When a run compacts its ledger, and that its loop need not wait for it."""

import threading
from pathlib import Path

import pytest

from jobs.driver.compactor import MOST, SHARE, Compactor
from jobs.errors import StoreError
from jobs.ledger.commit_log import COMPACT_AT
from jobs.ledger.ledger import Ledger
from jobs.stores.open import open_store


class Slow(Ledger):
    """Compacts when it is told to, and counts."""

    def __init__(self, folder: Path) -> None:
        super().__init__(open_store(str(folder)))
        self.go_on = threading.Event()
        self.begun = threading.Semaphore(0)
        self.compactions = 0
        self.error: StoreError | None = None

    def compact(self, at: int = COMPACT_AT) -> None:
        self.begun.release()
        assert self.go_on.wait(60)
        self.compactions += 1
        if self.error:
            raise self.error


def test_the_loop_goes_on_while_it_compacts(tmp_path: Path) -> None:
    ledger = Slow(tmp_path)
    with Compactor(ledger, 0) as compactor:
        compactor.look(COMPACT_AT - 1)
        assert not ledger.begun.acquire(blocking=False)
        compactor.look(COMPACT_AT)
        assert ledger.begun.acquire(timeout=60)
        compactor.look(9 * COMPACT_AT)
        assert ledger.compactions == 0
        ledger.go_on.set()
    assert ledger.compactions == 1 and not ledger.begun.acquire(blocking=False)


@pytest.mark.parametrize(
    ("heads", "commits"), [(0, COMPACT_AT), (2000 * SHARE, 2000), (10**7, MOST)], ids=["few", "many", "most"]
)
def test_the_more_heads_the_rarer(tmp_path: Path, heads: int, commits: int) -> None:
    ledger = Slow(tmp_path)
    ledger.go_on.set()
    with Compactor(ledger, heads) as compactor:
        compactor.look(commits - 1)
    assert ledger.compactions == 0
    with Compactor(ledger, heads) as compactor:
        compactor.look(commits + commits // SHARE)
    assert ledger.compactions == 1


def test_what_went_wrong_is_raised_at_the_next_look(tmp_path: Path) -> None:
    ledger = Slow(tmp_path)
    ledger.error = StoreError("the store broke")
    ledger.go_on.set()
    with pytest.raises(StoreError, match="the store broke"), Compactor(ledger, 0) as compactor:
        compactor.look(COMPACT_AT)
        while True:  # until it is heard of; the test's own timeout ends it
            compactor.look(COMPACT_AT)
