"""The window of a shard: members are begun in order, worked on at the same time, and finished in order.

The window bounds the bytes of members that are begun and not finished, so that a 2 GB archive needs little
memory, and the device has work while the first member is being encoded. Only sizes and order decide when a
member is finished, so that groups of pages are the same in every run.
"""

from collections import deque
from collections.abc import Callable

ITEM = 4096
"""Bytes of an item besides its content: member, header, closure. They matter for a million empty files."""


class Window:
    """A queue of functions that finish members, with a bound on their bytes; for one thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[tuple[Callable[[], None], int]] = deque()
        self._bytes = 0

    def make_room(self, size: int) -> None:
        """Finish the first items until `size` more bytes fit, or none is left."""
        while self._items and self._bytes + size > self._limit:
            self._finish_first()

    def add(self, finish: Callable[[], None], size: int = 0) -> None:
        """Append a function to call after all before it; call `make_room` first."""
        self._items.append((finish, size + ITEM))
        self._bytes += size + ITEM

    def hold(self, size: int) -> None:
        """Count bytes that several items share, until a negative `size` returns them."""
        self._bytes += size

    def drain(self) -> None:
        """Finish all items."""
        while self._items:
            self._finish_first()

    def _finish_first(self) -> None:
        finish, size = self._items.popleft()
        finish()
        self._bytes -= size
