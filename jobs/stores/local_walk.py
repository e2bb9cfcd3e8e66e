"""The files below a folder, in key order; links that lead back are not followed."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from jobs.errors import InputError, StoreError
from jobs.stores.base import ObjectInfo

OWN_PREFIX = ".pumice-"
OWN_SUFFIXES = (".part", ".tmp")


def describe(key: str, facts: os.stat_result) -> ObjectInfo:
    """A file as an object: any write changes its size or mtime, and so its version."""
    return ObjectInfo(key, facts.st_size, f"{facts.st_size}-{facts.st_mtime_ns}")


def is_own(name: str) -> bool:
    """Whether a name is that of an unfinished file of Pumice."""
    return name.startswith(OWN_PREFIX) and name.endswith(OWN_SUFFIXES)


def walk(folder: Path, above: str, skip: frozenset[str], own: bool = False) -> Iterator[ObjectInfo]:
    """The regular files below `folder` as objects whose keys begin with `above`; `skip` is not entered.

    Pumice's own unfinished files are left out; with `own`, only they are found.

    Links are followed, except those back into a folder that is being walked. Memory holds the names of one
    folder for each level.

    Raises:
        InputError: a folder can't be read or a link leads nowhere: to skip it would lose pages silently.
        StoreError: the disk failed.
    """
    top = _identity(folder)
    if top is None:
        return
    # For each level: the entries that are left, and which folder it is.
    levels = [(_entries(folder, above, own), top)]
    while levels:
        entry = next(levels[-1][0], None)
        if entry is None:
            levels.pop()
            continue
        key, path, facts = entry
        if stat.S_ISREG(facts.st_mode):
            yield describe(key, facts)
        elif stat.S_ISDIR(facts.st_mode) and key not in skip:
            here = (facts.st_dev, facts.st_ino)
            if all(here != identity for _, identity in levels):
                levels.append((_entries(path, f"{key}/", own), here))


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        facts = folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(folder, error) from error
    return (facts.st_dev, facts.st_ino) if stat.S_ISDIR(facts.st_mode) else None


def _entries(folder: Path, above: str, own: bool) -> Iterator[tuple[str, Path, os.stat_result]]:
    """One folder's entries, in an order that makes the keys of the whole walk sorted strings.

    A folder sorts by its name with a slash: `a-b` comes before `a/b`, `a0` after it.
    """
    found: list[tuple[str, str, os.stat_result]] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                facts = _facts(entry) if own or not is_own(entry.name) else None
                if facts is not None and (not own or is_own(entry.name) or stat.S_ISDIR(facts.st_mode)):
                    slash = "/" if stat.S_ISDIR(facts.st_mode) else ""
                    found.append((entry.name + slash, entry.name, facts))
    except FileNotFoundError:
        return  # removed during the walk, or a folder of the ledger that became empty
    except OSError as error:
        raise _unreadable(folder, error) from error
    found.sort(key=lambda one: one[0])
    yield from ((above + name, folder / name, facts) for _, name, facts in found)


def _facts(entry: os.DirEntry[str]) -> os.stat_result | None:
    """The facts of the file or folder that a name leads to; None if it was removed meanwhile."""
    try:
        return entry.stat()
    except OSError as error:
        if entry.is_symlink():
            raise InputError(
                f"{entry.path} is a link that can't be followed ({error.strerror}): mend or remove it."
            ) from error
        if isinstance(error, FileNotFoundError):
            return None
        raise _unreadable(Path(entry.path), error) from error


def _unreadable(path: Path, error: OSError) -> InputError | StoreError:
    if isinstance(error, PermissionError):
        return InputError(f"{path} can't be read: give this user permission to, or move it elsewhere.")
    return StoreError(f"{path} can't be read: {error.strerror}.")
