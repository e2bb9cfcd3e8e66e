"""Keeps the journal short during a run, on a thread of its own: the run's loop must not wait for the store.

Nothing depends on when a compaction happens, or whether: a snapshot is a cache, and many writers may try.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from jobs.ledger.commit_log import COMPACT_AT
from jobs.ledger.ledger import Ledger

SHARE = 64
"""A snapshot is written when a 64th of the heads is new: otherwise a run over a million shards would write it
two thousand times. To read a journal of that length takes no longer than to list the source."""
MOST = 4096
"""This many commits are always enough: a run that stops waits for a compaction that it has begun."""


class Compactor:
    """Compacts a ledger now and then; a context manager, which waits at its end for the last compaction."""

    def __init__(self, ledger: Ledger, heads: int) -> None:
        """Begin with a ledger of this many heads."""
        self._ledger, self._heads = ledger, heads
        self._seen = 0
        self._thread = ThreadPoolExecutor(1, "pumice-compactor")
        self._last: Future[None] | None = None

    def look(self, commits: int) -> None:
        """Begin a compaction if the run has made enough commits since the last one.

        Args:
            commits: the number of commits that the run has made so far.

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
        # An error of the last compaction no longer matters: the run compacts once more at its end.
        self._thread.shutdown()
