"""What Pumice asks of a place that holds objects: a folder or an S3 prefix.

Keys are relative to the place, with `/` between parts, never absolute, never with `.`, `..` or empty parts.
The one primitive that correctness stands on is `create`: one small object, put only if it is absent.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

LEDGER = "_pumice"
"""The folder of a destination that holds Pumice's own records; never listed as a source."""


@dataclass(frozen=True, slots=True)  # a driver holds a million
class ObjectInfo:
    """One object: its key, its size in bytes and a version that changes when its content does."""

    key: str
    size: int
    version: str


@dataclass(frozen=True)
class Staged:
    """A whole object, durable where no reader sees it; `publish` makes it appear under `key`.

    `token` is the upload id (S3) or the temporary file's key (disk), `parts` the etags of an upload's parts.
    """

    key: str
    token: str
    size: int
    sha256: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Leftover:
    """Something unfinished: an upload, or a temporary file.

    Attributes:
        key: what an upload was to become; a temporary file's own key.
        token: as in `Staged`, up to its first space.
        age_s: seconds since it was begun or last written to.
    """

    key: str
    token: str
    age_s: float


class Upload(Protocol):
    """A binary stream into the staging area; ends in exactly one of `finish` and `abort`."""

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Append; raises DestinationFull or StoreError."""
        ...

    def finish(self) -> Staged:
        """Make what was written durable, still unseen."""
        ...

    def abort(self) -> None:
        """Forget what was written; safe to call twice and after a failure."""
        ...


class Store(Protocol):
    """A place of objects."""

    url: str

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects whose key starts with `prefix`, in key order; leaves staged files out."""
        ...

    def stat(self, key: str) -> ObjectInfo | None:
        """The object's facts, or None."""
        ...

    def open(self, info: ObjectInfo) -> BinaryIO:
        """A buffered, seekable stream of exactly that version; raises SourceChanged on any other."""
        ...

    def get(self, key: str) -> bytes | None:
        """A small object whole, or None."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Put only if absent, durably; True for exactly one of any number of racing callers.

        A caller whose own answer got lost hears True: the stored bytes are compared, so make them unique.
        """
        ...

    def put(self, key: str, data: bytes) -> None:
        """Put whole and atomically, over what was there; for objects that have a single writer."""
        ...

    def delete(self, key: str) -> None:
        """Remove; a missing object is fine."""
        ...

    def stage(self, key: str, attempt: str) -> Upload:
        """Begin an unseen object that is to appear under `key`; `attempt` names who writes it."""
        ...

    def publish(self, staged: Staged) -> None:
        """Make a staged object appear, whole; idempotent. Raises StoreError if it is gone."""
        ...

    def discard(self, staged: Staged) -> None:
        """Remove a staged object that no commit names; a missing one is fine."""
        ...

    def discard_attempt(self, key: str, attempt: str) -> None:
        """Remove what a dead attempt may have left staged for `key`, as far as this store can tell."""
        ...

    def leftovers(self) -> Iterator[Leftover]:
        """Everything that is staged or was being written: of the dead, of zombies, and of who is at work."""
        ...

    def remove_leftover(self, leftover: Leftover) -> None:
        """Remove it; a missing one is fine."""
        ...

    def probe(self) -> None:
        """Raise InputError, with the remedy, where the store can't be written or ignores create-if-absent."""
        ...
