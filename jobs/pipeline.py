"""Pages through decode, the network and encode: on threads, in groups, each page's result in a future.

One `Bench` serves all shards of a worker process. Decoding and encoding run on a pool of threads (the codecs
free the GIL); the network runs on one thread, which takes groups in the order they were handed in. What goes
into a group is decided by the pages' headers and their order alone, never by timing: a page's bytes must not
depend on how busy the machine was.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from types import TracebackType
from typing import Protocol, TypeVar

from jobs.codecs import Document, FrameInfo, Page, decode, encode
from jobs.errors import PageError
from jobs.meter import Meter
from model.cleaner import Pixels

T = TypeVar("T")


class PageCleaner(Protocol):
    """What the pipeline asks of the network."""

    def clean(self, pages: Sequence[Pixels]) -> list[Pixels]:
        """Clean pages of one shape and dtype; results of the same shapes and dtypes."""
        ...


@dataclass(frozen=True)
class CleanedPage:
    """One page's result: the encoded file (or frame), and what it cost in milliseconds."""

    data: bytes
    sha256: str
    decode_ms: float
    clean_ms: float
    encode_ms: float


@dataclass(frozen=True)
class _Request:
    frame: FrameInfo
    page: "Future[tuple[Page, float]]"
    result: "Future[CleanedPage]"


class Bench:
    """The threads and the network of one worker process; a context manager."""

    def __init__(self, cleaner: PageCleaner, threads: int, batch_pixels: int = 0) -> None:
        """Set the threads up.

        Args:
            cleaner: used from one thread only.
            threads: for codecs.
            batch_pixels: pages of one size are cleaned together up to this many pixels; 0 takes them one by
                one, which is as fast on a CPU.
        """
        self.meter = Meter()
        self._cleaner = cleaner
        self._batch_pixels = batch_pixels
        self._codecs = ThreadPoolExecutor(threads, "pumice-codec")
        self._device = ThreadPoolExecutor(1, "pumice-device")

    def __enter__(self) -> "Bench":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._device.shutdown(cancel_futures=True)
        self._codecs.shutdown(cancel_futures=True)

    def grouping(self) -> "Grouping":
        """A fresh line of pages, for one shard."""
        return Grouping(self, self._batch_pixels)

    def decode(self, data: bytes, document: Document, index: int) -> "Future[tuple[Page, float]]":
        """Decode on a codec thread; the future holds the page and the milliseconds it took."""
        return self._codecs.submit(_timed, lambda: decode(data, document, index))

    def clean(self, group: list[_Request]) -> None:
        """Clean a group on the device thread and encode it on codec threads; results go to the requests."""
        self._device.submit(self._run, group)

    def _run(self, group: list[_Request]) -> None:
        decoded = []
        for request in group:
            try:
                decoded.append((request, *request.page.result()))
            except PageError as error:
                request.result.set_exception(error)
        # A colour scan without colour is decoded to grey: only now are the shapes known for sure.
        for _, same in groupby(decoded, key=lambda one: (one[1].pixels.shape, one[1].pixels.dtype)):
            self._run_same(list(same))

    def _run_same(self, group: list[tuple[_Request, Page, float]]) -> None:
        try:
            cleaned, clean_ms = _timed(lambda: self._cleaner.clean([page.pixels for _, page, _ in group]))
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits for the page
            for request, _, _ in group:
                request.result.set_exception(error)
            return
        for (request, page, decode_ms), pixels in zip(group, cleaned, strict=True):
            self.meter.add(pixels=page.info.width * page.info.height)
            self._codecs.submit(_finish, request, page, pixels, decode_ms, clean_ms / len(group))


def _finish(request: _Request, page: Page, pixels: Pixels, decode_ms: float, clean_ms: float) -> None:
    try:
        data, encode_ms = _timed(lambda: encode(page, pixels))
        digest = hashlib.sha256(data).hexdigest()
        request.result.set_result(CleanedPage(data, digest, decode_ms, clean_ms, encode_ms))
    except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits for the page
        request.result.set_exception(error)


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    begun = time.perf_counter()
    result = work()
    return result, (time.perf_counter() - begun) * 1000


class Grouping:
    """Collects the pages of one shard into groups of one size; `close` before waiting for a result."""

    def __init__(self, bench: Bench, batch_pixels: int) -> None:
        self._bench = bench
        self._batch_pixels = batch_pixels
        self._open: list[_Request] = []

    def add(self, data: bytes, document: Document, index: int) -> "Future[CleanedPage]":
        """Hand a page in; its result is sure to come only after `close`."""
        frame = document.frames[index]
        if not self._fits(frame):
            self.close()
        request = _Request(frame, self._bench.decode(data, document, index), Future())
        self._open.append(request)
        if not self._batch_pixels:
            self.close()
        return request.result

    def _fits(self, frame: FrameInfo) -> bool:
        if not self._open:
            return True
        first = self._open[0].frame
        pixels = (len(self._open) + 1) * frame.width * frame.height
        same = (first.width, first.height, first.mode) == (frame.width, frame.height, frame.mode)
        return same and pixels <= self._batch_pixels

    def close(self) -> None:
        """Send off what was collected."""
        if self._open:
            self._bench.clean(self._open)
            self._open = []
