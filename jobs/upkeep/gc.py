"""Removes what nothing names: staged objects that crashes left, claims older than a commit, rows of no shard.

Nothing that a commit names is ever removed. A commit whose objects are still staged has a claim (rule 3 of
the ledger), so only the commits of shards with claims are read. Young staged objects are kept, too: a run
that seems dead may still commit.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from jobs.driver.job import new_run_id
from jobs.ledger.heads import Heads
from jobs.ledger.lease import acquire
from jobs.ledger.ledger import Ledger
from jobs.ledger.records import CLAIMS, ROWS, ClaimFile, shard_id
from jobs.report.table_parts import REPORTS, part_date
from jobs.stores.base import Leftover, Store, in_parallel
from jobs.stores.open import open_store

MIN_AGE_S = 24 * 3600.0


@dataclass(frozen=True)
class Litter:
    """Something that can be removed: its key and, in a few words, why."""

    key: str
    why: str


@dataclass(frozen=True)
class Collected:
    """What was found; it was removed if `deleted`."""

    litter: tuple[Litter, ...]
    deleted: bool


def gc(destination: str, *, delete: bool = False, min_age_s: float = MIN_AGE_S) -> Collected:
    """Find what nothing names, and with `delete` remove it.

    Args:
        destination: the address of the destination.
        delete: remove it; takes the lease meanwhile.
        min_age_s: staged objects that are younger, in seconds, are kept.

    Raises:
        InputError: it is no store, or can't be read or written.
        LeaseHeld: a run works on this destination; raised only with `delete`.
        StoreError: it broke, or was written by a newer version.
    """
    to = open_store(destination)
    if not delete:
        return Collected(tuple(_find(to, min_age_s).litter), False)
    to.probe()
    with acquire(to, new_run_id()):
        found = _find(to, min_age_s)
        Ledger(to).roll_forward()  # publishes what is committed, and removes overtaken claims
        in_parallel(to.remove_leftover, found.leftovers)
        in_parallel(to.delete, found.reports)
    return Collected(tuple(found.litter), True)


@dataclass(frozen=True)
class _Found:
    leftovers: list[Leftover]
    reports: list[str]
    claims: list[str]

    @property
    def litter(self) -> Iterator[Litter]:
        yield from (Litter(one.key, "staged, and no commit names it") for one in self.leftovers)
        yield from (Litter(key, "the report of no shard") for key in self.reports)
        yield from (Litter(key, "an attempt that a commit overtook") for key in self.claims)


def _find(to: Store, min_age_s: float) -> _Found:
    """List staged objects before commits are read, so that none is listed that is committed later."""
    leftovers = [one for one in to.leftovers() if one.age_s >= min_age_s]
    reports = [info.key for folder in (ROWS, REPORTS) for info in to.list(folder) if not part_date(info.key)]
    ledger = Ledger(to)
    heads = ledger.heads()
    claims = [file for info in to.list(CLAIMS) if (file := ClaimFile.parse(info.key))]
    numbers = _numbers(heads)
    beside = in_parallel(ledger.latest_of, sorted({file.shard_id for file in claims}))
    named = {staged.token.split(" ")[0] for commit in beside if commit for staged in commit.staged}
    return _Found(
        [one for one in leftovers if one.token not in named],
        [key for key in reports if key.rpartition("/")[2].removesuffix(".parquet") not in numbers],
        [file.key for file in claims if file.number <= numbers.get(file.shard_id, 0)],
    )


def _numbers(heads: Heads) -> dict[str, int]:
    """The numbers of the heads, by the shards' ids."""
    return {shard_id(shard): number for shard, number in heads.all_numbers()}
