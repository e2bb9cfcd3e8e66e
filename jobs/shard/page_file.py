"""A file of pages in the pipeline, and the rows of its pages."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from jobs.archives.member import Member, Writer
from jobs.codecs.codec import Document, assemble, raw_frame
from jobs.errors import ArchiveDamaged, PageError
from jobs.report.schema import Row, Status
from jobs.shard.pipeline import CleanedPage
from jobs.shard.policy import POLICY

_MAX_SIDE = 2**31 - 1  # what a column of the report can hold


@dataclass
class PageFile:
    """A member that holds pages: its bytes, and the outcomes of its frames in order."""

    shard: str
    name: str
    member: Member
    data: bytes
    document: Document
    outcomes: list[CleanedPage | PageError] = field(default_factory=list)

    @property
    def held(self) -> int:
        """Bytes of the file and of its cleaned frames so far."""
        return len(self.data) + sum(len(one.data) for one in self.outcomes if isinstance(one, CleanedPage))

    def write(self, writer: Writer) -> list[Row]:
        """Write the file with its cleaned frames, or unchanged if there are none; returns the pages' rows."""
        cleaned = [one for one in self.outcomes if isinstance(one, CleanedPage)]
        if not cleaned:
            return self._write_as_it_was(writer, self.outcomes)
        try:
            frames = [
                one.data if isinstance(one, CleanedPage) else raw_frame(self.data, self.document, index)
                for index, one in enumerate(self.outcomes)
            ]
            output = assemble(self.document, frames)
        except PageError as error:
            # A page that can't be copied into the new file prevents all of that file.
            whole = PageError(error.code, f"Left as it is, because its file can't be put together: {error}")
            outcomes = [one if isinstance(one, PageError) else whole for one in self.outcomes]
            return self._write_as_it_was(writer, outcomes)
        writer.add(self.member, io.BytesIO(output), len(output))
        digest = cleaned[0].sha256 if len(self.outcomes) == 1 else _sha256(output)
        return self._rows(self.outcomes, digest, len(output))

    def _write_as_it_was(self, writer: Writer, outcomes: Sequence[CleanedPage | PageError]) -> list[Row]:
        writer.add(self.member, io.BytesIO(self.data), len(self.data))
        return self._rows(outcomes, None, len(self.data))

    def _rows(self, outcomes: Sequence[CleanedPage | PageError], digest: str | None, size: int) -> list[Row]:
        source = _sha256(self.data)
        rows = []
        for index, outcome in enumerate(outcomes):
            row = Row(
                self.shard, self.name, self.member.index, index, "cleaned",
                source_sha256=source, output_sha256=digest or source,
                bytes_in=0 if index else len(self.data), bytes_out=0 if index else size,
            )  # fmt: skip
            rows.append(_with_outcome(self._with_frame(row, index), outcome))
        return rows

    def _with_frame(self, row: Row, index: int) -> Row:
        if index >= len(self.document.frames):
            return row  # the header could not be read
        frame = self.document.frames[index]
        dpi_x, dpi_y = frame.dpi or (None, None)
        return replace(
            row, width=_sensible(frame.width), height=_sensible(frame.height), mode=frame.mode or None,
            bit_depth=frame.bit_depth or None, dpi_x=dpi_x, dpi_y=dpi_y,
        )  # fmt: skip


def _sensible(side: int) -> int | None:
    """The side if a page can have it: the header of a refused frame may hold any number."""
    return side if 0 < side <= _MAX_SIDE else None


def refused(shard: str, name: str, member: Member, error: PageError) -> Row:
    """The row of a page that was copied without being read."""
    row = Row(shard, name, member.index, 0, "failed", bytes_in=member.size, bytes_out=member.size)
    return _with_outcome(row, error)


def copied(row: Row, error: ArchiveDamaged) -> Row:
    """The row of a page whose archive was found to be damaged and was copied unchanged."""
    status: Status = "failed" if row.status == "failed" else "passed_through"
    return replace(
        row,
        status=status,
        output_sha256=row.source_sha256,
        before=None,
        after=None,
        fidelity=None,
        reasons=(),
        bytes_out=row.bytes_in,
        error_code=row.error_code or error.code,
        error=row.error or f"Left as it is, because its archive is damaged: {error}",
    )


def damaged(shard: str, name: str, size: int, error: ArchiveDamaged) -> Row:
    """The row of a damaged archive itself, in place of the pages that could not be found."""
    return Row(
        shard, name, -1, 0, "failed", error_code=error.code, error=str(error), bytes_in=size, bytes_out=size
    )


def _with_outcome(row: Row, outcome: CleanedPage | PageError) -> Row:
    if isinstance(outcome, PageError):
        status: Status = "passed_through" if outcome.code in POLICY else "failed"
        return replace(
            row, status=status, error_code=outcome.code, error=str(outcome), reasons=outcome.reasons
        )
    return replace(
        row, decode_ms=outcome.decode_ms, clean_ms=outcome.clean_ms, encode_ms=outcome.encode_ms,
        before=outcome.verdict.before, after=outcome.verdict.after,
        fidelity=outcome.verdict.fidelity, reasons=outcome.verdict.reasons,
    )  # fmt: skip


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
