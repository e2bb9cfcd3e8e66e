"""The members of an archive, one by one: the class of each and its name in the report.

Rewriting a shard, verifying it and showing its pages must agree on both, so all three get members from here.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

from jobs.archives.member import ArchiveKind, Entry
from jobs.archives.open import kind_of
from jobs.codecs.sniff import sniff
from jobs.config import Limits
from jobs.errors import PageError
from jobs.shard.policy import refusal
from jobs.shard.staging import copy
from jobs.stores.spool import spool

_INSIDE = "!/"


@dataclass(frozen=True)
class _Found:
    """A member; `name` is its name within the shard, as the report has it."""

    entry: Entry
    name: str

    @property
    def index(self) -> int:
        """Its position in its archive, from 0."""
        return self.entry.member.index


@dataclass(frozen=True)
class Carried(_Found):
    """A member without pages: it is copied unchanged."""


@dataclass(frozen=True)
class Refused(_Found):
    """A member that may have pages and is copied without being opened; `error` says why."""

    error: PageError


@dataclass(frozen=True)
class PageMember(_Found):
    """A file of one or more pages; `format` is its format, as `sniff` names it."""

    format: str


@dataclass(frozen=True)
class Nested(_Found):
    """An archive within the archive; `depth` is the number of archives around it."""

    kind: ArchiveKind
    depth: int

    def holds(self, name: str) -> bool:
        """Whether a name within the shard is that of a member of this archive."""
        return name.startswith(self.name + _INSIDE)

    def spooled(self) -> BinaryIO:
        """Copy the archive to a temporary file, which is returned at its start; close it.

        Raises:
            PageError: its content can't be read; the next members can.
            ArchiveDamaged: the archive around it ends within it.
            OSError: the temporary folder can't be used; see `spooling`.
        """
        with ExitStack() as after_an_error:
            content = after_an_error.enter_context(spool())
            copy(self.entry.open(), content)
            content.seek(0)
            after_an_error.pop_all()
        return content


Found: TypeAlias = Carried | Refused | PageMember | Nested


def members(entries: Iterable[Entry], limits: Limits, archive: str = "", depth: int = 0) -> Iterator[Found]:
    """Decide what each entry of an archive is.

    Args:
        entries: the archive's; each is good until the next one is asked for.
        limits: the bounds of pages and archives that are opened.
        archive: the archive's own name within the shard; empty for the shard itself.
        depth: the number of archives around it.

    Raises:
        ArchiveDamaged, SourceChanged, StoreError: as `entries`.
    """
    prefix = f"{archive}{_INSIDE}" if archive else ""
    for entry in entries:
        member, name = entry.member, prefix + entry.member.name
        format, kind = sniff(member.name, entry.head), kind_of(member.name)
        if error := refusal(member, format, kind, depth, limits):
            yield Refused(entry, name, error)
        elif member.kind == "file" and format is not None:
            yield PageMember(entry, name, format)
        elif member.kind == "file" and kind is not None:
            yield Nested(entry, name, kind, depth + 1)
        else:
            yield Carried(entry, name)
