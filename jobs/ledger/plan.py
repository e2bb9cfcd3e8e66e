"""What there is to do: the shards of a source, their work keys, and the anti-join with the commits."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from itertools import islice
from typing import Literal

import numpy as np

from jobs.archives.open import ArchiveKind, kind_of
from jobs.ledger.heads import Heads
from jobs.ledger.records import Claim
from jobs.stores.base import ObjectInfo, Store

GROUP = 64
"""About this many loose files of a folder form a group."""

_BATCH = 4096


@dataclass(frozen=True, order=True)
class Rejected:
    """A page that keeps its original: its names in the report, and the sha256 of its file in the source."""

    member: str
    member_index: int
    page_index: int
    source_sha256: str


@dataclass(frozen=True, slots=True)
class Shard:
    """The unit of work: one archive, or a group of loose files of one folder.

    Attributes:
        key: the archive's key; for loose files `folder/*name`, with the name at which the group begins.
        kind: how to read it.
        objects: the source's objects, in key order; one for archives.
        rejected: pages that reviewers rejected, which keep their originals, in order.
    """

    key: str
    kind: ArchiveKind | Literal["files"]
    objects: tuple[ObjectInfo, ...]
    rejected: tuple[Rejected, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of the source objects."""
        return sum(info.size for info in self.objects)

    def work_key(self, recipe: str) -> str:
        """32 hex digits that change with the objects, their versions, the recipe or the rejections."""
        parts = [recipe, self.kind]
        parts += [part for info in self.objects for part in (info.key, str(info.size), info.version)]
        parts += [json.dumps([astuple(one) for one in self.rejected])] if self.rejected else []
        text = "\0".join([self.key, *parts])
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Task:
    """One attempt at one shard, as a worker gets it; small, whatever the size of the shard.

    `alone`: its worker may do nothing else meanwhile, because this shard may have killed a worker.
    """

    shard: Shard
    work: str
    number: int
    attempt: int
    run_id: str
    alone: bool = False

    @property
    def claim(self) -> Claim:
        """The claim of this attempt."""
        return Claim(self.shard.key, self.number, self.work, self.attempt, self.run_id)


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        todo: the shards without a commit of their work key, in key order.
        done: the number of shards that are committed already.
        gone: keys of committed shards that the source no longer has, in order; their output stays.
        kept: how many of the done shards are results of another recipe.
        numbers: the number of the latest commit, for those shards in `todo` that have one.
    """

    todo: tuple[Shard, ...]
    done: int
    gone: tuple[str, ...]
    kept: int = 0
    numbers: Mapping[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of the source that the run has to read."""
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
    """Cut a folder's files into groups where the hash of a name says so, not by counting.

    So a file that is added or removed changes one group and leaves the names and members of the others as
    they were (content-defined chunking, applied to names).
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


def make_plan(shards: Iterable[Shard], heads: Heads, recipe: str, others: Sequence[str] = ()) -> Plan:
    """Compare what a source has with what is committed; a voided commit counts as none.

    Args:
        shards: the shards of the source.
        heads: what is committed.
        recipe: the fingerprint of the recipe to clean with.
        others: fingerprints of recipes whose results are kept.
    """
    committed, todo, done, kept = _Committed(heads), list[Shard](), 0, 0
    shards = iter(shards)
    while left := list(islice(shards, _BATCH)):
        count = len(left)
        for fingerprint in (recipe, *others):
            before = len(left)
            found = committed.match([shard.work_key(fingerprint) for shard in left])
            left = [shard for shard, hit in zip(left, found, strict=True) if not hit]
            kept += 0 if fingerprint == recipe else before - len(left)
        todo += left
        done += count - len(left)
    unmatched = heads.numbers(~committed.matched)
    numbers = {shard.key: unmatched[shard.key][0] for shard in todo if shard.key in unmatched}
    gone = sorted(key for key, (_, voided) in unmatched.items() if key not in numbers and not voided)
    return Plan(tuple(sorted(todo, key=lambda shard: shard.key)), done, tuple(gone), kept, numbers)


class _Committed:
    """The committed work keys as one sorted column: 40 bytes each; a dict would take several hundred."""

    def __init__(self, heads: Heads) -> None:
        works = heads.works()
        self._rows = np.argsort(works)
        self._works = works[self._rows]
        self.matched = np.zeros(len(works), np.bool_)
        """For each row of the heads, whether `match` was asked for its work key."""

    def match(self, works: Sequence[str]) -> list[bool]:
        """Whether each work key is committed."""
        if not len(self._works):
            return [False] * len(works)
        asked = np.array(works, self._works.dtype)
        places = np.minimum(np.searchsorted(self._works, asked), len(self._works) - 1)
        hits = self._works[places] == asked
        self.matched[self._rows[places[hits]]] = True
        found: list[bool] = hits.tolist()
        return found
