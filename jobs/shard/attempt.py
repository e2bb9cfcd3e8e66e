"""One attempt at one shard, in one process: claim → clean and stage → commit → publish.

The destination always holds the whole result or nothing of it; the ledger's `roll_forward` finds what a crash
left. An attempt needs no Ray, so that one shard can be cleaned and debugged by itself.
"""

import socket
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

from jobs.config import LIMITS, Limits, Recipe
from jobs.errors import ArchiveDamaged, TooManyFailed
from jobs.ledger.ledger import Ledger
from jobs.ledger.plan import Shard, Task
from jobs.ledger.records import Claim, Commit, rows_key
from jobs.report.schema import write_parquet
from jobs.shard.loose_files import FilesReader, FilesWriter
from jobs.shard.meter import Meter, open_metered
from jobs.shard.pipeline import Bench
from jobs.shard.rewrite import Rewriter
from jobs.shard.staging import copy, discarding, staging
from jobs.stores.base import Staged, Store
from jobs.stores.spool import spool, spooling

MANY = 10
"""If fewer pages failed, whatever their share, the cause is taken to be the pages themselves."""


@dataclass(frozen=True)
class Workshop:
    """What attempts share: both stores, the threads, the bounds and the recipe.

    An attempt fails if the share of failed pages is above `max_failed`, 0..1, and they are many.
    """

    source: Store
    destination: Store
    bench: Bench
    recipe: Recipe
    device: str
    limits: Limits = LIMITS
    max_failed: float = 1.0


def clean_shard(task: Task, shop: Workshop, meter: Meter | None = None) -> Commit | None:
    """Make one attempt.

    Args:
        task: the shard and the attempt.
        shop: what attempts share.
        meter: counts the work; the bench's if not given.

    Returns:
        The published commit; None if another attempt has the shard or was faster.

    Raises:
        SourceChanged: an object of the source was changed or removed meanwhile.
        DestinationFull: no space is left in the destination or for temporary files.
        StoreError: a store broke; nothing of the attempt is visible.
        DeviceError: the device can't run the network.
        TooManyFailed: more pages failed than `shop.max_failed` allows; nothing of the attempt is visible.
    """
    ledger = Ledger(shop.destination)
    claim = task.claim
    if not ledger.claim(claim):
        return None
    commit = _commit(task, shop.recipe, _stage(task, claim, shop, meter or shop.bench.meter))
    # From here on nothing is discarded after an error: the commit may exist although the answer was lost.
    if not ledger.commit(commit):
        return None
    ledger.publish(commit)
    return commit


@dataclass(frozen=True)
class _Result:
    """What was staged, the rows last, with its totals."""

    staged: tuple[Staged, ...]
    members: int
    pages: Counter[str]
    pixels: int
    damaged: str | None


def _stage(task: Task, claim: Claim, shop: Workshop, meter: Meter) -> _Result:
    """Stage the shard's objects and its rows; on any error nothing stays staged."""
    staged: list[Staged] = []
    with (
        spooling(),
        discarding(shop.destination, staged),
        Rewriter(task.shard.key, shop.bench, shop.limits, meter, task.shard.rejected) as rewriter,
    ):
        damaged = _stage_pages(task.shard, claim, shop, meter, rewriter, staged)
        with (
            spool() as report,
            staging(shop.destination, rows_key(task.shard.key), claim.id, staged) as upload,
        ):
            blocks = rewriter.rows.blocks()
            recipe = shop.recipe.fingerprint
            write_parquet(blocks, report, task.run_id, recipe, shop.device, task.number)
            report.seek(0)
            copy(report, upload)
        kinds, pixels = Counter[tuple[str, str]](), 0
        for row in rewriter.rows:
            kinds[row.status, row.error_code or ""] += 1
            pixels += (row.width or 0) * (row.height or 0) if row.status == "cleaned" else 0
        meter.kinds, pages = kinds, Counter[str]()
        for (status, _), count in kinds.items():
            pages[status] += count
        if damaged is None:
            _check_failures(pages, shop.max_failed)
        return _Result(tuple(staged), rewriter.member_count, pages, pixels, damaged)


def _check_failures(pages: Counter[str], max_failed: float) -> None:
    failed, total = pages["failed"], pages.total()
    if failed >= MANY and failed > max_failed * total:
        raise TooManyFailed(
            f"{failed} of {total} pages failed, which looks like a fault of the storage or the weights: if "
            "they are as they should be, allow more with --max-failed-pages."
        )


def _stage_pages(
    shard: Shard, claim: Claim, shop: Workshop, meter: Meter, rewriter: Rewriter, staged: list[Staged]
) -> str | None:
    """Stage the cleaned objects; returns the error code of a damaged archive, or None."""
    if shard.kind == "files":
        rewriter.rewrite(
            FilesReader(shop.source, shard.objects, meter),
            FilesWriter(shop.destination, shard.objects, claim.id, staged),
        )
        return None
    (info,) = shard.objects
    try:
        with (
            staging(shop.destination, info.key, claim.id, staged) as upload,
            open_metered(shop.source, info, meter) as stream,
        ):
            rewriter.rewrite_archive(shard.kind, stream, info.size, upload)
        return None
    except ArchiveDamaged as error:
        damaged = error.code
    # A part of an archive must not look like a whole one: the destination gets the damaged bytes unchanged.
    with (
        staging(shop.destination, info.key, claim.id, staged) as upload,
        open_metered(shop.source, info, meter) as stream,
    ):
        copy(stream, upload)
    return damaged


def _commit(task: Task, recipe: Recipe, result: _Result) -> Commit:
    return Commit(
        shard=task.shard.key,
        number=task.number,
        work=task.work,
        run_id=task.run_id,
        attempt=task.attempt,
        recipe=recipe.fingerprint,
        source=task.shard.objects,
        staged=result.staged,
        members=result.members,
        pages=result.pages.total(),
        cleaned=result.pages["cleaned"],
        passed_through=result.pages["passed_through"],
        failed=result.pages["failed"],
        bytes_in=task.shard.size,
        bytes_out=sum(one.size for one in result.staged[:-1]),
        pixels=result.pixels,
        damaged=result.damaged,
        committed_at=datetime.now(UTC).isoformat(timespec="seconds"),
        host=socket.gethostname(),
    )
