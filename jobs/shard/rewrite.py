"""Rewrite one archive, member by member: pages cleaned, everything else carried along in its place."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from types import TracebackType
from typing import BinaryIO

from jobs.archives.member import ArchiveKind, Entry, Member, Reader, Sink, Writer
from jobs.archives.open import kind_of, read_archive
from jobs.codecs.codec import Document, inspect
from jobs.codecs.sniff import sniff
from jobs.config import Limits
from jobs.errors import ArchiveDamaged, PageError
from jobs.ledger.plan import Rejected
from jobs.report.schema import Row
from jobs.shard.meter import Meter, Progress
from jobs.shard.page_file import PageFile, copied, damaged, refused
from jobs.shard.pipeline import Bench, Ticket
from jobs.shard.policy import refusal, with_rejections
from jobs.shard.row_spill import Rows
from jobs.shard.staging import archiving, copy
from jobs.shard.window import Window
from jobs.stores.spool import spool
from jobs.text import valid_text


@dataclass(frozen=True)
class _Taken:
    """An entry whose bytes were taken from the reader, all or the first of them, before they are written."""

    member: Member
    head: bytes
    content: Iterable[bytes]

    def open(self) -> BinaryIO:
        raise NotImplementedError("it is there to be copied")

    def raw(self) -> Iterator[bytes]:
        return iter(self.content)


class Rewriter:
    """Rewrites the archives of one shard and collects the rows of their pages; a context manager."""

    def __init__(
        self,
        shard: str,
        bench: Bench,
        limits: Limits,
        meter: Meter | None = None,
        rejected: Sequence[Rejected] = (),
    ) -> None:
        self.rows = Rows()
        self.members = 0
        self._rejected = rejected
        self._shard = valid_text(shard)
        self._limits = limits
        self._meter = meter or bench.meter
        self._grouping = bench.grouping()
        self._window = Window(limits.window_bytes)

    def __enter__(self) -> "Rewriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._grouping.stop()
        self.rows.__exit__(kind, error, trace)

    def rewrite_archive(
        self, kind: ArchiveKind, stream: BinaryIO, size: int, sink: Sink, name: str = "", depth: int = 0
    ) -> None:
        """Write the archive of `size` bytes in `stream` to `sink`, cleaned.

        Args:
            kind: what it is.
            stream: to read it from.
            size: its bytes.
            sink: gets the whole result, or something worthless if this raises.
            name: its name within the shard, for the report; empty for the shard itself.
            depth: how many archives are around it.

        Raises:
            ArchiveDamaged: it can't be read to its end. The rows say so already, and that all its pages are
                as they were: the caller is to copy it.
            SourceChanged, DestinationFull, StoreError: a place broke.
            DeviceError: the device can't run the network.
            OSError: the temporary folder can't be used; see `spooling`.
        """
        first_row = len(self.rows)
        try:
            reader = read_archive(kind, stream, size)
            with archiving(kind, sink, reader.comment) as writer:
                self.rewrite(reader, writer, f"{name}!/" if name else "", depth)
        except ArchiveDamaged as error:
            self.rows.change(first_row, partial(copied, error=error))
            self._account([damaged(self._shard, name, size, error)])
            raise

    def rewrite(self, reader: Reader, writer: Writer, prefix: str = "", depth: int = 0) -> None:
        """Write all members of `reader` to `writer`, cleaned; raises as `rewrite_archive`.

        Args:
            reader: where members come from.
            writer: where they go; the caller closes it.
            prefix: goes before the members' names in the report.
            depth: how many archives are around the reader's.
        """
        try:
            for entry in reader:
                self.members += 1
                self._rewrite_entry(entry, writer, prefix, depth)
        except ArchiveDamaged:
            self._window.drain()  # pages that were found have their rows
            raise
        self._window.drain()

    def _account(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.rows.add(row)
            self._meter.add(Progress(pages=1))

    def _rewrite_entry(self, entry: Entry, writer: Writer, prefix: str, depth: int) -> None:
        member = entry.member
        name = prefix + valid_text(member.name)
        format, kind = sniff(member.name, entry.head), kind_of(member.name)
        if error := refusal(member, format, kind, depth, self._limits):
            self._refuse(entry, writer, name, error)
        elif member.kind == "file" and format is not None:
            self._read_pages(entry, writer, name, format)
        elif member.kind == "file" and kind is not None:
            self._nested(entry, writer, name, kind, depth)
        else:
            self._carry(entry, writer)

    def _refuse(self, entry: Entry, writer: Writer, name: str, error: PageError) -> None:
        """Copy a page that can't or must not be read into memory."""
        self._carry(entry, writer, [refused(self._shard, name, entry.member, error)])

    def _carry(self, entry: Entry, writer: Writer, rows: Iterable[Row] = ()) -> None:
        """Copy a member as it stands: when its turn comes, or now where it is large.

        What it says of its size proves nothing: what really comes is counted.
        """
        taken, size, chunks = list[bytes](), 0, entry.raw()
        for chunk in chunks:
            taken.append(chunk)
            size += len(chunk)
            if size > self._limits.kept_bytes:
                self._window.drain()
                writer.copy(_Taken(entry.member, entry.head, chain(taken, chunks)))
                self._account(rows)
                return
        self._window.make_room(size)

        def finish() -> None:
            writer.copy(_Taken(entry.member, entry.head, taken))
            self._account(rows)

        self._window.add(finish, size)

    def _read_pages(self, entry: Entry, writer: Writer, name: str, format: str) -> None:
        member = entry.member
        self._window.make_room(member.size)
        try:
            data = entry.open().read()
        except PageError as error:
            self._refuse(entry, writer, name, error)
            return
        pages = PageFile(self._shard, name, member, data, Document(format, ()))
        try:
            pages.document = with_rejections(inspect(data, format), name, member.index, data, self._rejected)
        except PageError as error:
            pages.outcomes.append(error)
            self._window.add(lambda: self._account(pages.write(writer)), len(data))
            return
        self._send_frames(pages, writer)

    def _send_frames(self, pages: PageFile, writer: Writer) -> None:
        """Hand the frames in; each holds its decoded and its cleaned pixels while it is in the window."""
        self._window.hold(len(pages.data))
        # Of a TIFF, every frame that is being decoded takes a copy of the whole file.
        own = len(pages.data) if pages.document.format == "TIFF" else 0
        last = len(pages.document.frames) - 1
        for index, frame in enumerate(pages.document.frames):
            cost = 3 * frame.cost + own
            self._window.make_room(cost)
            ticket = self._grouping.add(pages.data, pages.document, index)
            self._window.add(self._finish_of(pages, writer, ticket, index == last), cost)

    def _finish_of(
        self, pages: PageFile, writer: Writer, ticket: Ticket, complete: bool
    ) -> Callable[[], None]:
        def finish() -> None:
            try:
                page = self._grouping.result(ticket)
                pages.outcomes.append(page)
                self._window.hold(len(page.data))
            except PageError as error:
                pages.outcomes.append(error)
            if complete:
                self._account(pages.write(writer))
                self._window.hold(-pages.held)

        return finish

    def _nested(self, entry: Entry, writer: Writer, name: str, kind: ArchiveKind, depth: int) -> None:
        """Rewrite an archive within an archive, through temporary files."""
        member = entry.member
        self._window.drain()
        with spool() as inner, spool() as result:
            try:
                copy(entry.open(), inner)
            except PageError as error:
                self._refuse(entry, writer, name, error)
                return
            inner.seek(0)
            output = result
            try:
                self.rewrite_archive(kind, inner, member.size, result, name, depth + 1)
            except ArchiveDamaged:
                output = inner
            size = output.seek(0, io.SEEK_END)
            output.seek(0)
            writer.add(member, output, size)
