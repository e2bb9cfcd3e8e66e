"""Counts the work of a worker while it runs, for the driver's progress bar and metrics."""

import io
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import BinaryIO, TypeAlias

from jobs.archives.member import CHUNK, RawReader
from jobs.stores.base import ObjectInfo, Store

Kinds: TypeAlias = Mapping[tuple[str, str], int]
"""Numbers of pages by the status and the error code of their rows; the code is empty if there is none."""


@dataclass(frozen=True)
class Progress:
    """What a worker has done since it started, and what it has in work now; or a sum over workers.

    Attributes:
        pages: pages with rows, also those that were passed through.
        pixels: pixels of pages that the network cleaned.
        bytes_read: bytes read from the source.
        busy_s: seconds in which the network worked.
        starved_s: seconds in which the network had no page.
        to_clean: pages that wait for the network.
        to_encode: pages that the network cleaned and that are not encoded yet.
        in_flight: attempts that are being made.
    """

    pages: int = 0
    pixels: int = 0
    bytes_read: int = 0
    busy_s: float = 0.0
    starved_s: float = 0.0
    to_clean: int = 0
    to_encode: int = 0
    in_flight: int = 0

    def __add__(self, more: "Progress") -> "Progress":
        return Progress(
            self.pages + more.pages,
            self.pixels + more.pixels,
            self.bytes_read + more.bytes_read,
            self.busy_s + more.busy_s,
            self.starved_s + more.starved_s,
            self.to_clean + more.to_clean,
            self.to_encode + more.to_encode,
            self.in_flight + more.in_flight,
        )

    @property
    def done(self) -> "Progress":
        """The same without what is in work."""
        return replace(self, to_clean=0, to_encode=0, in_flight=0)


class Meter:
    """Counts the work of a worker, or of an attempt, which is added to `whole`, too; any thread may add.

    `kinds` counts the pages of an attempt, at its end.
    """

    def __init__(self, whole: "Meter | None" = None) -> None:
        self.kinds: Kinds = {}
        self._lock = threading.Lock()
        self._now = Progress()
        self._whole = whole

    def add(self, more: Progress) -> None:
        """Add work; negative numbers remove what is no longer in work."""
        with self._lock:
            self._now += more
        if self._whole:
            self._whole.add(more)

    @property
    def now(self) -> Progress:
        """The totals so far."""
        return self._now


class _Metered(RawReader):
    """A stream that counts the bytes that are read."""

    def __init__(self, stream: BinaryIO, meter: Meter) -> None:
        self._stream = stream
        self._meter = meter

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def step(self, limit: int) -> bytes:
        data = self._stream.read(limit)
        self._meter.add(Progress(bytes_read=len(data)))
        return data

    def close(self) -> None:
        self._stream.close()
        super().close()


def open_metered(source: Store, info: ObjectInfo, meter: Meter) -> io.BufferedReader:
    """Open an object; `meter` counts the bytes that are read. Raises as `Store.open`."""
    return io.BufferedReader(_Metered(source.open(info), meter), CHUNK)
