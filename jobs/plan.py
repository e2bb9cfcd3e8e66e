"""What is there to do: shards of a source, their work keys, and the anti-join with what is committed."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from jobs.archive import ArchiveKind, kind_of
from jobs.config import Recipe
from jobs.records import Commit
from jobs.store import ObjectInfo, Store

GROUP = 64
"""Loose files of a folder are grouped by about this many."""


@dataclass(frozen=True)
class Shard:
    """The unit of work: one archive, or a group of loose files of one folder.

    Attributes:
        key: the archive's key, or `folder/*name` with the name that a group of loose files begins at.
        kind: how to read it.
        objects: the source's objects, in key order; one for archives.
    """

    key: str
    kind: ArchiveKind | Literal["files"]
    objects: tuple[ObjectInfo, ...]

    @property
    def size(self) -> int:
        """Bytes of the source objects."""
        return sum(info.size for info in self.objects)

    def work_key(self, recipe: Recipe) -> str:
        """32 hex digits that change with the content, its version or the recipe."""
        parts = [recipe.fingerprint, self.kind]
        parts += [part for info in self.objects for part in (info.key, str(info.size), info.version)]
        text = "\0".join([self.key, *parts])
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


@dataclass(frozen=True)
class Task:
    """One attempt at one shard, as it is handed to a worker; small, whatever the shard's size."""

    shard: Shard
    work: str
    number: int
    attempt: int
    run_id: str


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        todo: the shards without a commit of their work key, in key order.
        done: how many shards are committed already.
        gone: keys of committed shards that the source no longer has, in order; their output is kept.
    """

    todo: tuple[Shard, ...]
    done: int
    gone: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of source that are to be read."""
        return sum(shard.size for shard in self.todo)


def find_shards(source: Store) -> Iterator[Shard]:
    """The shards of a source.

    Raises:
        InputError, StoreError: see `Store.list`.
    """
    loose: dict[str, list[ObjectInfo]] = {}
    for info in source.list():
        kind = kind_of(info.key)
        if kind is not None:
            yield Shard(info.key, kind, (info,))
        else:
            loose.setdefault(info.key.rpartition("/")[0], []).append(info)
    for folder in sorted(loose):
        yield from _groups(folder, sorted(loose[folder], key=lambda info: info.key))


def _groups(folder: str, files: list[ObjectInfo]) -> Iterator[Shard]:
    """Cut a folder's files where a name's hash says so, not by counting.

    A file that is added or removed then changes the one group it falls into and leaves the others' names
    and members as they were (content-defined chunking, on names).
    """
    prefix = f"{folder}/" if folder else ""
    start, members = "", list[ObjectInfo]()
    for info in files:
        if _begins_group(info.key) and members:
            yield Shard(f"{prefix}*{start}", "files", tuple(members))
            members = []
        if _begins_group(info.key):
            start = info.key.rpartition("/")[2]
        members.append(info)
    yield Shard(f"{prefix}*{start}", "files", tuple(members))


def _begins_group(key: str) -> bool:
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:4], "big") % GROUP == 0


def make_plan(shards: Iterable[Shard], commits: Mapping[str, Commit], recipe: Recipe) -> Plan:
    """Compare what a source has with what is committed; a voided commit counts as none."""
    todo, done, seen = [], 0, set()
    for shard in shards:
        seen.add(shard.key)
        commit = commits.get(shard.key)
        if commit is not None and commit.work == shard.work_key(recipe):
            done += 1
        else:
            todo.append(shard)
    gone = sorted(key for key, commit in commits.items() if key not in seen and not commit.voided)
    return Plan(tuple(sorted(todo, key=lambda shard: shard.key)), done, tuple(gone))
