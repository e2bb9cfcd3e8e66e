"""Reading the commits without reading all of them: snapshots, and a journal of the commits since.

The commits below `done/` alone are the truth. A snapshot, `snapshots/000007.parquet`, is a cache of all heads
at one moment. The journal has an empty object, `journal/<shard>.c000002`, for each newer commit. A reader
must not have to list a million commits. So each commit is, from the moment it exists, found by a claim, in
the journal or in the snapshot, and it moves on in this order only:

1. A commit is made while its claim exists. `_settle` writes the journal's entry before it removes the claim.
2. Snapshot n+1 is snapshot n and the journal, created only if absent. So one of all writers, zombies
   included, decides what n+1 is, and nothing that n had is lost.
3. Only the writer that created a snapshot removes the journal's entries that are in it, and lower snapshots.
   It does so after it has seen that its snapshot is the highest. (A slow writer may create a number that was
   used and removed. Then a higher snapshot exists that was made without it, and what it read must stay.)

A reader looks in the same order, claims first: if a commit moves on meanwhile, the reader finds it at a later
place. A crash between two steps leaves a commit in two places, which does no harm: the higher number counts.
A snapshot that can't be read counts as none: then all of `done/` is listed and read.
"""

import re
from collections.abc import Iterable, Iterator

from jobs.ledger.heads import Heads
from jobs.ledger.records import CLAIMS, DONE, ClaimFile, Commit, parse_done, read_record, shard_id
from jobs.stores.base import LEDGER, Store, in_parallel

JOURNAL = f"{LEDGER}/journal/"
SNAPSHOTS = f"{LEDGER}/snapshots/"
COMPACT_AT = 512
"""A journal with this many entries goes into a snapshot: to read them one by one takes about a second."""
_VANISHED = 10
_ENTRY = re.compile(re.escape(JOURNAL) + r"([^/]+)\.c(\d+)")
_SNAPSHOT = re.compile(re.escape(SNAPSHOTS) + r"(\d+)\.parquet")


class CommitLog:
    """The commits of one destination; holds no state, so any process may make one at any time."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def each_commit(self) -> Iterator[Commit]:
        """The latest commit of every shard, with all fields, from `done/` alone; some may be `voided`.

        Raises:
            StoreError: the store broke, or a record can't be read.
        """
        latest: dict[str, tuple[int, str]] = {}
        for info in self._store.list(DONE):
            if found := parse_done(info.key):
                latest[found[0]] = max(latest.get(found[0], (0, "")), (found[1], info.key))
        keys = [key for _, key in latest.values()]
        for start in range(0, len(keys), COMPACT_AT):
            yield from self._read_commits(keys[start : start + COMPACT_AT])

    def commits(self) -> dict[str, Commit]:
        """The same as a dictionary, by shard key."""
        return {commit.shard: commit for commit in self.each_commit()}

    def latest(self, shard: str) -> Commit | None:
        """A shard's latest commit; raises StoreError."""
        return self.latest_of(shard_id(shard))

    def latest_of(self, name: str) -> Commit | None:
        """The same, by the shard's id; raises StoreError."""
        found = ((parse_done(info.key), info.key) for info in self._store.list(f"{DONE}{name}/"))
        keys = {place[1]: key for place, key in found if place}
        return self._read_commit(keys[max(keys)]) if keys else None

    def heads(self) -> Heads:
        """The head of every shard, by claims, journal and snapshot; raises StoreError."""
        # This order makes it right, see above.
        claimed = {file.shard_id for file in self._claim_files(CLAIMS)}
        heads, _ = self._read(self._entries())
        return heads.updated(one for one in in_parallel(self.latest_of, sorted(claimed)) if one is not None)

    def compact(self, at: int = COMPACT_AT) -> None:
        """Make a new snapshot if the journal holds `at` entries or more.

        Costs what the journal and the snapshot hold, however many claims there are; any thread may, at any
        time.

        Raises:
            StoreError: the store broke. Whatever was done of it is harmless.
        """
        entries = self._entries()
        if len(entries) >= at:
            heads, number = self._read(entries)
            if self._store.create(f"{SNAPSHOTS}{number + 1:06d}.parquet", heads.to_parquet()):
                self._drop(number + 1, (key for key, _ in entries))

    def _drop(self, number: int, entries: Iterable[str]) -> None:
        """Remove what snapshot `number` replaces, if it is the highest."""
        snapshots = list(self._snapshots())
        if max(snapshots)[0] == number:
            lower = [key for other, key in snapshots if other < number]
            in_parallel(self._store.delete, [*entries, *lower])

    def _entries(self) -> list[tuple[str, str]]:
        """The journal: the keys of its entries, each with the key of its commit."""
        found = (_ENTRY.fullmatch(info.key) for info in self._store.list(JOURNAL))
        return [(one[0], f"{DONE}{one[1]}/c{one[2]}.json") for one in found if one]

    def _read(self, entries: Iterable[tuple[str, str]]) -> tuple[Heads, int]:
        """The heads by the newest snapshot and these entries of the journal; the snapshot's number, or 0."""
        number, heads = self._newest_snapshot()
        if heads is None:
            return Heads.of(self.each_commit()), number
        return heads.updated(self._read_commits(key for _, key in entries)), number

    def _newest_snapshot(self) -> tuple[int, Heads | None]:
        for _ in range(_VANISHED):
            number, key = max(self._snapshots(), default=(0, ""))
            data = self._store.get(key) if number else None
            if data is not None or not number:
                return number, None if data is None else Heads.from_parquet(data)
        return 0, None  # replaced each time before it could be read: read all commits

    def _snapshots(self) -> Iterator[tuple[int, str]]:
        found = (_SNAPSHOT.fullmatch(info.key) for info in self._store.list(SNAPSHOTS))
        return ((int(one[1]), one[0]) for one in found if one)

    def _note(self, commit: Commit) -> None:
        """Write the journal's entry for a published commit; idempotent."""
        self._store.put(f"{JOURNAL}{shard_id(commit.shard)}.c{commit.number:06d}", b"")

    def _read_commit(self, key: str) -> Commit | None:
        body = self._store.get(key)
        return None if body is None else read_record(Commit, body, key)

    def _read_commits(self, keys: Iterable[str]) -> list[Commit]:
        return [one for one in in_parallel(self._read_commit, keys) if one is not None]

    def _claim_files(self, prefix: str) -> Iterator[ClaimFile]:
        return (file for info in self._store.list(prefix) if (file := ClaimFile.parse(info.key)))
