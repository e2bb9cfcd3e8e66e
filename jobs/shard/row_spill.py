"""The rows of one shard, in order: the newest are in memory, all others in a temporary file.

A few megabytes of tar.gz can hold millions of members, and each may need a row.
"""

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO

from jobs.report.schema import Row
from jobs.stores.spool import spool

BLOCK = 16 << 20
_ROW = 1800  # bytes of a Row in memory, measured, without its name and message


@dataclass(frozen=True)
class _Block:
    """Rows in the file: the number of the first, the number after the last, and their offset."""

    first: int
    end: int
    offset: int


class Rows:
    """A list of rows that grows at its end, and whose last rows can be changed; a context manager."""

    def __init__(self, block: int = BLOCK) -> None:
        """Keep up to about `block` bytes in memory."""
        self._limit = block
        self._blocks: list[_Block] = []
        self._file: BinaryIO | None = None
        self._newest: list[Row] = []
        self._bytes = 0
        self._count = 0

    def __enter__(self) -> "Rows":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file:
            self._file.close()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Row]:
        """The rows in order."""
        for block in self.blocks():
            yield from block

    def add(self, row: Row) -> None:
        """Append a row; raises OSError if the temporary folder is full."""
        self._newest.append(row)
        self._count += 1
        self._bytes += _ROW + len(row.member) + len(row.error or "")
        if self._bytes > self._limit:
            self._blocks.append(self._store(self._count - len(self._newest), self._newest))
            self._newest, self._bytes = [], 0

    def blocks(self) -> Iterator[list[Row]]:
        """The rows in order, in lists of about `block` bytes."""
        for block in self._blocks:
            yield self._load(block)
        if self._newest:
            yield self._newest

    def change(self, first: int, change: Callable[[Row], Row]) -> None:
        """Replace each row from number `first` on; raises OSError if the temporary folder is full."""
        for index, block in enumerate(self._blocks):
            if block.end > first:
                keep = max(0, first - block.first)
                rows = self._load(block)
                self._blocks[index] = self._store(block.first, rows[:keep] + [change(r) for r in rows[keep:]])
        keep = max(0, first - (self._count - len(self._newest)))
        self._newest[keep:] = [change(row) for row in self._newest[keep:]]

    def _store(self, first: int, rows: list[Row]) -> _Block:
        # Always at the end: a changed block has another length and doesn't fit in its old place.
        if self._file is None:
            self._file = spool()
        offset = self._file.seek(0, 2)
        pickle.dump(rows, self._file, pickle.HIGHEST_PROTOCOL)
        return _Block(first, first + len(rows), offset)

    def _load(self, block: _Block) -> list[Row]:
        assert self._file is not None
        self._file.seek(block.offset)
        rows: list[Row] = pickle.load(self._file)
        return rows
