"""A destination in memory that answers as S3 does, and counts the requests it would have taken."""

import hashlib
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, TypeAlias

from jobs.errors import StagedGone
from jobs.stores.base import LEDGER, Leftover, ObjectInfo, Staged

LISTED = 1000
"""Keys that one listing request answers."""
READS = frozenset({"GetObject", "HeadObject", "ListObjectsV2"})
"""Operations that count against the limit of GET and HEAD; all others do against that of PUT and DELETE."""
MIRROR = "the mirror"
"""The folder that all outputs are counted under."""

_Node: TypeAlias = "dict[str, _Node | bytes]"
Request: TypeAlias = tuple[str, str, str]
"""Who asked, the operation, the folder."""


def folder_of(key: str) -> str:
    """The folder that a request is counted under: `_pumice/claims/` and its like, or the mirror."""
    parts = key.split("/", 2)
    return f"{LEDGER}/{parts[1]}/" if parts[0] == LEDGER and len(parts) > 1 else MIRROR


@dataclass
class MemoryStore:
    """A tree of folders, so that listing one costs what it holds; implements `jobs.stores.base.Store`.

    Attributes:
        url: its address.
        caller: whom the next requests are counted for.
        requests: how many were made, by caller, operation and folder.
    """

    url: str = "s3://simulated"
    caller: str = "workers"
    requests: Counter[Request] = field(default_factory=Counter)
    _root: _Node = field(default_factory=dict)
    _staged: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    def count(self, operation: str, folder: str, times: int = 1) -> None:
        """Note requests."""
        self.requests[self.caller, operation, folder] += times

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects whose key starts with `prefix`, in key order."""
        above = prefix.rpartition("/")[0]
        node: _Node | bytes | None = self._root
        for part in above.split("/") if above else ():
            node = node.get(part) if isinstance(node, dict) else None
        found = list(_walk(node, f"{above}/" if above else "", prefix) if isinstance(node, dict) else ())
        self.count("ListObjectsV2", folder_of(prefix), max(1, -(-len(found) // LISTED)))
        return iter(found)

    def stat(self, key: str) -> ObjectInfo | None:
        """The object's facts, or None."""
        self.count("HeadObject", folder_of(key))
        data = self._find(key)
        return None if data is None else ObjectInfo(key, len(data), str(id(data)))

    def open(self, info: ObjectInfo) -> BinaryIO:
        """The object's bytes; it must be there."""
        self.count("GetObject", folder_of(info.key))
        data = self._find(info.key)
        assert data is not None
        return io.BytesIO(data)

    def get(self, key: str) -> bytes | None:
        """An object whole, or None."""
        self.count("GetObject", folder_of(key))
        return self._find(key)

    def create(self, key: str, data: bytes) -> bool:
        """Put only if absent; once refused, what is stored is read back and compared."""
        self.count("PutObject", folder_of(key))
        stored = self._find(key)
        if stored is None:
            self._set(key, data)
            return True
        self.count("GetObject", folder_of(key))
        return stored == data

    def put(self, key: str, data: bytes) -> None:
        """Put over what was there."""
        self.count("PutObject", folder_of(key))
        self._set(key, data)

    def delete(self, key: str) -> None:
        """Remove, and the folders that are empty then."""
        self.count("DeleteObject", folder_of(key))
        path, node = [], self._root
        *folders, name = key.split("/")
        for part in folders:
            below = node.get(part)
            if not isinstance(below, dict):
                return
            path.append((node, part))
            node = below
        node.pop(name, None)
        for above, part in reversed(path):
            if above[part]:
                break
            del above[part]

    def stage(self, key: str, attempt: str) -> "MemoryUpload":
        """Begin an upload."""
        return MemoryUpload(self, key, attempt)

    def finished(self, staged: Staged, data: bytes) -> None:
        """Keep what an upload has sent: one part, as of an archive below 16 MiB."""
        self.count("CreateMultipartUpload", folder_of(staged.key))
        self.count("UploadPart", folder_of(staged.key))
        self._staged[staged.token] = (staged.key, data)

    def publish(self, staged: Staged) -> None:
        """Complete an upload; raises StagedGone if it is gone and the object is not there."""
        self.count("CompleteMultipartUpload", folder_of(staged.key))
        key, data = self._staged.pop(staged.token, ("", b""))
        if key:
            self._set(key, data)
        elif self.stat(staged.key) is None:
            raise StagedGone(staged.key)

    def discard(self, staged: Staged) -> None:
        """Abort an upload."""
        self.count("AbortMultipartUpload", folder_of(staged.key))
        self._staged.pop(staged.token, None)

    def discard_attempt(self, key: str, attempt: str) -> None:
        """Nothing, as on S3."""

    def leftovers(self) -> Iterator[Leftover]:
        """What is staged and not published."""
        return (Leftover(key, token, 0.0) for token, (key, _) in self._staged.items())

    def remove_leftover(self, leftover: Leftover) -> None:
        """Abort it."""
        self._staged.pop(leftover.token, None)

    def probe(self) -> None:
        """Nothing: it can be written."""

    def _find(self, key: str) -> bytes | None:
        node: _Node | bytes | None = self._root
        for part in key.split("/"):
            node = node.get(part) if isinstance(node, dict) else None
        return node if isinstance(node, bytes) else None

    def _set(self, key: str, data: bytes) -> None:
        node = self._root
        *folders, name = key.split("/")
        for part in folders:
            below = node.setdefault(part, {})
            assert isinstance(below, dict)
            node = below
        node[name] = data


class MemoryUpload:
    """An upload of one write."""

    def __init__(self, store: MemoryStore, key: str, attempt: str) -> None:
        self._store, self._key, self._attempt = store, key, attempt
        self._data = b""

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Append."""
        self._data = self._data + bytes(data) if self._data else bytes(data)
        return len(data)

    def finish(self) -> Staged:
        """Stage it, under tokens as long as S3's."""
        digest = hashlib.sha256(f"{self._key} {self._attempt}".encode()).hexdigest()
        token = f"{digest}{digest} {self._attempt}"
        staged = Staged(self._key, token, len(self._data), digest, (f'"{digest[:32]}"',))
        self._store.finished(staged, self._data)
        return staged

    def abort(self) -> None:
        """Forget it."""
        self._data = b""


def _walk(node: _Node, above: str, prefix: str) -> Iterator[ObjectInfo]:
    for name, below in sorted(node.items()):
        key = above + name
        if isinstance(below, bytes):
            if key.startswith(prefix):
                yield ObjectInfo(key, len(below), "")
        elif prefix.startswith(f"{key}/") or f"{key}/".startswith(prefix):
            yield from _walk(below, f"{key}/", prefix)
