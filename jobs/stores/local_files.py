"""Files of a store in a folder: durable writes, staged uploads, and reads pinned to one version."""

import errno
import hashlib
import io
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from jobs.errors import DestinationFull, SourceChanged, StoreError
from jobs.stores.base import ObjectInfo, Staged
from jobs.stores.local_walk import OWN_PREFIX, describe

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

T = TypeVar("T")
_NO_NAMELESS = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)
"""The errors of file systems and old kernels that have no files without names."""


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise errors of the operating system as StoreError or DestinationFull that name the path."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DestinationFull(
                f"No space is left to write {path}: free some, then run the same command again."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StoreError(
                f"{path} can't be accessed: {error.strerror}; give this user permission."
            ) from error
        if error.errno in (errno.EISDIR, errno.ENOTDIR, errno.EEXIST):
            raise StoreError(f"{path} can't be written: a folder and a file want the same name.") from error
        raise StoreError(f"{path}: {error.strerror or error}.") from error


def is_absence(cause: BaseException | None) -> bool:
    """Whether an error of the operating system says that there is no such file, or that there can be none."""
    return isinstance(cause, OSError) and cause.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


def staging_key(key: str, attempt: str) -> str:
    """Where an attempt stages `key`: in the same folder, so that a rename publishes it; its name is short."""
    digest = hashlib.sha256(f"{key}\0{attempt}".encode("utf-8", "surrogateescape")).hexdigest()
    folder, slash, _ = key.rpartition("/")
    return f"{folder}{slash}{OWN_PREFIX}{digest[:24]}.part"


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file of any size, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return  # its last file was removed meanwhile, and the folder with it
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_temp(target: Path, data: bytes) -> Path:
    """Write a durable file with `data` beside `target`, under a name that no listing has; its path."""
    temp = target.parent / f"{OWN_PREFIX}{uuid.uuid4().hex[:24]}.tmp"
    try:
        with io.FileIO(_open_in_folder(temp, os.O_EXCL), "wb") as file:
            _write_all(file, memoryview(data))
            os.fsync(file.fileno())
    except OSError:
        temp.unlink(missing_ok=True)
        raise
    return temp


def link_whole(target: Path, data: bytes) -> None:
    """Make `target` a complete, durable file with `data`; raises FileExistsError if there is one.

    Before, the file has no name, so that a killed writer leaves nothing behind. On a file system without such
    files, such as NFS, it has a name that no listing has, and `gc` removes what a killed writer left.
    """
    try:
        _in_folder(target.parent, lambda: _link_nameless(target, data))
    except OSError as error:
        if error.errno not in _NO_NAMELESS:
            raise
        temp = write_temp(target, data)
        try:
            os.link(temp, target)
        finally:
            temp.unlink(missing_ok=True)


def _link_nameless(target: Path, data: bytes) -> None:
    handle = os.open(target.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    with io.FileIO(handle, "wb") as file:
        _write_all(file, memoryview(data))
        os.fsync(handle)
        handles = os.open("/proc/self/fd", os.O_RDONLY | os.O_CLOEXEC)
        try:
            # Without a folder's handle, Python would link the symbolic link in /proc itself.
            os.link(str(handle), target, src_dir_fd=handles, follow_symlinks=True)
        finally:
            os.close(handles)


def _write_all(file: io.FileIO, view: memoryview) -> None:
    done = 0
    while done < len(view):  # an unbuffered write may take only a part, for example when the disk gets full
        done += file.write(view[done:])


def _open_in_folder(path: Path, flags: int) -> int:
    """Open for writing; makes the folders above."""
    flags |= os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
    return _in_folder(path.parent, lambda: os.open(path, flags, 0o666))


def _in_folder(folder: Path, act: Callable[[], T]) -> T:
    """Make a folder and act in it; tries again, because `delete` may remove an empty one meanwhile."""
    for _ in range(100):
        _make_folders(folder)
        with suppress(FileNotFoundError):
            return act()
    raise StoreError(f"The folder {folder} vanishes as soon as it is made.")


def _make_folders(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    try:
        folder.mkdir()
    except (FileExistsError, FileNotFoundError):
        if folder.is_file():
            raise
        return
    sync_folder(folder.parent)


class LocalUpload:
    """An upload into a temporary file beside its target."""

    def __init__(self, root: Path, key: str, token: str) -> None:
        self._key, self._token = key, token
        self._path = root / token
        self._size, self._hash = 0, hashlib.sha256()
        with translated(self._path):
            self._file = io.FileIO(_open_in_folder(self._path, os.O_TRUNC), "wb")

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Append all of `data`; raises DestinationFull or StoreError."""
        view = memoryview(data).cast("B")
        with translated(self._path):
            _write_all(self._file, view)
        self._hash.update(view)
        self._size += len(view)
        return len(view)

    def finish(self) -> Staged:
        """Make the file and its name durable; raises DestinationFull or StoreError."""
        with translated(self._path):
            os.fsync(self._file.fileno())
            self._file.close()
            sync_folder(self._path.parent)
        return Staged(self._key, self._token, self._size, self._hash.hexdigest())

    def abort(self) -> None:
        """Remove the file."""
        with translated(self._path):
            self._file.close()
            self._path.unlink(missing_ok=True)


class PinnedFile(io.FileIO):
    """A file that can only be read while it is the version that was listed."""

    def __init__(self, path: Path, info: ObjectInfo) -> None:
        super().__init__(path, "rb")
        self._path, self._info = path, info

    def check(self) -> None:
        """Raise SourceChanged if the open file is not the version that was listed."""
        if describe(self._info.key, os.fstat(self.fileno())) != self._info:
            raise SourceChanged(f"{self._path} was changed while it was being read.")

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read into `buffer`, then check: bytes of another version are never returned."""
        with translated(self._path):
            count = super().readinto(buffer)
        self.check()
        return count or 0

    def readall(self) -> bytes:
        """Read to the end, then check."""
        with translated(self._path):
            data = super().readall()
        self.check()
        return data
