"""What a store does: it holds objects in a folder or below an S3 prefix.

Keys are relative to the store, with `/` between parts, never absolute, never with `.`, `..` or empty parts.
Correctness rests on one primitive, `create`: it puts a small object only if it is absent.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO, Protocol, TypeVar

from jobs.errors import DestinationFull, InputError, StoreError

LEDGER = "_pumice"
"""The folder of a destination that holds Pumice's own records; never listed as a source."""
READERS = 16
"""How many requests a process sends to a store at the same time."""

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)  # a driver holds a million
class ObjectInfo:
    """One object: its key, its size in bytes and a version that changes when its content changes."""

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
        key: the key that an upload was made for; a temporary file's own key.
        token: as in `Staged`, up to its first space.
        age_s: seconds since the upload began or the file was last written to.
    """

    key: str
    token: str
    age_s: float


class Upload(Protocol):
    """A binary stream into the staging area; ends with either `finish` or `abort`."""

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Append; raises DestinationFull or StoreError."""
        ...

    def finish(self) -> Staged:
        """Make what was written durable; no reader sees it yet."""
        ...

    def abort(self) -> None:
        """Remove what was written; may be called twice, and after a failure."""
        ...


class Store(Protocol):
    """A folder or an S3 prefix that holds objects."""

    url: str

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects whose key starts with `prefix`, in key order, without staged files."""
        ...

    def stat(self, key: str) -> ObjectInfo | None:
        """The object's size and version; None if there is none."""
        ...

    def open(self, info: ObjectInfo) -> BinaryIO:
        """A buffered, seekable stream of exactly that version; raises SourceChanged for any other."""
        ...

    def get(self, key: str) -> bytes | None:
        """The bytes of a small object; None if there is none."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Put only if absent, durably; returns True to exactly one of any number of callers at the same time.

        A caller that retries after it lost the answer also gets True: the stored bytes are compared with its
        own, so make them unique.
        """
        ...

    def put(self, key: str, data: bytes) -> None:
        """Put atomically, over what was there; for objects that have a single writer."""
        ...

    def delete(self, key: str) -> None:
        """Remove; no error if it is missing."""
        ...

    def stage(self, key: str, attempt: str) -> Upload:
        """Begin an object that `publish` will make appear under `key`; `attempt` names its writer."""
        ...

    def publish(self, staged: Staged) -> None:
        """Make a staged object appear; idempotent. Raises StoreError if it is gone."""
        ...

    def discard(self, staged: Staged) -> None:
        """Remove a staged object that no commit names; no error if it is missing."""
        ...

    def discard_attempt(self, key: str, attempt: str) -> None:
        """Remove what a dead attempt may have left staged for `key`, as far as this store can find it."""
        ...

    def leftovers(self) -> Iterator[Leftover]:
        """Everything that is staged or being written, by runs that are dead, slow or at work."""
        ...

    def remove_leftover(self, leftover: Leftover) -> None:
        """Remove it; no error if it is missing."""
        ...

    def probe(self) -> None:
        """Raise InputError, with the remedy, if the store can't be written or ignores create-if-absent."""
        ...


def is_safe_key(key: str) -> bool:
    """Whether a key is relative, has no empty, `.` or `..` part and no NUL."""
    return "\0" not in key and all(part not in ("", ".", "..") for part in key.split("/"))


def checked_key(key: str) -> str:
    """The key itself.

    Raises:
        StoreError: it could lead out of the store, or two spellings of it would be one object.
    """
    if not is_safe_key(key):
        raise StoreError(
            f"The name {key!r} can't be used: it is empty, absolute, or has an empty, . or .. part."
        )
    return key


def checked_prefix(prefix: str) -> str:
    """The prefix itself; its last part may be incomplete or empty.

    Raises:
        StoreError: it could lead out of the store.
    """
    folder, _, rest = prefix.rpartition("/")
    if folder or prefix.startswith("/"):
        checked_key(folder)
    if rest in (".", "..") or "\0" in rest:
        raise StoreError(f"The prefix {prefix!r} can't be used: it ends in a . or .. part, or holds a NUL.")
    return prefix


def is_listed(key: str, prefix: str) -> bool:
    """Whether a listing of `prefix` has `key`: it has the ledger only if `prefix` asks for it."""
    return key.startswith(prefix) and (prefix.startswith(LEDGER) or not key.startswith(f"{LEDGER}/"))


def prove_create(store: Store, unusable: str, careless: str) -> None:
    """Prove that a store can carry the commit protocol: of two conditional writes, it refuses the second.

    Args:
        store: the store; the object is removed again.
        unusable: the beginning of the error message if the store can't be written; the reason follows.
        careless: the error message if both writes succeed.

    Raises:
        InputError: one of the two.
        DestinationFull: no space is left.
    """
    key = f"{LEDGER}/probe/{uuid.uuid4().hex}"
    try:
        first, second = store.create(key, b"first"), store.create(key, b"second")
        store.delete(key)
    except DestinationFull:
        raise
    except StoreError as error:
        raise InputError(f"{unusable} {error}") from error
    if not first or second:
        raise InputError(careless)


def in_parallel(work: Callable[[In], Out], items: Iterable[In]) -> list[Out]:
    """The results of `work` in the order of `items`: requests wait for the network, so many run at once."""
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(work, items))
