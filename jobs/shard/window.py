"""The sliding window of a shard: members are begun in order, worked on at once, and finished in order.

The window bounds the bytes of what is begun and not yet finished. It is all that stands between a 2 GB
archive and memory, and what keeps the device busy while the head of the line is being encoded. When something
is finished depends on sizes and order alone, so that groups of pages are the same in every run.
"""

from collections import deque
from collections.abc import Callable

ITEM = 4096
"""What a deferred item weighs besides its content: member, header, closure. A million empty files add up."""


class Window:
    """Deferred finishes with a bound on their bytes; used from one thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[tuple[Callable[[], None], int]] = deque()
        self._bytes = 0

    def make_room(self, size: int) -> None:
        """Finish from the front until `size` more bytes fit, or nothing is left to finish."""
        while self._items and self._bytes + size > self._limit:
            self._finish_first()

    def add(self, finish: Callable[[], None], size: int = 0) -> None:
        """Append what is to be done once everything before it is done; `make_room` comes first."""
        self._items.append((finish, size + ITEM))
        self._bytes += size + ITEM

    def hold(self, size: int) -> None:
        """Count bytes that stay over several items, until they are given back by a negative `size`."""
        self._bytes += size

    def drain(self) -> None:
        """Finish everything."""
        while self._items:
            self._finish_first()

    def _finish_first(self) -> None:
        finish, size = self._items.popleft()
        finish()
        self._bytes -= size
