"""Temporary files, for data that may be too large for memory."""

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from jobs.errors import DestinationFull, StoreError

IN_MEMORY = 8 << 20


def spool() -> BinaryIO:
    """A temporary file without a name; it is in memory while it is small. Close it."""
    return cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=IN_MEMORY))


@contextmanager
def spooling() -> Iterator[None]:
    """Raise errors of the temporary folder as DestinationFull or StoreError.

    Stores translate their own errors: an OSError that gets here comes from a spool.

    Raises:
        DestinationFull: no space is left there.
        StoreError: it can't be used.
    """
    try:
        yield
    except OSError as error:
        # `gettempdir()` would raise again if there is no folder at all.
        folder = f"The temporary folder {tempfile.tempdir or ''}".rstrip()
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DestinationFull(
                f"{folder} has no space left: free some, or set TMPDIR to a larger one."
            ) from error
        raise StoreError(
            f"{folder} can't be used: {error.strerror or error}; set TMPDIR to another."
        ) from error
