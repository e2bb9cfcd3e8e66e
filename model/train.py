"""Train a network: `pumice train --pairs DIR --clean DIR --steps 12000 --out runs/one`.

How weights learn says `model.learner`; what gets saved is their moving average (Polyak & Juditsky 1992). A
checkpoint every few hundred steps lets the same command continue; batches are seeded by step. Every so often
the average is tried on pairs that were held out: the best one is the result, and a training that gets no
better stops.
"""

import copy
import json
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from model import learner
from model.learner import Learner, TrainConfig, TrainingFault
from model.networks import Network, build, for_pages
from model.page import as_grey
from model.papers import Pair
from model.samples import Batch, Patches
from model.weights import load_weights, save_weights

CHECKPOINT_EVERY = 5 * learner.LOG_EVERY  # a multiple: only where the log stands can a training be continued
VALIDATE_EVERY = 4 * CHECKPOINT_EVERY

Progress = Callable[[int, float], None]
"""Called with the step and the mean loss since the last call."""


def train(
    data: Patches,
    config: TrainConfig,
    out: Path,
    init: Path | None = None,
    held: Sequence[Pair] = (),
    progress: Progress | None = None,
) -> Path:
    """Train, or continue what lies in `out`.

    Args:
        data: where batches come from.
        config: how long and how.
        out: a folder for checkpoint.pt, log.jsonl and the finished weights.safetensors.
        init: weights to start from (fine-tuning); their shape wins over the config's.
        held: pairs that `data` hasn't, to validate on; with none the last weights are the result.
        progress: told of the steps.

    Returns:
        The path of the weights.

    Raises:
        TrainingFault: the loss is not a number, or `out` holds a training of other settings.
        WeightsError: `init` holds no usable weights.
    """
    out.mkdir(parents=True, exist_ok=True)
    weights = out / "weights.safetensors"
    state = _learner(config, init, weights)
    first = state.restore(out / "checkpoint.pt")
    log = _Log(out / "log.jsonl", first)
    if not log.ended(config.patience):
        for done, loss in state.run(_ahead(data, first, config.steps)):
            log.add(done, "loss", loss)
            if progress:
                progress(done, loss)
            if _checked(state, done, held, out, log):
                break
    best = out / "best.safetensors"
    return save_weights(load_weights(best) if best.exists() else state.averaged(), weights)


def _learner(config: TrainConfig, init: Path | None, result: Path) -> Learner:
    if init and result.exists() and result.samefile(init):
        raise TrainingFault(f"training would overwrite {init}, which it starts from: name another --out")
    torch.manual_seed(config.seed)
    model = load_weights(init).train() if init else build(config.network)
    return Learner(model, config, torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def _checked(state: Learner, done: int, held: Sequence[Pair], out: Path, log: "_Log") -> bool:
    """Validate and keep what has been learnt, when it is time; whether training should end."""
    last = done == state.config.steps
    if held and (last or done % VALIDATE_EVERY == 0):
        error = validation_error(state.averaged(), held, state.device)
        if error < min(log.validations, default=math.inf):
            save_weights(state.averaged(), out / "best.safetensors")
        log.add(done, "validation", error)
        last = last or log.ended(state.config.patience)
    if last or done % CHECKPOINT_EVERY == 0:
        state.save(out / "checkpoint.pt", done)
    return last


class _Log:
    """log.jsonl: a line for every few steps' mean loss, and one for every validation."""

    def __init__(self, path: Path, first: int) -> None:
        """Go on after step `first`: what was logged beyond it will be logged again."""
        lines = path.read_text().splitlines() if path.exists() else []
        facts = [fact for fact in map(json.loads, lines) if fact["step"] <= first]
        path.write_text("".join(json.dumps(fact) + "\n" for fact in facts))
        self._path = path
        self.validations: list[float] = [fact["validation"] for fact in facts if "validation" in fact]

    def add(self, step: int, what: str, value: float) -> None:
        """Note a number.

        Raises:
            TrainingFault: it isn't one.
        """
        if not math.isfinite(value):
            raise TrainingFault(f"the {what} is not a number at step {step}: lower the learning rate")
        with self._path.open("a") as log:
            log.write(json.dumps({"step": step, what: value}) + "\n")
        if what == "validation":
            self.validations.append(value)

    def ended(self, patience: int) -> bool:
        """Whether the last `patience` validations were no better than one before them."""
        past = self.validations
        return bool(past) and len(past) - 1 - past.index(min(past)) >= patience


def validation_error(model: Network, held: Sequence[Pair], device: torch.device) -> float:
    """Root mean square error over grey pages, 0..1; results are cut at half grey where the truth is 1-bit.

    Where there are truths of both kinds, the geometric mean of theirs: those of 1-bit ones are ten times as
    large and would decide alone.
    """
    network = for_pages(copy.deepcopy(model), device, torch.bfloat16)
    errors: dict[bool, list[float]] = {}
    for pair in held:
        page = torch.from_numpy(as_grey(pair.noisy)[None, ..., None].copy()).to(device)
        result, truth = network(page)[0, ..., 0].cpu().numpy(), as_grey(pair.clean)
        if pair.bitonal:
            result = np.where(result < 128, 0, 255)  # noqa: PLR2004
        error = float(np.square((result.astype(np.float32) - truth) / 255).mean())
        errors.setdefault(pair.bitonal, []).append(error)
    return math.prod(math.sqrt(sum(kind) / len(kind)) for kind in errors.values()) ** (1 / len(errors))


def _ahead(data: Patches, first: int, last: int) -> Iterator[tuple[int, Batch]]:
    """Draw batches on a thread while the network learns: drawing is mostly OpenCV, which frees the GIL."""
    batches = data.batches(first, last)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, batches, None)
        for step in range(first, last):
            batch = coming.result()
            coming = pool.submit(next, batches, None)
            assert batch is not None
            yield step, batch
