"""A destination in memory that answers as S3 does, and counts the requests that it would have taken."""

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias

from sortedcontainers import SortedDict

from jobs.stores.base import LEDGER, ObjectInfo, Staged

LISTED = 1000
"""Keys that one listing request returns."""
READS = frozenset({"GetObject", "HeadObject", "ListObjectsV2"})
"""Operations that S3's limit for reads counts; its limit for writes counts all others."""
MIRROR = "the mirror"
"""All outputs are counted under this name."""

Request: TypeAlias = tuple[str, str, str]
"""Who asked ("driver" or "workers"), the operation, the folder."""


class CountingStore:
    """The part of `jobs.stores.base.Store` that a run needs; safe to use from several threads.

    Attributes:
        caller: for whom the next requests are counted.
        requests: how many requests were made.
    """

    url = "s3://simulated"

    def __init__(self) -> None:
        self.caller = "driver"
        self.requests = Counter[Request]()
        self._objects: SortedDict[str, bytes] = SortedDict()
        self._staged: dict[str, bytes] = {}
        self._lock = threading.RLock()

    def count(self, operation: str, key: str, times: int = 1) -> None:
        """Count requests, under the folder of the key."""
        parts = key.split("/", 2)
        folder = f"{LEDGER}/{parts[1]}/" if parts[0] == LEDGER and len(parts) > 1 else MIRROR
        with self._lock:
            self.requests[self.caller, operation, folder] += times

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects whose key starts with `prefix`, in key order."""
        with self._lock:
            keys = list(self._objects.irange(prefix, prefix + "\U0010ffff"))
            found = [ObjectInfo(key, len(self._objects[key]), "") for key in keys]
        self.count("ListObjectsV2", prefix, max(1, -(-len(found) // LISTED)))
        return iter(found)

    def stat(self, key: str) -> ObjectInfo | None:
        """The object's facts, or None."""
        self.count("HeadObject", key)
        data = self._objects.get(key)
        return None if data is None else ObjectInfo(key, len(data), "")

    def get(self, key: str) -> bytes | None:
        """A whole object, or None."""
        self.count("GetObject", key)
        data: bytes | None = self._objects.get(key)
        return data

    def create(self, key: str, data: bytes) -> bool:
        """Put only if absent; when refused, what is stored is read back and compared."""
        self.count("PutObject", key)
        with self._lock:
            if key not in self._objects:
                self._objects[key] = data
                return True
        return self.get(key) == data

    def put(self, key: str, data: bytes) -> None:
        """Put over what was there."""
        self.count("PutObject", key)
        with self._lock:
            self._objects[key] = data

    def delete(self, key: str) -> None:
        """Remove; a missing object is fine."""
        self.count("DeleteObject", key)
        with self._lock:
            self._objects.pop(key, None)

    def stage(self, key: str, attempt: str, data: bytes) -> Staged:
        """Upload in one part, without completing it; the token is as long as S3's."""
        self.count("CreateMultipartUpload", key)
        self.count("UploadPart", key)
        digest = hashlib.sha256(f"{key} {attempt}".encode()).hexdigest()
        token = f"{digest}{digest} {attempt}"
        self._staged[token] = data
        return Staged(key, token, len(data), digest, (f'"{digest[:32]}"',))

    def publish(self, staged: Staged) -> None:
        """Complete an upload."""
        self.count("CompleteMultipartUpload", staged.key)
        with self._lock:
            self._objects[staged.key] = self._staged.pop(staged.token)

    def discard_attempt(self, key: str, attempt: str) -> None:
        """Do nothing, as on S3."""

    def probe(self) -> None:
        """Do nothing: it can be written."""
