"""Verifies that all that was committed is there: hashes objects, matches pages with outputs and rows."""

import hashlib
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from jobs.archives.member import CHUNK
from jobs.errors import SourceChanged
from jobs.ledger.ledger import Ledger
from jobs.ledger.records import Commit
from jobs.ledger.runs import last_source
from jobs.stores.base import ObjectInfo, Staged, Store
from jobs.stores.open import open_store
from jobs.stores.spool import spooling
from jobs.upkeep.compare import contradictions

_BATCH = 256


@dataclass(frozen=True)
class Problem:
    """A difference from what was committed; `what` is one sentence."""

    shard: str
    what: str


@dataclass(frozen=True)
class Made:
    """How many shards of a recipe were cleaned on devices of one kind, `cpu` or `cuda`."""

    recipe: str
    device: str
    shards: int


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Attributes:
        shards: number of commits that were checked.
        pages: number of their rows, each matched with its page.
        bytes_read: bytes of the destination's objects.
        compared: number of shards whose source is unchanged, so that it was compared, too.
        made: shards that have pages, by recipe and device.
        problems: all differences, in the order of the shards' keys.
    """

    shards: int
    pages: int
    bytes_read: int
    compared: int
    made: tuple[Made, ...]
    problems: tuple[Problem, ...]

    @property
    def mixed(self) -> tuple[Made, ...]:
        """Those of `made` whose recipe has several kinds of device, whose pixels differ a little."""
        counts = Counter(one.recipe for one in self.made)
        return tuple(one for one in self.made if counts[one.recipe] > 1)

    @property
    def exit_code(self) -> int:
        """0 if all is as it was committed, else 3."""
        return 3 if self.problems else 0


def verify(destination: str) -> Verification:
    """Check every committed object of a destination; writes nothing, and may be used during a run.

    Raises:
        InputError: it is no store, or can't be read.
        StoreError: it broke, or was written by a newer version.
    """
    to = open_store(destination)
    ledger, (source, _) = Ledger(to), last_source(to)  # a source that can't be read is no problem
    results: list[_Checked] = []
    commits = (commit for commit in ledger.each_commit() if not commit.voided)
    with spooling(), ThreadPoolExecutor(os.cpu_count()) as pool:
        while batch := list(islice(commits, _BATCH)):
            results += pool.map(lambda one: _check_latest(one, ledger, source, to), batch)
    problems = [Problem(one.shard, what) for one in results for what in one.problems]
    made = Counter((one.recipe, one.device) for one in results if one.device)
    return Verification(
        shards=len(results),
        pages=sum(one.pages for one in results),
        bytes_read=sum(one.bytes_read for one in results),
        compared=sum(one.compared for one in results),
        made=tuple(Made(*name, shards) for name, shards in sorted(made.items())),
        problems=tuple(sorted(problems, key=lambda one: one.shard)),
    )


@dataclass(frozen=True)
class _Checked:
    shard: str
    recipe: str
    device: str
    pages: int
    bytes_read: int
    compared: bool
    problems: tuple[str, ...]


def _check_latest(commit: Commit, ledger: Ledger, source: Store | None, to: Store) -> _Checked:
    """Check a commit; if it has problems because a run has made a newer one, check that one."""
    while True:
        checked = _check(commit, source, to)
        latest = ledger.latest(commit.shard) if checked.problems else None
        if latest is None or latest.voided or latest.number == commit.number:
            return checked
        commit = latest


def _check(commit: Commit, source: Store | None, to: Store) -> _Checked:
    found = {staged.key: _check_object(staged, to) for staged in commit.staged}
    problems = [what for _, what in found.values() if what]
    outputs, originals = {one.key for one in commit.staged[:-1]}, {one.key for one in commit.source}
    problems += [f"{key} was in the source and has no output." for key in sorted(originals - outputs)]
    same = source is not None and all(source.stat(one.key) == one for one in commit.source)
    devices = set[str]()
    if not problems:
        try:
            infos = [info for key, (info, _) in found.items() if key in originals and info]
            problems += islice(contradictions(commit, source if same else None, to, infos, devices), 1)
        except SourceChanged as error:
            problems.append(str(error))
    return _Checked(
        commit.shard,
        commit.recipe,
        min(devices, default=""),
        commit.pages,
        sum(info.size for info, _ in found.values() if info),
        same,
        tuple(problems),
    )


def _check_object(staged: Staged, to: Store) -> tuple[ObjectInfo | None, str]:
    """The object's facts, and what is wrong with it."""
    info = to.stat(staged.key)
    if info is None:
        return None, f"{staged.key} is missing."
    if info.size != staged.size:
        return info, f"{staged.key} has {info.size:,} bytes instead of {staged.size:,}."
    digest = hashlib.sha256()
    try:
        with to.open(info) as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
    except SourceChanged as error:
        return info, str(error)
    same = digest.hexdigest() == staged.sha256
    return info, "" if same else f"{staged.key} has other bytes than those that were committed."
