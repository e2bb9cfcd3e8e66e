"""The command line with GPUs that only Ray believes in: python -m tests.logical_gpus FOLDER clean SRC DST ...

Workers that Ray places on GPUs clean on the CPU. Each writes into FOLDER where it is and what Ray shows it,
and what is handed to it; it begins nothing before FOLDER/go is there. So a test decides what comes first.
"""

import json
import os
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import ray

from jobs.cli import main as cli
from jobs.driver import feed, fleet
from jobs.driver.job import WorkerSpec
from jobs.driver.outcome import Outcome
from jobs.driver.worker import Worker
from jobs.ledger.plan import Task

WAIT_S = 600.0
GO, DRAINING, START_S = "go", "draining", "start_s"


@dataclass(frozen=True)
class Seen:
    """Where a worker is, or a shard that it got; the worker writes it, the test reads it."""

    node: str
    pid: int
    device: str
    threads: int
    visible: str | None
    shard: str | None = None
    attempt: int = 0


class OnCpu(Worker):
    """A worker that does its work for a GPU on the CPU; it waits for FOLDER/go."""

    folder: Path

    def __init__(self, spec: WorkerSpec) -> None:
        super().__init__(replace(spec, device="cpu"))
        self._shop = replace(self._shop, device=spec.device)  # the report says what a real one would
        node = ray.get_runtime_context().get_node_id()
        self._seen = Seen(
            node, os.getpid(), spec.device, spec.threads, os.environ.get("CUDA_VISIBLE_DEVICES")
        )
        self._note(self._seen)

    def clean(self, task: Task) -> Outcome:
        self._note(replace(self._seen, shard=task.shard.key, attempt=task.attempt))
        deadline = time.monotonic() + WAIT_S
        while not (self.folder / GO).exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        return super().clean(task)

    def _note(self, seen: Seen) -> None:
        name = f"{seen.pid}-{abs(hash(seen.shard))}-{seen.attempt}"
        (self.folder / f"{name}.part").write_text(json.dumps(asdict(seen)))
        (self.folder / f"{name}.part").rename(self.folder / f"{name}.json")


def seen(folder: Path) -> list[Seen]:
    """All notes of the workers so far."""
    return [Seen(**json.loads(path.read_text())) for path in folder.glob("*.json")]


def main(folder: Path, arguments: list[str]) -> None:
    """Run the command line with these workers; FOLDER/start_s, if it exists, replaces START_S."""
    asked = fleet._draining

    def draining() -> set[str]:
        found = asked()
        if found:
            (folder / DRAINING).touch()
        return found

    OnCpu.folder = folder
    fleet.Worker, fleet._draining = OnCpu, draining  # type: ignore[misc]
    if (folder / START_S).exists():
        feed.START_S = float((folder / START_S).read_text())
    sys.argv = ["pumice", *arguments]
    cli.main()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
