"""Loose files as if they were an archive: the same reader and writer, one object a member."""

import io
import tarfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from jobs.archive_member import CHUNK, HEAD, Entry, Member
from jobs.meter import Meter, open_metered
from jobs.report import printable
from jobs.store import ObjectInfo, Staged, Store


class FileEntry:
    """One loose file; good until the reader moves on."""

    def __init__(self, info: ObjectInfo, index: int, stream: io.BufferedReader) -> None:
        name = printable(info.key.rpartition("/")[2])
        self.info = info
        self.member = Member(name, index, info.size, "file", _Header(info.key))
        self._stream = stream
        self.head = stream.peek(HEAD)[:HEAD]

    def open(self) -> BinaryIO:
        """The file's content."""
        return self._stream

    def raw(self) -> Iterator[bytes]:
        """The file's content, in chunks."""
        while chunk := self._stream.read(CHUNK):
            yield chunk


class _Header(tarfile.TarInfo):
    """Carries the object's key through `Member.header`, which writers need as it is."""


class FilesReader:
    """Iterates over loose files, opening one at a time."""

    comment = b""

    def __init__(self, source: Store, objects: Sequence[ObjectInfo], meter: Meter) -> None:
        self._source = source
        self._objects = objects
        self._meter = meter

    def __iter__(self) -> Iterator[Entry]:
        """Yield the files in key order; raises SourceChanged, StoreError."""
        for index, info in enumerate(self._objects):
            with open_metered(self._source, info, self._meter) as stream:
                yield FileEntry(info, index, stream)


class FilesWriter:
    """Stages one object a member."""

    def __init__(self, destination: Store, attempt: str, staged: list[Staged]) -> None:
        """Stage in the name of `attempt`; what is staged is appended to `staged`."""
        self._destination = destination
        self._attempt = attempt
        self._staged = staged

    def add(self, member: Member, data: BinaryIO, size: int) -> None:
        """Stage `size` bytes of `data` under the member's key."""
        self._stage(member, iter(lambda: data.read(CHUNK), b""))

    def copy(self, entry: Entry) -> None:
        """Stage the file as it is."""
        self._stage(entry.member, entry.raw())

    def close(self) -> None:
        """Nothing is open between members."""

    def _stage(self, member: Member, chunks: Iterator[bytes]) -> None:
        assert isinstance(member.header, _Header)
        upload = self._destination.stage(member.header.name, self._attempt)
        try:
            for chunk in chunks:
                upload.write(chunk)
            self._staged.append(upload.finish())
        except BaseException:
            upload.abort()
            raise
