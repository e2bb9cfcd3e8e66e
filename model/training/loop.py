"""The training loop for every network: batches drawn ahead, a log, checkpoints, validation, an end.

Checkpoints let the same command continue; each batch is drawn from a seed and its step alone. With data to
validate on, the best average is the result, and a training stops when it gets no better.
"""

import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar

from model.training.settings import TrainingFault
from model.training.state import BatchT, ModelT, Training

Drawn_co = TypeVar("Drawn_co", covariant=True)

OnStep: TypeAlias = Callable[[int, float], None]
"""Called with the step and the mean loss since the last call."""


class Batches(Protocol[Drawn_co]):
    """Where batches come from; a batch depends on nothing but its step."""

    def batches(self, first: int, last: int) -> Iterator[Drawn_co]:
        """The batches of steps first..last-1."""


@dataclass(frozen=True)
class Rhythm:
    """How many steps lie between two events; each number is a multiple of the one before it.

    Attributes:
        log: lines of the log; a training can only be continued from a step that has one.
        checkpoint: checkpoints.
        validate: validations.
    """

    log: int
    checkpoint: int
    validate: int


def learn(
    state: Training[ModelT, BatchT],
    data: Batches[BatchT],
    out: Path,
    rhythm: Rhythm,
    check: Callable[[ModelT], float] | None = None,
    on_step: OnStep | None = None,
) -> Path:
    """Train, or continue the training in `out`.

    Args:
        state: the training, at its start.
        data: where batches come from.
        out: a folder for checkpoint.pt, log.jsonl, best.safetensors and the finished weights.safetensors.
        rhythm: how often to log, to write a checkpoint and to validate.
        check: the error of a network on data held out; without it the last weights are the result.
        on_step: called whenever a line of the log is written.

    Returns:
        The path of the weights.

    Raises:
        TrainingFault: the loss is not a number, or `out` holds a training with other settings.
    """
    out.mkdir(parents=True, exist_ok=True)
    first = state.restore(out / "checkpoint.pt")
    log = _Log(out / "log.jsonl", first)
    if not log.ended(state.config.patience):
        for done, loss in state.run(_ahead(data, first, state.config.steps), rhythm.log):
            log.add(done, "loss", loss)
            if on_step:
                on_step(done, loss)
            if _checked(state, done, rhythm, check, out, log):
                break
    best, weights = out / "best.safetensors", out / "weights.safetensors"
    return _copied(best, weights) if best.exists() else state.save_weights(weights)


def _checked(
    state: Training[ModelT, BatchT],
    done: int,
    rhythm: Rhythm,
    check: Callable[[ModelT], float] | None,
    out: Path,
    log: "_Log",
) -> bool:
    """Validate and write a checkpoint when it is time; returns whether the training should end."""
    last = done == state.config.steps
    if check and (last or done % rhythm.validate == 0):
        error = check(state.averaged())
        if error < min(log.validations, default=math.inf):
            state.save_weights(out / "best.safetensors")
        log.add(done, "validation", error)
        last = last or log.ended(state.config.patience)
    if last or done % rhythm.checkpoint == 0:
        state.save(out / "checkpoint.pt", done)
    return last


def _copied(path: Path, to: Path) -> Path:
    unfinished = to.with_suffix(".part")
    unfinished.write_bytes(path.read_bytes())
    return unfinished.replace(to)


class _Log:
    """log.jsonl: lines with the mean loss of the last steps, and a line for each validation."""

    def __init__(self, path: Path, first: int) -> None:
        """Go on after step `first`: lines of later steps are removed, as these steps are done again."""
        lines = path.read_text().splitlines() if path.exists() else []
        facts = [fact for fact in map(json.loads, lines) if fact["step"] <= first]
        path.write_text("".join(json.dumps(fact) + "\n" for fact in facts))
        self._path = path
        self.validations: list[float] = [fact["validation"] for fact in facts if "validation" in fact]

    def add(self, step: int, what: str, value: float) -> None:
        """Write a line with a value.

        Raises:
            TrainingFault: the value is not finite.
        """
        if not math.isfinite(value):
            raise TrainingFault(f"the {what} is not a number at step {step}: lower the learning rate")
        with self._path.open("a") as log:
            log.write(json.dumps({"step": step, what: value}) + "\n")
        if what == "validation":
            self.validations.append(value)

    def ended(self, patience: int) -> bool:
        """Whether none of the last `patience` validations was better than the best before them."""
        past = self.validations
        return bool(past) and len(past) - 1 - past.index(min(past)) >= patience


def _ahead(data: Batches[BatchT], first: int, last: int) -> Iterator[tuple[int, BatchT]]:
    """Draw the next batch on a thread while the network learns: OpenCV does most of it without the GIL."""
    batches = data.batches(first, last)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, batches, None)
        for step in range(first, last):
            batch = coming.result()
            coming = pool.submit(next, batches, None)
            assert batch is not None
            yield step, batch
