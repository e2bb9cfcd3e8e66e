"""Keeping the journal short while a run goes on, beside its loop, which must not stand still for the store.

Nothing depends on when it is done, or whether: a snapshot is a cache, and any number of writers may try.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from jobs.ledger.commit_log import COMPACT_AT
from jobs.ledger.ledger import Ledger

SHARE = 64
"""A snapshot is written anew when a 64th of it is new: after every 512 commits, a run over a million shards
would write it two thousand times. Reading so much of a journal takes no longer than listing the source."""
MOST = 4096
"""So many commits are enough: a run that is told to stop waits for the compaction that it has begun."""


class Compactor:
    """Compacts a ledger now and then, on a thread; as a context manager it ends when that has."""

    def __init__(self, ledger: Ledger, heads: int) -> None:
        """Begin with a ledger of so many heads."""
        self._ledger, self._heads = ledger, heads
        self._seen = 0
        self._thread = ThreadPoolExecutor(1, "pumice-compactor")
        self._last: Future[None] | None = None

    def look(self, commits: int) -> None:
        """Compact if the run has made enough commits since it last did.

        Args:
            commits: how many the run has made so far.

        Raises:
            StoreError: the last compaction failed.
        """
        if self._last is not None:
            if not self._last.done():
                return
            self._last.result()
        share = (self._heads + commits) // SHARE
        if commits - self._seen >= max(COMPACT_AT, min(share, MOST)):
            self._seen = commits
            self._last = self._thread.submit(self._ledger.compact)

    def __enter__(self) -> "Compactor":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What it may raise is of no matter any more: the run compacts once more at its end.
        self._thread.shutdown()
