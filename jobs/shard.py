"""One attempt at one shard, in one process: claim → clean and stage → commit → publish.

Whatever happens, the destination holds the whole result or nothing of it; what is left behind by a crash is
found by the ledger's `roll_forward`. Runs without Ray, so that a shard can be cleaned and debugged alone.
"""

import io
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import BinaryIO

from jobs.archive import read_archive, write_archive
from jobs.archive_member import CHUNK
from jobs.config import Limits, Recipe
from jobs.errors import ArchiveDamaged
from jobs.files import FilesReader, FilesWriter
from jobs.ledger import Ledger
from jobs.meter import open_metered
from jobs.pipeline import Bench
from jobs.plan import Shard, Task
from jobs.records import Claim, Commit, shard_id
from jobs.report import Row, to_parquet
from jobs.rewrite import Rewriter
from jobs.store import LEDGER, Staged, Store, Upload


@dataclass(frozen=True)
class Workshop:
    """Where shards are cleaned: both places, the threads, the bounds and the recipe."""

    source: Store
    destination: Store
    bench: Bench
    recipe: Recipe
    device: str
    limits: Limits = field(default_factory=Limits)


def report_key(shard: str) -> str:
    """Where a shard's report stands; a later result replaces it."""
    return f"{LEDGER}/reports/{shard_id(shard)}.parquet"


def clean_shard(task: Task, shop: Workshop) -> Commit | None:
    """Make one attempt.

    Returns:
        The commit, published; None if another attempt has the shard or was faster.

    Raises:
        SourceChanged: an object of the source changed meanwhile.
        DestinationFull, StoreError: a place broke; nothing of the attempt is visible.
        DeviceError: the device can't run the network.
    """
    ledger = Ledger(shop.destination)
    claim = Claim(task.shard.key, task.number, task.work, task.attempt, task.run_id)
    if not ledger.claim(claim):
        return None
    staged, result = _stage(task, claim, shop)
    commit = _commit(task, shop.recipe, staged, result)
    # From here on nothing is discarded on an error: the commit may stand although its answer got lost.
    if not ledger.commit(commit):
        return None
    ledger.publish(commit)
    return commit


@dataclass(frozen=True)
class _Result:
    rows: Sequence[Row]
    members: int
    damaged: str | None


def _stage(task: Task, claim: Claim, shop: Workshop) -> tuple[tuple[Staged, ...], _Result]:
    """Stage the shard's objects and its report; on any error nothing stays staged."""
    staged: list[Staged] = []
    try:
        if task.shard.kind == "files":
            result = _clean_files(task.shard, claim, shop, staged)
        else:
            result = _clean_archive(task.shard, claim, shop, staged)
        report = to_parquet(result.rows, task.run_id, shop.recipe.fingerprint, shop.device)
        upload = shop.destination.stage(report_key(task.shard.key), claim.id)
        staged.append(_write(upload, io.BytesIO(report)))
    except BaseException:
        for one in staged:
            shop.destination.discard(one)
        raise
    return tuple(staged), result


def _clean_files(shard: Shard, claim: Claim, shop: Workshop, staged: list[Staged]) -> _Result:
    rewriter = Rewriter(shard.key, shop.bench, shop.limits)
    rewriter.rewrite(
        FilesReader(shop.source, shard.objects, shop.bench.meter),
        FilesWriter(shop.destination, claim.id, staged),
    )
    return _Result(rewriter.rows, rewriter.members, None)


def _clean_archive(shard: Shard, claim: Claim, shop: Workshop, staged: list[Staged]) -> _Result:
    assert shard.kind != "files"
    (info,) = shard.objects
    rewriter = Rewriter(shard.key, shop.bench, shop.limits)
    upload = shop.destination.stage(info.key, claim.id)
    damaged: ArchiveDamaged | None = None
    try:
        with open_metered(shop.source, info, shop.bench.meter) as stream:
            reader = read_archive(shard.kind, stream, info.size)
            rewriter.rewrite(reader, write_archive(shard.kind, upload, reader.comment))
        staged.append(upload.finish())
    except ArchiveDamaged as error:
        # Half an archive must not look like a whole one: the mirror gets the damaged bytes as they are.
        damaged = error
        rewriter.give_up(error, 0, "", info.size)
        upload.abort()
    except BaseException:
        upload.abort()
        raise
    if damaged is not None:
        with shop.source.open(info) as stream:
            staged.append(_write(shop.destination.stage(info.key, claim.id), stream))
    return _Result(rewriter.rows, rewriter.members, damaged.code if damaged else None)


def _write(upload: Upload, data: BinaryIO) -> Staged:
    try:
        while chunk := data.read(CHUNK):
            upload.write(chunk)
        return upload.finish()
    except BaseException:
        upload.abort()
        raise


def _commit(task: Task, recipe: Recipe, staged: tuple[Staged, ...], result: _Result) -> Commit:
    counts = Counter(row.status for row in result.rows)
    return Commit(
        shard=task.shard.key,
        number=task.number,
        work=task.work,
        run_id=task.run_id,
        attempt=task.attempt,
        recipe=recipe.fingerprint,
        source=task.shard.objects,
        staged=staged,
        members=result.members,
        pages=len(result.rows),
        cleaned=counts["cleaned"],
        passed_through=counts["passed_through"],
        failed=counts["failed"],
        bytes_in=task.shard.size,
        bytes_out=sum(one.size for one in staged[:-1]),
        pixels=sum((row.width or 0) * (row.height or 0) for row in result.rows if row.status == "cleaned"),
        damaged=result.damaged,
        committed_at=datetime.now(UTC).isoformat(timespec="seconds"),
        host=socket.gethostname(),
    )
