"""Train the cleaner: `pumice train --pairs DIR --clean DIR --steps 12000 --out runs/one`.

How its weights learn says `model.training.cleaner_learner`, how a training runs `model.training.loop`.
Every so often the average of the weights is tried on pairs that were held out.
"""

import copy
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from model.device import fast_dtype
from model.network.registry import Network, build, for_pages
from model.network.weights import load_weights
from model.page import Pair, as_grey
from model.training import cleaner_learner as learner
from model.training.cleaner_learner import Learner, TrainConfig, TrainingFault
from model.training.cleaner_samples import Batch
from model.training.loop import Batches, Progress, Rhythm, learn

CHECKPOINT_EVERY = 5 * learner.LOG_EVERY
VALIDATE_EVERY = 4 * CHECKPOINT_EVERY


def train(
    data: Batches[Batch],
    config: TrainConfig,
    out: Path,
    init: Path | None = None,
    held: Sequence[Pair] = (),
    progress: Progress | None = None,
) -> Path:
    """Train, or continue what lies in `out`.

    Args:
        data: where batches come from, `model.training.cleaner_samples.Patches` for one.
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
    state = _learner(config, init, out / "weights.safetensors")
    rhythm = Rhythm(learner.LOG_EVERY, CHECKPOINT_EVERY, VALIDATE_EVERY)

    def check(average: Network) -> float:
        return validation_error(average, held, state.device)

    return learn(state, data, out, rhythm, check if held else None, progress)


def _learner(config: TrainConfig, init: Path | None, result: Path) -> Learner:
    if init and result.exists() and result.samefile(init):
        raise TrainingFault(f"training would overwrite {init}, which it starts from: name another --out")
    torch.manual_seed(config.seed)
    model = load_weights(init).train() if init else build(config.network)
    return Learner(model, config, torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def validation_error(model: Network, held: Sequence[Pair], device: torch.device) -> float:
    """Root mean square error over grey pages, 0..1; results are cut at half grey where the truth is 1-bit.

    Where there are truths of both kinds, the geometric mean of theirs: those of 1-bit ones are ten times as
    large and would decide alone.
    """
    network = for_pages(copy.deepcopy(model), device, fast_dtype(device))
    errors: dict[bool, list[float]] = {}
    for pair in held:
        page = torch.from_numpy(as_grey(pair.noisy)[None, ..., None].copy()).to(device)
        result, truth = network(page)[0, ..., 0].cpu().numpy(), as_grey(pair.clean)
        if pair.bitonal:
            result = np.where(result < 128, 0, 255)  # noqa: PLR2004
        error = float(np.square((result.astype(np.float32) - truth) / 255).mean())
        errors.setdefault(pair.bitonal, []).append(error)
    return math.prod(math.sqrt(sum(kind) / len(kind)) for kind in errors.values()) ** (1 / len(errors))
