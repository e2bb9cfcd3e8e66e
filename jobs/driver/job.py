"""A run as data: what it has to do (Job), what workers are told (WorkerSpec), what it did (RunSummary)."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from jobs.config import CleanOptions, Device, Recipe
from jobs.ledger.heads import Heads
from jobs.ledger.plan import Plan, find_shards, make_plan
from jobs.ledger.reviews import Review, with_rejections
from jobs.stores.base import Store


@dataclass(frozen=True)
class Job:
    """What a run has to do.

    Attributes:
        source, destination: where it reads and writes.
        weights: the bytes of the weights file; empty if the destination has them.
        recipe: the recipe that the weights and the options amount to.
        options: the options.
        retry_quarantined: whether quarantined shards are tried again, as often as new ones.
        join: whether it shares the work of a run that is at work there.
    """

    source: Store
    destination: Store
    weights: bytes
    recipe: Recipe
    options: CleanOptions
    retry_quarantined: bool = False
    join: bool = False

    def plan(self, heads: Heads, reviews: Mapping[str, Review]) -> Plan:
        """Compare the source with what is committed and decided; raises InputError, StoreError."""
        keep = self.options.recipe_changed == "keep"
        others = {one.recipe for one in heads.recipes()} - {self.recipe.fingerprint} if keep else ()
        shards = with_rejections(find_shards(self.source), reviews)
        return make_plan(shards, heads, self.recipe.fingerprint, sorted(others))


@dataclass(frozen=True)
class WorkerSpec:
    """What a worker is told at its start; small, because Ray copies it to every worker.

    Attributes:
        source, destination: the addresses of the places.
        recipe: what it cleans with; it reads the weights from the destination.
        device: where its networks run.
        threads: for codecs, and for the networks on a CPU.
        max_failed: the share of a shard's pages that may fail before the attempt fails.
        json_logs: the worker's process logs in JSON, as the driver does.
    """

    source: str
    destination: str
    recipe: Recipe
    device: Device
    threads: int
    max_failed: float
    json_logs: bool = False


@dataclass(frozen=True)
class RunSummary:
    """What a run did.

    Attributes:
        run_id: its name in the ledger and in the report.
        shards: the number of shards that this run committed.
        done_before: the number of shards that were committed before.
        kept: how many of those are results of another recipe.
        by_others: the number of shards that runs beside this one committed meanwhile.
        pages: the pages of this run's shards: cleaned + passed_through + failed.
        damaged: the number of its damaged archives.
        pixels: the pixels of its cleaned pages.
        bytes_in, bytes_out: the sizes of its shards in the source and in the destination.
        quarantined: shards that are given up, each with the reason.
        unfinished: shards that the next run tries again, each with the reason.
        elsewhere: shards that runs beside this one still work on.
        gone: committed shards that the source no longer has.
        seconds: wall time.
    """

    run_id: str
    shards: int
    done_before: int
    kept: int
    by_others: int
    pages: int
    cleaned: int
    passed_through: int
    failed: int
    damaged: int
    pixels: int
    bytes_in: int
    bytes_out: int
    quarantined: tuple[tuple[str, str], ...]
    unfinished: tuple[tuple[str, str], ...]
    elsewhere: tuple[str, ...]
    gone: tuple[str, ...]
    seconds: float

    @property
    def exit_code(self) -> int:
        """0: all is done; 3: pages failed, or shards are quarantined or left for the next run."""
        return 3 if self.failed or self.quarantined or self.unfinished else 0


def new_run_id() -> str:
    """A name that no other run has; names sort by time as far as clocks are right."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"
