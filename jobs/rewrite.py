"""Rewrite one archive, member by member: pages cleaned, everything else carried along in its place."""

import io
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import IO, BinaryIO, cast

from jobs.archive import is_safe_name, kind_of, read_archive, write_archive
from jobs.archive_member import CHUNK, ArchiveKind, Entry, Member, Reader, Writer
from jobs.codecs import Document, inspect
from jobs.config import Limits
from jobs.errors import ArchiveDamaged, PageError
from jobs.pages import PageFile, copied, damaged, refused
from jobs.pipeline import Bench, CleanedPage
from jobs.report import Row, printable
from jobs.sniff import sniff
from jobs.window import Window


@dataclass(frozen=True)
class _Kept:
    """An entry that was read before its turn to be written came."""

    member: Member
    head: bytes
    content: bytes

    def open(self) -> BinaryIO:
        return io.BytesIO(self.content)

    def raw(self) -> Iterator[bytes]:
        yield self.content


class Rewriter:
    """Rewrites the archives of one shard and collects the rows of their pages."""

    def __init__(self, shard: str, bench: Bench, limits: Limits) -> None:
        self.rows: list[Row] = []
        self.members = 0
        self._shard = printable(shard)
        self._limits = limits
        self._meter = bench.meter
        self._grouping = bench.grouping()
        self._window = Window(self._grouping, limits.window_bytes)

    def rewrite(self, reader: Reader, writer: Writer, prefix: str = "", depth: int = 0) -> None:
        """Write all of `reader` to `writer`, cleaned.

        Args:
            reader: where members come from.
            writer: where they go; it is closed.
            prefix: the names of the archives around this one, for the report.
            depth: how many there are.

        Raises:
            ArchiveDamaged: the archive can't be read to its end; see `give_up`.
            StoreError: a place broke.
        """
        for entry in reader:
            self.members += 1
            self._rewrite_entry(entry, writer, prefix, depth)
        self._window.drain()
        writer.close()

    def give_up(self, error: ArchiveDamaged, first_row: int, name: str, size: int) -> None:
        """Turn the rows of a damaged archive, from `first_row` on, into those of a copy, and add its own."""
        self._window.drain()
        self.rows[first_row:] = [copied(row, error) for row in self.rows[first_row:]]
        self._account([damaged(self._shard, name, size, error)])

    def _account(self, rows: list[Row]) -> None:
        self.rows += rows
        self._meter.add(pages=len(rows))

    def _rewrite_entry(self, entry: Entry, writer: Writer, prefix: str, depth: int) -> None:
        member = entry.member
        name = prefix + printable(member.name)
        format, kind = sniff(member.name, entry.head), kind_of(member.name)
        if member.kind == "directory":
            self._carry(entry, writer)
        elif member.kind != "file":
            self._refuse(entry, writer, name, PageError("not_a_file", f"It is a {member.kind}."))
        elif format is None and kind is None:
            self._carry(entry, writer)
        elif not is_safe_name(member.name):
            error = PageError("unsafe_name", "Its name leads out of the archive.")
            self._refuse(entry, writer, name, error)
        elif format is not None:
            self._read_pages(entry, writer, name, format)
        elif kind is not None:
            self._nested(entry, writer, name, kind, depth)

    def _carry(self, entry: Entry, writer: Writer) -> None:
        """Copy a member that is no page: at once where it is large, else when its turn comes."""
        member = entry.member
        if member.size > self._limits.kept_bytes:
            self._window.drain()
            writer.copy(entry)
            return
        self._window.make_room(member.size)
        kept = _Kept(member, entry.head, b"".join(entry.raw()))
        self._window.add(lambda: writer.copy(kept), len(kept.content))

    def _refuse(self, entry: Entry, writer: Writer, name: str, error: PageError) -> None:
        """Copy a page that can't or must not be read into memory."""
        self._window.drain()
        writer.copy(entry)
        self._account([refused(self._shard, name, entry.member, error)])

    def _read_pages(self, entry: Entry, writer: Writer, name: str, format: str) -> None:
        member = entry.member
        if member.size > self._limits.member_bytes:
            error = PageError("too_large", f"The file has {member.size} bytes: more than Pumice decodes.")
            self._refuse(entry, writer, name, error)
            return
        self._window.make_room(member.size)
        try:
            data = entry.open().read()
        except PageError as error:
            self._refuse(entry, writer, name, error)
            return
        pages = PageFile(self._shard, name, member, data, Document(format, ()))
        try:
            pages.document = inspect(data, format)
        except PageError as error:
            pages.outcomes.append(error)
            self._window.add(lambda: self._account(pages.write(writer)), len(data))
            return
        self._send_frames(pages, writer)

    def _send_frames(self, pages: PageFile, writer: Writer) -> None:
        """Hand the frames in; each holds its decoded and its cleaned pixels while it is in the window."""
        last = len(pages.document.frames) - 1
        for index, frame in enumerate(pages.document.frames):
            cost = 3 * frame.cost + (0 if index else len(pages.data))
            self._window.make_room(cost)
            result = self._grouping.add(pages.data, pages.document, index)
            self._window.add(self._finish_of(pages, writer, result, index == last), cost)

    def _finish_of(
        self, pages: PageFile, writer: Writer, result: "Future[CleanedPage]", complete: bool
    ) -> Callable[[], None]:
        def finish() -> None:
            try:
                pages.outcomes.append(result.result())
            except PageError as error:
                pages.outcomes.append(error)
            if complete:
                self._account(pages.write(writer))

        return finish

    def _nested(self, entry: Entry, writer: Writer, name: str, kind: ArchiveKind, depth: int) -> None:
        """Rewrite an archive within an archive, through temporary files."""
        member = entry.member
        if depth + 1 > self._limits.depth or member.size > self._limits.nested_bytes:
            error = PageError("nested_too_deep", "It is an archive too deep in archives, or too large.")
            self._refuse(entry, writer, name, error)
            return
        self._window.drain()
        with _spool() as inner, _spool() as result:
            try:
                _copy(entry.open(), inner)
            except PageError as error:
                self._refuse(entry, writer, name, error)
                return
            inner.seek(0)
            first_row = len(self.rows)
            try:
                reader = read_archive(kind, inner, member.size)
                self.rewrite(reader, write_archive(kind, result, reader.comment), f"{name}!/", depth + 1)
            except ArchiveDamaged as error:
                self.give_up(error, first_row, name, member.size)
                inner.seek(0)
                writer.add(member, inner, member.size)
                return
            size = result.tell()
            result.seek(0)
            writer.add(member, result, size)


def _spool() -> BinaryIO:
    return cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=8 * CHUNK))


def _copy(stream: BinaryIO, sink: IO[bytes]) -> None:
    while chunk := stream.read(CHUNK):
        sink.write(chunk)
