"""A store in a folder."""

import errno
import io
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from jobs.errors import InputError, SourceChanged, StagedGone, StoreError
from jobs.stores.base import (
    LEDGER,
    Leftover,
    ObjectInfo,
    Staged,
    checked_key,
    checked_prefix,
    is_listed,
    prove_create,
)
from jobs.stores.local_files import (
    LocalUpload,
    PinnedFile,
    is_absence,
    link_whole,
    sha256_of,
    staging_key,
    sync_folder,
    translated,
    write_temp,
)
from jobs.stores.local_walk import describe, walk

READ_BUFFER = 1 << 20
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class LocalStore:
    """A store in a folder; the first write makes the folder if there is none."""

    def __init__(self, root: Path) -> None:
        # Two paths to one folder must give one URL, or a destination could lie in its source unnoticed.
        self._root = Path(os.path.realpath(root))
        self.url = str(self._root)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects below `prefix` in key order. Links are followed; only regular files are objects.

        Raises:
            InputError: the folder is missing, or a part of it can't be read.
            StoreError: the disk failed.
        """
        above = checked_prefix(prefix).rpartition("/")[0]
        # The ledger of a destination that was never written to is empty; a source must exist.
        if not self._has_root() and not prefix.startswith(LEDGER):
            raise InputError(f"There is no folder {self._root}: check the path, or mount its file system.")
        skip = frozenset() if prefix.startswith(LEDGER) else frozenset({LEDGER})
        for info in walk(self._root / above, f"{above}/" if above else "", skip):
            if is_listed(info.key, prefix):
                yield info

    def stat(self, key: str) -> ObjectInfo | None:
        """The file's size and version; None if there is no regular file."""
        try:
            with translated(path := self._path(key)):
                facts = path.stat()
        except StoreError as error:
            if is_absence(error.__cause__):
                return None
            raise
        return describe(key, facts) if stat.S_ISREG(facts.st_mode) else None

    def open(self, info: ObjectInfo) -> BinaryIO:
        """A buffered stream; every read checks that the file still is that version.

        Raises:
            SourceChanged: the file is gone or has another version.
            StoreError: it can't be read.
        """
        path = self._path(info.key)
        try:
            with translated(path):
                raw = PinnedFile(path, info)
        except StoreError as error:
            if is_absence(error.__cause__):
                raise SourceChanged(f"{path} was removed while it was being read.") from error
            raise
        try:
            raw.check()
        except StoreError:
            raw.close()
            raise
        return io.BufferedReader(raw, READ_BUFFER)

    def get(self, key: str) -> bytes | None:
        """The bytes of a small file; None if there is none."""
        try:
            with translated(path := self._path(key)):
                return path.read_bytes()
        except StoreError as error:
            if is_absence(error.__cause__):
                return None
            raise

    def create(self, key: str, data: bytes) -> bool:
        """Put only if absent: a link to a complete, durable file fails if the name is taken."""
        path = self._path(key)
        with translated(path):
            try:
                link_whole(path, data)
            except FileExistsError:
                return path.read_bytes() == data
            except OSError as error:
                if error.errno in _NO_LINKS:
                    raise InputError(
                        f"The file system of {self._root} has no hard links, without which two runs could "
                        "overwrite each other: choose a folder on another one."
                    ) from error
                raise
            sync_folder(path.parent)
        return True

    def put(self, key: str, data: bytes) -> None:
        """Put over what was there, by renaming a durable file."""
        path = self._path(key)
        with translated(path):
            temp = write_temp(path, data)
            try:
                temp.replace(path)
            finally:
                temp.unlink(missing_ok=True)
            sync_folder(path.parent)

    def delete(self, key: str) -> None:
        """Remove; also folders of the ledger that become empty, because they would slow every listing."""
        path = self._path(key)
        with translated(path):
            with suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
            folders = Path(key).parents if key.startswith(f"{LEDGER}/") else ()
            with suppress(OSError):  # not empty, or another process was faster
                for folder in folders[:-2]:
                    (self._root / folder).rmdir()

    def stage(self, key: str, attempt: str) -> "LocalUpload":
        """Begin a temporary file beside the target; it replaces an earlier one of the same attempt."""
        return LocalUpload(self._root, key, staging_key(checked_key(key), attempt))

    def publish(self, staged: Staged) -> None:
        """Rename the staged file to its key.

        Raises:
            StagedGone: it is gone, and the file under its key is another one.
            StoreError: the rename was refused, or there is a folder of that name.
        """
        path, temp = self._path(staged.key), self._path(staged.token)
        with translated(path):
            try:
                temp.replace(path)
            except FileNotFoundError as error:
                # Another process may have published it, which moves the file; only its bytes can tell.
                if not (
                    path.is_file() and path.stat().st_size == staged.size and sha256_of(path) == staged.sha256
                ):
                    raise StagedGone(f"What was staged for {path} is gone, and {path} is not it.") from error
            sync_folder(path.parent)

    def discard(self, staged: Staged) -> None:
        """Remove a staged file."""
        self.delete(staged.token)

    def discard_attempt(self, key: str, attempt: str) -> None:
        """Remove the temporary file that `attempt` may have left beside `key`."""
        self.delete(staging_key(checked_key(key), attempt))

    def leftovers(self) -> Iterator[Leftover]:
        """All temporary files, in key order; raises as `list`."""
        for info in walk(self._root, "", frozenset(), own=True):
            with suppress(FileNotFoundError):
                written = self._path(info.key).stat().st_mtime
                yield Leftover(info.key, info.key, time.time() - written)

    def remove_leftover(self, leftover: Leftover) -> None:
        """Remove the file."""
        self.delete(leftover.key)

    def probe(self) -> None:
        """Make the folder and try a conditional write in it.

        Raises:
            InputError: it is a file, can't be written, or its file system has no conditional create.
        """
        self._has_root()
        prove_create(
            self,
            f"The folder {self._root} can't be written.",
            f"The file system of {self._root} lets two writers create one file: choose another.",
        )

    def _path(self, key: str) -> Path:
        return self._root / checked_key(key)

    def _has_root(self) -> bool:
        try:
            facts = self._root.stat()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise InputError(f"The folder {self._root} can't be opened: {error.strerror}.") from error
        if not stat.S_ISDIR(facts.st_mode):
            raise InputError(f"{self._root} is a file: give a folder.")
        return True
