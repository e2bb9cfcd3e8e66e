"""The records of runs, `_pumice/runs/<run id>.json`: what was asked for, by whom, and how it ended.

Nothing is decided by them: they tell people what happened, and `resume` where to go on.
"""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from jobs.config import CleanOptions, Recipe
from jobs.errors import Interrupted, PumiceError, StoreError
from jobs.ledger.records import read_json
from jobs.stores.base import LEDGER, Store

RUNS = f"{LEDGER}/runs/"
RAY_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""The environment variable by which Ray tells a job that was submitted to it what it is."""


@dataclass(frozen=True)
class RunRecord:
    """One run.

    Attributes:
        run_id: its name.
        lease: the number of the lease it worked under: runs are ordered by it, wall clocks may jump.
        source: the address of the source.
        weights_sha256: of the weights, which the destination keeps.
        recipe: the fingerprint of what it cleaned with.
        options: what else it was told; all but the path of the weights.
        exit_code: None while it runs, and for ever if it was killed.
        message: why it ended early, or an empty text.
        submission: what it was submitted to a Ray cluster as, or an empty text.
    """

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
        """Where it stands."""
        return f"{RUNS}{self.run_id}.json"

    @staticmethod
    def from_json(data: bytes, key: str) -> "RunRecord":
        """Read a record's bytes; raises StoreError naming `key` if this version can't."""
        try:
            return RunRecord(**read_json(data, key))
        except TypeError as error:
            raise StoreError(
                f"{key} is no run that this version of Pumice can read: update Pumice."
            ) from error

    def clean_options(self) -> CleanOptions:
        """The options again, without those that this version doesn't know."""
        known = {field.name for field in fields(CleanOptions)}
        return CleanOptions(**{name: value for name, value in self.options.items() if name in known})


class RunLog:
    """Writes the record of a run that is on its way."""

    def __init__(self, store: Store, record: RunRecord) -> None:
        self._store, self._record = store, record
        self._put()

    def did(self, shards: int, pages: int, failed: int) -> None:
        """Note how much it committed, which is written when it ends, however it does."""
        self._record = replace(self._record, shards=shards, pages=pages, failed=failed)

    def ended(self, exit_code: int, message: str = "") -> None:
        """Write how it ended; raises StoreError."""
        self._record = replace(self._record, ended_at=_now(), exit_code=exit_code, message=message)
        self._put()

    def _put(self) -> None:
        self._store.put(self._record.key, json.dumps(asdict(self._record), indent=1).encode())


@contextmanager
def logged(
    store: Store, run_id: str, lease: int, source: str, recipe: Recipe, options: CleanOptions
) -> Iterator[RunLog]:
    """Record a run; one that ends with an error is recorded with it, and the error goes on."""
    told = {name: value for name, value in asdict(options).items() if name != "model"}
    record = RunRecord(
        run_id, lease, source, recipe.weights_sha256, recipe.fingerprint, told, socket.gethostname(),
        version("pumice"), _now(), submission=_submission(),
    )  # fmt: skip
    log = RunLog(store, record)
    try:
        yield log
    except (PumiceError, KeyboardInterrupt) as error:
        code = error.exit_code if isinstance(error, PumiceError) else Interrupted.exit_code
        with suppress(PumiceError):  # the first error is the one to tell
            log.ended(code, str(error))
        raise


def last_runs(store: Store, count: int) -> tuple[RunRecord, ...]:
    """The newest runs, the newest first; raises StoreError."""
    keys = sorted((info.key for info in store.list(RUNS)), reverse=True)
    # Names begin with the time of day; some more are read, should a clock have been wrong.
    bodies = ((key, store.get(key)) for key in keys[: 2 * count + 8])
    found = [RunRecord.from_json(body, key) for key, body in bodies if body is not None]
    return tuple(sorted(found, key=lambda one: (-one.lease, one.run_id))[:count])


def _submission() -> str:
    told = json.loads(os.environ.get(RAY_JOB, "{}"))
    return str(told.get("metadata", {}).get("job_submission_id", ""))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
