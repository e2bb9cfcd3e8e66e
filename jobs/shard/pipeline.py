"""Decodes pages, cleans them in groups and encodes them, on threads; a ticket gives each page's result.

One `Bench` serves all shards of a worker process. Decoding and encoding run on a pool of threads (the codecs
release the GIL). The network runs on one thread, which takes groups in the order in which they were handed
in. Only the headers of pages and their order decide what a group holds, never time: the bytes of a page must
not depend on how busy the machine was.

Codec threads wait for nothing, and the device thread waits only for codec threads, so there is no deadlock.
Every result is the future of a pool: the waiter gets every error, and the cancellation by the bench's end.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from itertools import groupby
from types import TracebackType
from typing import ParamSpec, Protocol, TypeVar

from jobs.codecs.codec import Document, FrameInfo, Page, decode, encode
from jobs.errors import PageError
from jobs.shard.inspector import Scan, Verdict
from jobs.shard.meter import Meter, Progress
from model.page import Pixels

P = ParamSpec("P")
T = TypeVar("T")


class PageCleaner(Protocol):
    """The network, as the pipeline uses it."""

    def clean(self, pages: Sequence[Pixels]) -> list[Pixels]:
        """Clean pages of one shape and dtype; results of the same shapes and dtypes."""
        ...


class PageInspector(Protocol):
    """The judge of pages, as the pipeline uses it; several threads do."""

    def look(self, page: Page) -> Scan:
        """Look at a page before it is cleaned; raises PageError if it must not be cleaned."""
        ...

    def judge(self, scan: Scan, cleaned: Pixels) -> tuple[Pixels, Verdict]:
        """The page to write, and its judgement; raises PageError if the original must stay."""
        ...


@dataclass(frozen=True)
class CleanedPage:
    """One page's result: the encoded file (or frame), the judgement, times in milliseconds."""

    data: bytes
    sha256: str
    verdict: Verdict
    decode_ms: float
    clean_ms: float
    encode_ms: float


_Decoded = Future[tuple[Scan, float]]
_Results = dict[int, Future[CleanedPage]]


class Bench:
    """The threads and the network of one worker process; a context manager."""

    def __init__(
        self, cleaner: PageCleaner, inspector: PageInspector, threads: int, batch_pixels: int = 0
    ) -> None:
        """Start the threads.

        Args:
            cleaner: the network; used by one thread.
            inspector: the judge; used by the codec threads.
            threads: number of codec threads.
            batch_pixels: pages of the same size are cleaned together up to this many pixels; 0 cleans them
                one by one, which is as fast on a CPU.
        """
        self.meter = Meter()
        self._cleaner = cleaner
        self._inspector = inspector
        self._batch_pixels = batch_pixels
        self._codecs = ThreadPoolExecutor(threads, "pumice-codec")
        self._device = ThreadPoolExecutor(1, "pumice-device")
        self._idle_since = time.perf_counter()

    def __enter__(self) -> "Bench":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._device.shutdown(cancel_futures=True)
        self._codecs.shutdown(cancel_futures=True)

    def grouping(self) -> "Grouping":
        """The groups of one shard."""
        return Grouping(self, self._batch_pixels)

    def decode(self, data: bytes, document: Document, index: int) -> _Decoded:
        """Decode on a codec thread; the future has the page and the time in milliseconds."""
        self.meter.add(Progress(to_clean=1))
        return _submit(self._codecs, _timed, lambda: self._inspector.look(decode(data, document, index)))

    def clean(self, group: list[_Decoded], stopped: threading.Event) -> Future[_Results]:
        """Clean a group on the device thread, unless `stopped`, and encode it on codec threads."""
        return _submit(self._device, self._run, group, stopped)

    def forget(self, group: list[_Decoded]) -> None:
        """Remove pages from the count of those that wait for the network."""
        self.meter.add(Progress(to_clean=-len(group)))

    def _run(self, group: list[_Decoded], stopped: threading.Event) -> _Results:
        results: _Results = {}
        decoded: list[tuple[int, Scan, float]] = []
        try:
            for position, page in enumerate(() if stopped.is_set() else group):
                try:
                    decoded.append((position, *page.result()))
                except PageError as error:
                    results[position] = Future()
                    results[position].set_exception(error)
        finally:
            self.forget(group)
        # A colour scan without colour is decoded to grey: the shapes are known only now.
        for _, same in groupby(decoded, key=lambda one: (one[1].page.pixels.shape, one[1].page.pixels.dtype)):
            results |= self._run_same(list(same))
        return results

    def _run_same(self, group: list[tuple[int, Scan, float]]) -> _Results:
        starved_s = time.perf_counter() - self._idle_since
        cleaned, clean_ms = _timed(lambda: self._cleaner.clean([scan.page.pixels for _, scan, _ in group]))
        self._idle_since = time.perf_counter()
        size = sum(scan.page.info.width * scan.page.info.height for _, scan, _ in group)
        self.meter.add(
            Progress(pixels=size, busy_s=clean_ms / 1000, starved_s=starved_s, to_encode=len(group))
        )
        results: _Results = {}
        for (position, scan, decode_ms), pixels in zip(group, cleaned, strict=True):
            args = (scan, pixels, decode_ms, clean_ms / len(group))
            results[position] = _submit(self._codecs, self._finish, *args)
        return results

    def _finish(self, scan: Scan, pixels: Pixels, decode_ms: float, clean_ms: float) -> CleanedPage:
        try:
            pixels, verdict = self._inspector.judge(scan, pixels)
            data, encode_ms = _timed(lambda: encode(scan.page, pixels))
        finally:
            self.meter.add(Progress(to_encode=-1))
        return CleanedPage(data, hashlib.sha256(data).hexdigest(), verdict, decode_ms, clean_ms, encode_ms)


def _submit(pool: ThreadPoolExecutor, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """Run the work in a pool, in the caller's context: its log lines then name the shard."""
    context = copy_context()
    return pool.submit(lambda: context.run(work, *args, **kwargs))


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    begun = time.perf_counter()
    result = work()
    return result, (time.perf_counter() - begun) * 1000


@dataclass(eq=False)
class _Group:
    """Pages that go to the device together; `sent` is set when the group is complete."""

    frame: FrameInfo
    pages: list[_Decoded] = field(default_factory=list)
    sent: Future[_Results] | None = None


@dataclass(frozen=True)
class Ticket:
    """A page that was handed in."""

    group: _Group
    position: int


class Grouping:
    """Collects the pages of one shard into groups of one size; used from one thread."""

    def __init__(self, bench: Bench, batch_pixels: int) -> None:
        self._bench = bench
        self._batch_pixels = batch_pixels
        self._open: _Group | None = None
        self._stopped = threading.Event()

    def add(self, data: bytes, document: Document, index: int) -> Ticket:
        """Hand a page in."""
        frame = document.frames[index]
        if self._open and _size(self._open.frame) != _size(frame):
            self._send()
        group = self._open = self._open or _Group(frame)
        group.pages.append(self._bench.decode(data, document, index))
        ticket = Ticket(group, len(group.pages) - 1)
        if (len(group.pages) + 1) * frame.width * frame.height > self._batch_pixels:
            self._send()
        return ticket

    def result(self, ticket: Ticket) -> CleanedPage:
        """Wait for a page, once; if its group still waits for more pages, it is sent as it is.

        Raises:
            PageError: the page can't be decoded or encoded.
            DeviceError: the device can't run the network.
        """
        if ticket.group.sent is None:
            self._send()
        assert ticket.group.sent is not None
        return ticket.group.sent.result().pop(ticket.position).result()

    def stop(self) -> None:
        """Do not clean pages that were handed in and are not cleaned yet."""
        self._stopped.set()
        if self._open:
            self._bench.forget(self._open.pages)
            self._open = None

    def _send(self) -> None:
        if self._open:
            self._open.sent = self._bench.clean(self._open.pages, self._stopped)
            self._open.pages = []  # pixels are kept only while the device needs them
            self._open = None


def _size(frame: FrameInfo) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.mode
