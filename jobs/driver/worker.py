"""One worker process: it loads the weights once, then makes attempts and returns how they ended.

This is the actor boundary. Any error with one shard becomes an `Outcome` here, so that the process lives on
for the next shard.
"""

import logging
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import torch

from jobs.driver.job import WorkerSpec
from jobs.driver.outcome import STORE_ERROR, Outcome
from jobs.errors import DestinationFull, InputError, SourceChanged, StoreError, TooManyFailed
from jobs.ledger.plan import Task
from jobs.ledger.weights import read_weights
from jobs.logs import about, figures, write_json
from jobs.shard.attempt import Workshop, clean_shard
from jobs.shard.inspector import Inspector
from jobs.shard.meter import Meter, Progress
from jobs.shard.pipeline import Bench
from jobs.stores.open import open_store
from model.cleaning.cleaner import load_cleaner
from model.device import DeviceError
from model.guard.guard import Guard

log = logging.getLogger(__name__)

BATCH_PIXELS = 40_000_000
"""Pixels of the pages that a GPU cleans at once: four A4 pages at 300 dpi keep it busy."""


@dataclass(frozen=True)
class Sight:
    """A worker's progress at one moment: its totals, and each attempt in work by shard key and number."""

    total: Progress = Progress()
    attempts: Mapping[tuple[str, int], Progress] = field(default_factory=dict)


class Worker:
    """Makes attempts; any number of threads may call it at the same time."""

    def __init__(self, spec: WorkerSpec) -> None:
        """Load the network from the weights that the driver put into the destination.

        Raises:
            StoreError: the weights are missing, or are not those of the recipe.
            WeightsError: the weights can't be used.
            DeviceError: the device does not exist here.
        """
        if spec.json_logs:
            write_json(sys.stderr)
        torch.set_num_threads(spec.threads)
        cv2.setNumThreads(1)
        destination = open_store(spec.destination)
        with tempfile.TemporaryDirectory(prefix="pumice-") as folder:
            path = Path(folder) / "weights.safetensors"
            path.write_bytes(read_weights(destination, spec.recipe))
            cleaner = load_cleaner(path, spec.device, spec.recipe.tile)
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
        """The progress of this process since it started, and of each attempt in work."""
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
        except Exception as error:  # the actor boundary: a bug must cost one shard, not the run
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
