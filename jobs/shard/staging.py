"""Writes that leave nothing behind: after any error, what was begun is removed."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from jobs.archives.member import CHUNK, ArchiveKind, Sink, Writer
from jobs.archives.open import write_archive
from jobs.errors import PumiceError
from jobs.stores.base import Staged, Store, Upload


@contextmanager
def staging(destination: Store, key: str, attempt: str, staged: list[Staged]) -> Iterator[Upload]:
    """An upload: at the end it is appended to `staged`, on any error it is aborted."""
    upload = destination.stage(key, attempt)
    try:
        yield upload
        staged.append(upload.finish())
    except BaseException:
        with suppress(PumiceError):  # the first error matters more; `gc` removes what stays
            upload.abort()
        raise


@contextmanager
def discarding(destination: Store, staged: list[Staged]) -> Iterator[None]:
    """On any error, remove everything that is staged so far."""
    try:
        yield
    except BaseException:
        for one in staged:
            with suppress(PumiceError):  # as above, and the others must be removed, too
                destination.discard(one)
        raise


@contextmanager
def archiving(kind: ArchiveKind, sink: Sink, comment: bytes) -> Iterator[Writer]:
    """A writer of an archive, which is completed at the end; after an error only its resources are freed."""
    gate = _Gate(sink)
    writer = write_archive(kind, gate, comment)
    try:
        yield writer
    except BaseException:
        gate.shut = True
        raise
    finally:
        # Only `close` frees the compressor and the temporary file, and it writes: after an error, to nowhere.
        writer.close()


class _Gate:
    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.shut = False

    def write(self, data: bytes, /) -> None:
        if not self.shut:
            self._sink.write(data)


def copy(stream: BinaryIO, sink: Sink) -> None:
    """Copy to the end."""
    while chunk := stream.read(CHUNK):
        sink.write(chunk)
