"""The records of runs, `_pumice/runs/<run id>.json`: what a run was asked to do, where, and how it ended.

No decision about shards rests on them. They tell people what happened, and `resume` what to go on with.
"""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from jobs.config import CleanOptions, Recipe
from jobs.errors import Interrupted, PumiceError
from jobs.ledger.records import NO_OTHER_FIELDS, read_record, record_bytes
from jobs.stores.base import LEDGER, Store
from jobs.stores.open import open_store

RUNS = f"{LEDGER}/runs/"
RAY_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""The environment variable by which Ray tells a job that was submitted to it what it is."""


@dataclass(frozen=True)
class RunRecord:
    """One run.

    Attributes:
        run_id: its name.
        lease: the number of the lease it worked under; runs are ordered by it, because wall clocks may jump.
        source: the address of the source.
        weights_sha256: the hash of the weights, which the destination keeps.
        recipe: the fingerprint of the recipe it cleaned with.
        options: its options, except the path of the weights.
        exit_code: None while it runs, and for ever if it was killed.
        message: why it ended early, or empty.
        shards, pages, failed: what it committed: shards, their pages, and the failed ones among these.
        submission: the id under which it was submitted to a Ray cluster, or empty.
    """

    __pydantic_config__ = NO_OTHER_FIELDS

    run_id: str
    lease: int
    source: str
    weights_sha256: str
    recipe: str
    options: dict[str, Any]
    host: str
    pumice_version: str
    started_at: str
    ended_at: str | None = None
    exit_code: int | None = None
    message: str = ""
    shards: int = 0
    pages: int = 0
    failed: int = 0
    submission: str = ""

    @property
    def key(self) -> str:
        """The key of its record."""
        return f"{RUNS}{self.run_id}.json"

    def clean_options(self) -> CleanOptions:
        """The options again, without those that this version doesn't know."""
        known = CleanOptions.model_fields
        return CleanOptions(**{name: value for name, value in self.options.items() if name in known})


class RunLog:
    """Writes the record of a run while it runs."""

    def __init__(self, store: Store, record: RunRecord) -> None:
        self._store, self._record = store, record
        self._put()

    def did(self, shards: int, pages: int, failed: int) -> None:
        """Note how much the run committed; `ended` writes it."""
        self._record = replace(self._record, shards=shards, pages=pages, failed=failed)

    def ended(self, exit_code: int, message: str = "") -> None:
        """Write how the run ended; raises StoreError."""
        self._record = replace(self._record, ended_at=_now(), exit_code=exit_code, message=message)
        self._put()

    def _put(self) -> None:
        self._store.put(self._record.key, record_bytes(self._record))


@contextmanager
def logged(
    store: Store, run_id: str, lease: int, source: str, recipe: Recipe, options: CleanOptions
) -> Iterator[RunLog]:
    """Record a run; if it ends with an error, the error is recorded and raised again."""
    told = options.model_dump(exclude={"model"})
    record = RunRecord(
        run_id, lease, source, recipe.weights_sha256, recipe.fingerprint, told, socket.gethostname(),
        version("pumice"), _now(), submission=_submission(),
    )  # fmt: skip
    log = RunLog(store, record)
    try:
        yield log
    except (PumiceError, KeyboardInterrupt) as error:
        code = error.exit_code if isinstance(error, PumiceError) else Interrupted.exit_code
        with suppress(PumiceError):  # the first error is the one that matters
            log.ended(code, str(error))
        raise


def last_runs(store: Store, count: int) -> tuple[RunRecord, ...]:
    """The newest runs, the newest first; raises StoreError."""
    keys = sorted((info.key for info in store.list(RUNS)), reverse=True)
    # Names begin with a time. Some more are read, because a clock may have been wrong.
    bodies = ((key, store.get(key)) for key in keys[: 2 * count + 8])
    found = [read_record(RunRecord, body, key) for key, body in bodies if body is not None]
    return tuple(sorted(found, key=lambda one: (-one.lease, one.run_id))[:count])


def last_source(to: Store) -> tuple[Store | None, str]:
    """The source of the last run, if it can be read, and otherwise why not; raises StoreError about `to`."""
    runs = last_runs(to, 1)
    if not runs:
        return None, "no run says which it was."
    try:
        source = open_store(runs[0].source)
        next(iter(source.list()), None)
    except PumiceError as error:
        return None, str(error)
    return source, ""


def _submission() -> str:
    told = json.loads(os.environ.get(RAY_JOB, "{}"))
    return str(told.get("metadata", {}).get("job_submission_id", ""))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
