"""One worker process: it loads the weights once, then makes attempts and says how they ended.

This is the actor boundary. Whatever goes wrong with one shard ends here as an `Outcome`, so that the process
lives on for the next one.
"""

import hashlib
import logging
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import torch

from jobs.config import Device, Recipe
from jobs.driver.outcome import STORE_ERROR, Outcome
from jobs.errors import DestinationFull, InputError, SourceChanged, StoreError, TooManyFailed
from jobs.ledger.plan import Task
from jobs.logs import about, figures, write_json
from jobs.shard.attempt import Workshop, clean_shard
from jobs.shard.inspector import Inspector
from jobs.shard.meter import Meter, Progress
from jobs.shard.pipeline import Bench
from jobs.stores.base import LEDGER, Store
from jobs.stores.open import open_store
from model.cleaning.cleaner import Cleaner
from model.device import DeviceError
from model.guard.guard import Guard

log = logging.getLogger(__name__)

BATCH_PIXELS = 40_000_000
"""Pages that a GPU cleans at once, in pixels: four A4 pages at 300 dpi keep it busy."""


def weights_key(recipe: Recipe) -> str:
    """Where a destination keeps the weights of a recipe: for workers, for `resume`, and for the record."""
    return f"{LEDGER}/weights/{recipe.weights_sha256}.safetensors"


def read_weights(destination: Store, recipe: Recipe) -> bytes:
    """The weights file of a recipe.

    Raises:
        StoreError: it is missing or was changed.
    """
    weights = destination.get(weights_key(recipe))
    if weights is None or hashlib.sha256(weights).hexdigest() != recipe.weights_sha256:
        raise StoreError(
            f"{destination.url}/{weights_key(recipe)} is missing or damaged: delete it and run again."
        )
    return weights


@dataclass(frozen=True)
class WorkerSpec:
    """What a worker needs to know; small, because Ray hands it to every actor that it starts.

    With `json_logs` it owns its process and sets logging up there as the driver's is.
    """

    source: str
    destination: str
    recipe: Recipe
    device: Device
    threads: int
    max_failed: float
    json_logs: bool = False


@dataclass(frozen=True)
class Sight:
    """A worker as it is at one moment: its totals, and those of each attempt by shard and number."""

    total: Progress = Progress()
    attempts: Mapping[tuple[str, int], Progress] = field(default_factory=dict)


class Worker:
    """Makes attempts, from any number of threads."""

    def __init__(self, spec: WorkerSpec) -> None:
        """Load the network from the weights that the driver left in the destination.

        Raises:
            StoreError: they are not there, or not those of the recipe.
            WeightsError: they can't be used.
            DeviceError: the device is not there.
        """
        if spec.json_logs:
            write_json(sys.stderr)
        torch.set_num_threads(spec.threads)
        cv2.setNumThreads(1)
        destination = open_store(spec.destination)
        with tempfile.TemporaryDirectory(prefix="pumice-") as folder:
            path = Path(folder) / "weights.safetensors"
            path.write_bytes(read_weights(destination, spec.recipe))
            cleaner = Cleaner(path, spec.device, spec.recipe.tile)
        batch = BATCH_PIXELS if cleaner.device.type == "cuda" else 0
        inspector = Inspector(Guard(cleaner.device), spec.recipe.on_suspicion)
        self._bench = Bench(cleaner, inspector, spec.threads, batch)
        self._shop = Workshop(
            open_store(spec.source),
            destination,
            self._bench,
            spec.recipe,
            str(cleaner.device),
            max_failed=spec.max_failed,
        )
        self._attempts: dict[tuple[str, int], Meter] = {}

    def look(self) -> Sight:
        """What this process has done since it started, and each attempt that it is at."""
        attempts = {name: meter.now for name, meter in self._attempts.copy().items()}
        return Sight(self._bench.meter.now, attempts)

    def clean(self, task: Task) -> Outcome:
        """Make one attempt; never raises."""
        name, begun = (task.shard.key, task.attempt), time.monotonic()
        meter = self._attempts[name] = Meter(self._bench.meter)
        with about(run=task.run_id, shard=task.shard.key, attempt=task.attempt):
            log.info("attempt %d at %s begins", task.attempt, task.shard.key)
            try:
                outcome = self._clean(task, meter)
            finally:
                del self._attempts[name]
            outcome = replace(outcome, seconds=time.monotonic() - begun)
            _log_end(task, outcome, meter.now)
        return outcome

    def _clean(self, task: Task, meter: Meter) -> Outcome:
        try:
            commit = clean_shard(task, self._shop, meter)
        except Exception as error:  # the actor boundary: a bug must cost one shard, not the job
            return _outcome_of(error, task)
        if commit is None:
            return Outcome("lost")
        return Outcome("done", commit, kinds=meter.kinds)


def _log_end(task: Task, outcome: Outcome, done: Progress) -> None:
    facts = figures(
        outcome=outcome.kind, code=outcome.code, pages=done.pages, seconds=round(outcome.seconds, 3)
    )
    log.info("attempt %d at %s ended: %s", task.attempt, task.shard.key, outcome.kind, extra=facts)


def _outcome_of(error: Exception, task: Task) -> Outcome:
    match error:
        case SourceChanged():
            return Outcome("changed", code="source_changed", message=str(error))
        case InputError() | DestinationFull() | DeviceError():
            return Outcome("fatal", message=str(error), exit_code=getattr(error, "exit_code", 1))
        case StoreError():
            return Outcome("store", code=STORE_ERROR, message=str(error))
        case TooManyFailed():
            return Outcome("failed", code="too_many_failed", message=str(error))
    log.error("attempt %d at %s failed", task.attempt, task.shard.key, exc_info=error)
    text = str(error).strip().splitlines()[0] if str(error).strip() else ""
    return Outcome("failed", code=type(error).__name__, message=f"{type(error).__name__}: {text}")
