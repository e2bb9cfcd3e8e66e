"""Opens a store by its address: a folder, or `s3://bucket/prefix`."""

import re
from pathlib import Path

from jobs.errors import InputError
from jobs.stores.base import Store
from jobs.stores.local import LocalStore


def open_store(url: str) -> Store:
    """The store at `url`; it is neither read nor connected to, so this is cheap in every process.

    Raises:
        InputError: it is no address of a store.
    """
    if url.startswith("s3://"):
        from jobs.stores.s3 import S3Store  # noqa: PLC0415 - a local run must not load boto3

        return S3Store(url)
    if not url.strip() or "\0" in url:
        raise InputError("The address is empty: give a folder or s3://bucket/prefix.")
    if scheme := re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", url):
        raise InputError(f"{url}: {scheme[1]}:// is not supported: give a folder or s3://bucket/prefix.")
    return LocalStore(Path(url))
