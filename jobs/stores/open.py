"""From what the user typed to a Store: a folder, or `s3://bucket/prefix`."""

import re
from pathlib import Path

from jobs.errors import InputError
from jobs.stores.base import Store
from jobs.stores.local import LocalStore


def open_store(url: str) -> Store:
    """The place at `url`; neither looks at it nor connects, so that it is cheap in every process.

    Raises:
        InputError: the address is none of a place that Pumice knows.
    """
    if url.startswith("s3://"):
        from jobs.stores.s3 import S3Store  # noqa: PLC0415 - a local run never pays for boto3

        return S3Store(url)
    if not url.strip() or "\0" in url:
        raise InputError("The address of a place is empty: give a folder or s3://bucket/prefix.")
    if scheme := re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", url):
        raise InputError(f"{url}: {scheme[1]}:// isn't known: give a folder or s3://bucket/prefix.")
    return LocalStore(Path(url))
