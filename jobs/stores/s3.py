"""A store below an S3 prefix."""

import io
import random
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import BinaryIO

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from jobs.errors import InputError, SourceChanged, StagedGone, StoreError
from jobs.stores.base import (
    Leftover,
    ObjectInfo,
    Staged,
    checked_key,
    checked_prefix,
    is_listed,
    is_safe_key,
    prove_create,
)
from jobs.stores.s3_client import MISSING, Translator, client, code_of
from jobs.stores.s3_streams import BREAKS_ALLOWED, PAUSE_S, RangeReader, S3Upload, abort_upload

READ_BUFFER = 8 << 20
CONFLICTS_ALLOWED = 8
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


class S3Store:
    """A store below a prefix of a bucket; cheap to make, because all share the process's client."""

    def __init__(self, url: str) -> None:
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        prefix = prefix.rstrip("/")
        if not _BUCKET.fullmatch(bucket) or (prefix and not is_safe_key(prefix)):
            raise InputError(f"{url} is no address of a store: give s3://bucket or s3://bucket/prefix.")
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._translated = Translator(self.url, bucket)

    def __reduce__(self) -> tuple[type["S3Store"], tuple[str]]:
        return type(self), (self.url,)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects below `prefix`, in the service's own fixed order: AWS sorts by key, others by folder.

        Raises:
            InputError: no such bucket, no permission, no network; or a key that a folder can't hold.
            StoreError: the service broke.
        """
        path = self._prefix + checked_prefix(prefix)
        pages = iter(client().get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=path))
        while True:
            with self._translated():
                page = next(pages, None)
            if page is None:
                return
            for entry in page.get("Contents", ()):
                key = entry["Key"].removeprefix(self._prefix)
                if not is_listed(key, prefix) or (entry["Size"] == 0 and key.endswith("/")):
                    continue  # the ledger, or an empty object that stands for a folder
                if not is_safe_key(key):
                    raise InputError(
                        f"{self.url} holds an object named {key!r}, which a folder can't hold: rename it."
                    )
                yield ObjectInfo(key, entry["Size"], entry["ETag"].strip('"'))

    def stat(self, key: str) -> ObjectInfo | None:
        """The object's size and version; None if there is none."""
        where = self._where(key)
        with self._translated(key):
            try:
                answer = client().head_object(**where)
            except ClientError as error:
                if code_of(error) in MISSING:
                    return None
                raise
        return ObjectInfo(key, answer["ContentLength"], answer["ETag"].strip('"'))

    def open(self, info: ObjectInfo) -> BinaryIO:
        """A buffered stream; every request asks for that version. Raises SourceChanged, here or at a read."""
        where = self._where(info.key)
        if info.size == 0 and self.stat(info.key) != info:  # an empty one makes no request
            raise SourceChanged(f"{self.url}/{info.key} was changed or removed while it was being read.")
        return io.BufferedReader(
            RangeReader(where["Bucket"], where["Key"], info, self._translated), READ_BUFFER
        )

    def get(self, key: str) -> bytes | None:
        """The bytes of a small object; None if there is none."""
        where = self._where(key)
        for broken in range(BREAKS_ALLOWED):
            time.sleep(PAUSE_S * broken)
            with self._translated(key):
                try:
                    body = client().get_object(**where)["Body"]
                except ClientError as error:
                    if code_of(error) in MISSING:
                        return None
                    raise
            with suppress(BotoCoreError, HTTPError, OSError), body:
                return bytes(body.read())
        raise StoreError(f"{self.url}/{key} breaks off each time it is read: check the network.")

    def create(self, key: str, data: bytes) -> bool:
        """Put with `If-None-Match: *`; if it is refused, the stored bytes are compared with `data`."""
        where = self._where(key)
        for conflict in range(CONFLICTS_ALLOWED):
            time.sleep(random.uniform(0, PAUSE_S * conflict))
            with self._translated(key):
                try:
                    client().put_object(**where, Body=data, IfNoneMatch="*")
                    return True
                except ClientError as error:
                    # 409: another put of the same key is being made, so neither has succeeded yet.
                    if code_of(error) not in (
                        "PreconditionFailed",
                        "412",
                        "ConditionalRequestConflict",
                        "409",
                    ):
                        raise
                    refused = code_of(error) in ("PreconditionFailed", "412")
            stored = self.get(key) if refused else None
            if stored is not None:
                return stored == data
        raise StoreError(f"{self.url}/{key} is being written by too many others: try again.")

    def put(self, key: str, data: bytes) -> None:
        """Put over what was there."""
        where = self._where(key)
        with self._translated(key):
            client().put_object(**where, Body=data)

    def delete(self, key: str) -> None:
        """Remove."""
        where = self._where(key)
        with self._translated(key):
            client().delete_object(**where)

    def stage(self, key: str, attempt: str) -> S3Upload:
        """Begin a multipart upload; the first part makes the first request."""
        where = self._where(key)
        return S3Upload(where["Bucket"], where["Key"], key, attempt, self._translated)

    def publish(self, staged: Staged) -> None:
        """Complete the upload.

        Raises:
            StagedGone: the upload is gone, and the object under its key is another one.
            StoreError: the service refused.
        """
        where = self._where(staged.key)
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(staged.parts, 1)]
        upload_id, attempt = staged.token.split(" ")
        with self._translated(staged.key):
            try:
                client().complete_multipart_upload(
                    **where, UploadId=upload_id, MultipartUpload={"Parts": parts}
                )
            except client().exceptions.NoSuchUpload:
                pass  # it may have been completed before; the metadata of the object tells
            else:
                return
        if not self._is_published(where, staged, attempt):
            raise StagedGone(
                f"What was staged for {self.url}/{staged.key} is gone, and the object is not it."
            )

    def discard(self, staged: Staged) -> None:
        """Abort the upload."""
        abort_upload(self._where(staged.key), staged.token.split(" ")[0], self._translated, staged.key)

    def discard_attempt(self, key: str, attempt: str) -> None:
        """Do nothing: no reader sees unfinished uploads, and finding one means listing all of the bucket's.

        The lifecycle rule (AbortIncompleteMultipartUpload) and `gc` remove them.
        """

    def leftovers(self) -> Iterator[Leftover]:
        """All uploads that are not completed; raises as `list`."""
        pages = client().get_paginator("list_multipart_uploads")
        found = iter(pages.paginate(Bucket=self._bucket, Prefix=self._prefix))
        while True:
            with self._translated():
                page = next(found, None)
            if page is None:
                return
            for entry in page.get("Uploads", ()):
                if entry["Key"].startswith(self._prefix):
                    age = (datetime.now(UTC) - entry["Initiated"]).total_seconds()
                    yield Leftover(entry["Key"].removeprefix(self._prefix), entry["UploadId"], age)

    def remove_leftover(self, leftover: Leftover) -> None:
        """Abort the upload."""
        abort_upload(self._where(leftover.key), leftover.token, self._translated, leftover.key)

    def probe(self) -> None:
        """Prove that the second of two conditional puts is refused.

        Raises:
            InputError: the bucket can't be written, or the service ignores the condition.
        """
        prove_create(
            self,
            f"{self.url} can't be used as a destination.",
            f"{self.url} ignores conditional puts (If-None-Match), without which two runs could "
            "overwrite each other: use a store that honours them, such as AWS S3 or SeaweedFS.",
        )

    def _where(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + checked_key(key)}

    def _is_published(self, where: dict[str, str], staged: Staged, attempt: str) -> bool:
        with self._translated(staged.key):
            try:
                answer = client().head_object(**where)
            except ClientError as error:
                if code_of(error) in MISSING:
                    return False
                raise
        ours: bool = answer["Metadata"].get("pumice-attempt") == attempt
        return ours and answer["ContentLength"] == staged.size
