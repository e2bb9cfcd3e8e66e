"""What a worker has done so far, counted as it goes; the driver's progress bar asks for it."""

import io
import threading
from dataclasses import dataclass
from typing import BinaryIO

from jobs.archive_member import CHUNK, RawReader
from jobs.store import ObjectInfo, Store


@dataclass(frozen=True)
class Progress:
    """Running totals of a worker since it started; pages include those passed through."""

    pages: int = 0
    pixels: int = 0
    bytes_read: int = 0


class Meter:
    """Counts what a worker does, or an attempt of it, which counts for its worker too; any thread may add."""

    def __init__(self, whole: "Meter | None" = None) -> None:
        self._lock = threading.Lock()
        self._now = Progress()
        self._whole = whole

    def add(self, pages: int = 0, pixels: int = 0, bytes_read: int = 0) -> None:
        """Count some more."""
        with self._lock:
            now = self._now
            self._now = Progress(now.pages + pages, now.pixels + pixels, now.bytes_read + bytes_read)
        if self._whole:
            self._whole.add(pages, pixels, bytes_read)

    @property
    def now(self) -> Progress:
        """The totals so far."""
        return self._now


class _Metered(RawReader):
    """A stream that counts what is read of it."""

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
        self._meter.add(bytes_read=len(data))
        return data

    def close(self) -> None:
        self._stream.close()
        super().close()


def open_metered(source: Store, info: ObjectInfo, meter: Meter) -> io.BufferedReader:
    """Open an object so that what is read of it shows in the progress; raises as `Store.open`."""
    return io.BufferedReader(_Metered(source.open(info), meter), CHUNK)
