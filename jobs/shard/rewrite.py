"""Rewrites an archive member by member, in order: pages are cleaned, all other members are copied."""

import io
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from types import TracebackType
from typing import BinaryIO

from jobs.archives.member import ArchiveKind, Entry, Reader, Sink, Writer
from jobs.archives.open import read_archive
from jobs.codecs.codec import Document, inspect
from jobs.config import Limits
from jobs.errors import ArchiveDamaged, PageError
from jobs.ledger.plan import Rejected
from jobs.report.schema import Row
from jobs.shard.members import Carried, Found, Nested, PageMember, Refused, members
from jobs.shard.meter import Meter, Progress
from jobs.shard.page_file import PageFile, copied, damaged, refused
from jobs.shard.pipeline import Bench, Ticket
from jobs.shard.policy import keep_rejected
from jobs.shard.row_spill import Rows
from jobs.shard.staging import archiving
from jobs.shard.window import Window
from jobs.stores.spool import spool
from jobs.text import valid_text


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
        self.member_count = 0
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
            kind: the archive's kind.
            stream: the archive.
            size: its bytes.
            sink: gets the result; what it got is useless if this raises.
            name: the archive's name within the shard, for the report; empty for the shard itself.
            depth: how many archives are around it.

        Raises:
            ArchiveDamaged: it can't be read to its end. Its rows already say so, and that its pages are
                unchanged: the caller must copy it.
            SourceChanged, DestinationFull, StoreError: a store broke.
            DeviceError: the device can't run the network.
            OSError: the temporary folder can't be used; see `spooling`.
        """
        first_row = len(self.rows)
        try:
            reader = read_archive(kind, stream, size)
            with archiving(kind, sink, reader.comment) as writer:
                self.rewrite(reader, writer, name, depth)
        except ArchiveDamaged as error:
            self.rows.change(first_row, partial(copied, error=error))
            self._account([damaged(self._shard, name, size, error)])
            raise

    def rewrite(self, reader: Reader, writer: Writer, archive: str = "", depth: int = 0) -> None:
        """Write all members of `reader` to `writer`, cleaned; raises as `rewrite_archive`.

        Args:
            reader: the archive.
            writer: gets the members; the caller closes it.
            archive: the archive's name within the shard; empty for the shard itself.
            depth: how many archives are around it.
        """
        try:
            for found in members(reader, self._limits, archive, depth):
                self.member_count += 1
                self._rewrite_member(found, writer)
        except ArchiveDamaged:
            self._window.drain()  # pages that were found get their rows
            raise
        self._window.drain()

    def _account(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.rows.add(row)
            self._meter.add(Progress(pages=1))

    def _rewrite_member(self, found: Found, writer: Writer) -> None:
        match found:
            case Refused():
                self._refuse(found, writer, found.error)
            case PageMember():
                self._read_pages(found, writer)
            case Nested():
                self._rewrite_nested(found, writer)
            case Carried():
                self._carry(found.entry, writer)

    def _refuse(self, found: Found, writer: Writer, error: PageError) -> None:
        """Copy a member whose pages can't or must not be read, with a row that says why."""
        self._carry(found.entry, writer, [refused(self._shard, found.name, found.entry.member, error)])

    def _carry(self, entry: Entry, writer: Writer, rows: Iterable[Row] = ()) -> None:
        """Copy a member unchanged: when its turn comes, or now if it is large.

        Its declared size may be wrong: the bytes that are read are counted.
        """
        taken, size, chunks = list[bytes](), 0, entry.raw()
        for chunk in chunks:
            taken.append(chunk)
            size += len(chunk)
            if size > self._limits.kept_bytes:
                self._window.drain()
                writer.copy(entry.member, chain(taken, chunks))
                self._account(rows)
                return
        self._window.make_room(size)

        def finish() -> None:
            writer.copy(entry.member, taken)
            self._account(rows)

        self._window.add(finish, size)

    def _read_pages(self, found: PageMember, writer: Writer) -> None:
        member, format = found.entry.member, found.format
        self._window.make_room(member.size)
        try:
            data = found.entry.open().read()
        except PageError as error:
            self._refuse(found, writer, error)
            return
        pages = PageFile(self._shard, found.name, member, data, Document(format, ()))
        try:
            document = inspect(data, format)
            pages.document = keep_rejected(document, found.name, member.index, data, self._rejected)
        except PageError as error:
            pages.outcomes.append(error)
            self._window.add(lambda: self._account(pages.write(writer)), len(data))
            return
        self._send_frames(pages, writer)

    def _send_frames(self, pages: PageFile, writer: Writer) -> None:
        """Hand the frames in; a frame in the window needs memory for its decoded and its cleaned pixels."""
        self._window.hold(len(pages.data))
        # A frame of a TIFF that is being decoded has a copy of the whole file.
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

    def _rewrite_nested(self, found: Nested, writer: Writer) -> None:
        """Rewrite an archive within an archive, through temporary files."""
        member = found.entry.member
        self._window.drain()
        try:
            inner = found.spooled()
        except PageError as error:
            self._refuse(found, writer, error)
            return
        with inner, spool() as result:
            output = result
            try:
                self.rewrite_archive(found.kind, inner, member.size, result, found.name, found.depth)
            except ArchiveDamaged:
                output = inner
            size = output.seek(0, io.SEEK_END)
            output.seek(0)
            writer.add(member, output, size)
