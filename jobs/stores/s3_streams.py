"""Streams from and to S3: a seekable read of one version, and a multipart upload."""

import hashlib
import io
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from botocore.exceptions import BotoCoreError
from urllib3.exceptions import HTTPError

from jobs.errors import StoreError
from jobs.stores.base import ObjectInfo, Staged
from jobs.stores.s3_client import Translator, client

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PART = 16 << 20
PARTS_PER_SIZE = 1000
"""The size of parts doubles after this many, so that 10,000 parts can hold the largest object."""
BREAKS_ALLOWED = 5
PAUSE_S = 0.2


class RangeReader(io.RawIOBase):
    """One version of an object; sequential reads stream the body of one GET, a seek ends it."""

    def __init__(self, bucket: str, path: str, info: ObjectInfo, translated: Translator) -> None:
        self._where = {"Bucket": bucket, "Key": path}
        self._info, self._translated = info, translated
        self._at = 0
        self._body: Any = None
        self._body_at = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True; a seek costs a new request."""
        return True

    def tell(self) -> int:
        """The offset of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move; no request is made before the next read."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._info.size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative seek position {base + offset}")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read into `buffer`; if the body breaks off, a new request continues there.

        Raises:
            SourceChanged: the object is gone or has another version.
            StoreError: it breaks off too often.
        """
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), self._info.size - self._at)
        if wanted <= 0:
            return 0
        for broken in range(BREAKS_ALLOWED):
            time.sleep(PAUSE_S * broken)
            data = self._some(wanted)
            if data:
                view[: len(data)] = data
                self._at += len(data)
                self._body_at = self._at
                return len(data)
        raise StoreError(
            f"{self._info.key} breaks off at byte {self._at} each time it is read: check the network."
        )

    def close(self) -> None:
        """Drop the connection."""
        self._drop()
        super().close()

    def _some(self, wanted: int) -> bytes:
        """Up to `wanted` bytes; b"" if the body broke off."""
        if self._body is None or self._body_at != self._at:
            self._drop()
            with self._translated(self._info.key):
                answer = client().get_object(
                    **self._where, Range=f"bytes={self._at}-", IfMatch=f'"{self._info.version}"'
                )
            self._body, self._body_at = answer["Body"], self._at
        data = b""
        with suppress(BotoCoreError, HTTPError, OSError):
            data = self._body.read(wanted)
        if not data:
            self._drop()
        return data

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None


class S3Upload:
    """A multipart upload: no reader sees it before `publish` completes it."""

    def __init__(self, bucket: str, path: str, key: str, attempt: str, translated: Translator) -> None:
        self._where = {"Bucket": bucket, "Key": path}
        self._key, self._attempt = key, quote(attempt, safe="")
        self._translated = translated
        self._id = ""
        self._etags: list[str] = []
        self._pending = bytearray()
        self._size, self._hash = 0, hashlib.sha256()

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Append; complete parts are sent. Raises DestinationFull or StoreError."""
        view = memoryview(data).cast("B")
        self._hash.update(view)
        self._size += len(view)
        self._pending += view
        while len(self._pending) >= (part := PART << (len(self._etags) // PARTS_PER_SIZE)):
            self._send(bytes(memoryview(self._pending)[:part]))
            del self._pending[:part]
        return len(view)

    def finish(self) -> Staged:
        """Send the last part; an empty object has one empty part. Raises DestinationFull or StoreError."""
        if self._pending or not self._etags:
            self._send(bytes(self._pending))
            self._pending.clear()
        token = f"{self._id} {self._attempt}"
        return Staged(self._key, token, self._size, self._hash.hexdigest(), tuple(self._etags))

    def abort(self) -> None:
        """Delete the parts that were sent."""
        self._pending.clear()
        if self._id:
            abort_upload(self._where, self._id, self._translated, self._key)
            self._id = ""

    def _send(self, part: bytes) -> None:
        with self._translated(self._key):
            if not self._id:
                answer = client().create_multipart_upload(
                    **self._where, Metadata={"pumice-attempt": self._attempt}
                )
                self._id = answer["UploadId"]
            answer = client().upload_part(
                **self._where, UploadId=self._id, PartNumber=len(self._etags) + 1, Body=part
            )
            self._etags.append(answer["ETag"])


def abort_upload(where: dict[str, str], upload_id: str, translated: Translator, key: str) -> None:
    """Abort an upload; no error if it is gone."""
    with translated(key), suppress(client().exceptions.NoSuchUpload):
        client().abort_multipart_upload(**where, UploadId=upload_id)
