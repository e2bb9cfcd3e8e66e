"""Loose files with the interface of an archive: each object is a member."""

import io
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import BinaryIO

from jobs.archives.member import CHUNK, HEAD, Entry, Member, copy_exact
from jobs.shard.meter import Meter, open_metered
from jobs.shard.staging import staging
from jobs.stores.base import ObjectInfo, Staged, Store, Upload
from jobs.text import valid_text


class FileEntry:
    """One loose file; it can be read until the reader moves on."""

    def __init__(self, info: ObjectInfo, index: int, stream: io.BufferedReader) -> None:
        name = valid_text(info.key.rpartition("/")[2])
        self.member = Member(name, index, info.size, "file", tarfile.TarInfo(name))
        self._stream = stream
        self.head = stream.peek(HEAD)[:HEAD]

    def open(self) -> BinaryIO:
        """The file's content."""
        return self._stream

    def raw(self) -> Iterator[bytes]:
        """The file's content, in chunks."""
        while chunk := self._stream.read(CHUNK):
            yield chunk


class FilesReader:
    """Iterates over loose files; opens one at a time."""

    comment = b""

    def __init__(self, source: Store, objects: Sequence[ObjectInfo], meter: Meter) -> None:
        self._source = source
        self._objects = objects
        self._meter = meter

    def __iter__(self) -> Iterator[Entry]:
        """Yield the files in the given order; raises SourceChanged, StoreError."""
        for index, info in enumerate(self._objects):
            with open_metered(self._source, info, self._meter) as stream:
                yield FileEntry(info, index, stream)


class FilesWriter:
    """Stages one object for each member, under the key of its source."""

    def __init__(
        self, destination: Store, objects: Sequence[ObjectInfo], attempt: str, staged: list[Staged]
    ) -> None:
        """Stage for `attempt`; what is staged is appended to `staged`."""
        self._destination = destination
        self._objects = objects
        self._attempt = attempt
        self._staged = staged

    def add(self, member: Member, data: BinaryIO, size: int) -> None:
        """Stage `size` bytes of `data`."""
        with self._staging(member) as upload:
            copy_exact(data, upload, size)

    def copy(self, member: Member, raw: Iterable[bytes]) -> None:
        """Stage the file unchanged."""
        with self._staging(member) as upload:
            for chunk in raw:
                upload.write(chunk)

    def close(self) -> None:
        """Do nothing: no file is open between members."""

    def _staging(self, member: Member) -> AbstractContextManager[Upload]:
        # The member's name is valid text; the key may have bytes that are not UTF-8.
        return staging(self._destination, self._objects[member.index].key, self._attempt, self._staged)
