"""Train the cleaner: `pumice train --pairs DIR --clean DIR --steps 12000 --out runs/one`.

Every so often the average of the weights is tried on pairs that were held out.
"""

import copy
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from model.device import fast_dtype
from model.network.autoencoder import Autoencoder
from model.network.registry import Network, build, for_pages
from model.network.weights import load_weights
from model.page import Pair, as_grey, black_and_white
from model.training.article_learner import ArticleLearner
from model.training.cleaner_learner import CleanerLearner, CleanerSettings
from model.training.cleaner_samples import Batch
from model.training.loop import Batches, OnStep, Rhythm, learn
from model.training.settings import TrainingFault

LOG_EVERY = 50
CHECKPOINT_EVERY = 5 * LOG_EVERY
VALIDATE_EVERY = 4 * CHECKPOINT_EVERY


def train(
    data: Batches[Batch],
    config: CleanerSettings,
    out: Path,
    init: Path | None = None,
    held: Sequence[Pair] = (),
    on_step: OnStep | None = None,
) -> Path:
    """Train, or continue the training in `out`.

    Args:
        data: where batches come from, such as `model.training.cleaner_samples.Patches`.
        config: the settings.
        out: a folder for checkpoint.pt, log.jsonl and the finished weights.safetensors.
        init: weights to start from (fine-tuning); their shape replaces the config's.
        held: pairs to validate on, which are not in `data`; without any the last weights are the result.
        on_step: called as the training goes on.

    Returns:
        The path of the weights.

    Raises:
        TrainingFault: the loss is not a number, or `out` holds a training with other settings.
        WeightsError: `init` holds no usable weights.
    """
    state = _learner(config, init, out / "weights.safetensors")
    rhythm = Rhythm(LOG_EVERY, CHECKPOINT_EVERY, VALIDATE_EVERY)

    def check(average: Network) -> float:
        return validation_error(average, held, state.device)

    return learn(state, data, out, rhythm, check if held else None, on_step)


def _learner(config: CleanerSettings, init: Path | None, result: Path) -> CleanerLearner | ArticleLearner:
    if init and result.exists() and result.samefile(init):
        raise TrainingFault(f"training would overwrite {init}, which it starts from: name another --out")
    torch.manual_seed(config.seed)
    model = load_weights(init).train() if init else build(config.network)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if isinstance(model, Autoencoder):
        return CleanerLearner(model, config, device)
    return ArticleLearner(model, config, device)


def validation_error(model: Network, held: Sequence[Pair], device: torch.device) -> float:
    """Root mean square error over grey pages, 0..1; results are cut at half grey where the truth is 1-bit.

    Where there are truths of both kinds, the geometric mean of both errors: the error on 1-bit truths is ten
    times as large and would decide alone.
    """
    network = for_pages(copy.deepcopy(model), device, fast_dtype(device))
    errors: dict[bool, list[float]] = {}
    for pair in held:
        page = torch.from_numpy(as_grey(pair.noisy)[None, ..., None].copy()).to(device)
        result, truth = network(page)[0, ..., 0].cpu().numpy(), as_grey(pair.clean)
        if pair.bitonal:
            result = black_and_white(result)
        error = float(np.square((result.astype(np.float32) - truth) / 255).mean())
        errors.setdefault(pair.bitonal, []).append(error)
    return math.prod(math.sqrt(sum(kind) / len(kind)) for kind in errors.values()) ** (1 / len(errors))
