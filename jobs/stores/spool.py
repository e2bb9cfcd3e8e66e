"""Temporary files: where that goes which may be too large for memory."""

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from jobs.errors import DestinationFull, StoreError

IN_MEMORY = 8 << 20


def spool() -> BinaryIO:
    """A nameless file to write and read again; in memory while it is small. Close it."""
    return cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=IN_MEMORY))


@contextmanager
def spooling() -> Iterator[None]:
    """Say in one sentence what is wrong with the temporary folder.

    The stores put their own errors into words: an OSError that gets here comes from a spool.

    Raises:
        DestinationFull: no space is left there.
        StoreError: it can't be used.
    """
    try:
        yield
    except OSError as error:
        # `gettempdir()` would raise once more where there is no folder at all.
        folder = f"The temporary folder {tempfile.tempdir or ''}".rstrip()
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DestinationFull(
                f"{folder} has no space left: free some, or set TMPDIR to a larger one."
            ) from error
        raise StoreError(
            f"{folder} can't be used: {error.strerror or error}; set TMPDIR to another."
        ) from error
