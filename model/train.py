"""Train the denoising autoencoder: `pumice train --pairs DIR --clean DIR --steps 12000 --out runs/one`.

Loss: absolute plus squared error, weighted where ink is, and once more where ink turns towards paper: a stain
that stays is a blemish, a stroke that goes is a loss. No adversarial term: those invent strokes. AdamW on one
cosine cycle; what gets saved is a moving average of the weights (Polyak & Juditsky 1992).

A checkpoint every few hundred steps lets the same command continue; batches are seeded by step.
"""

import json
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from model.autoencoder import Autoencoder, AutoencoderConfig, apply
from model.data import Patches
from model.weights import load_weights, save_weights

LOG_EVERY = 50
CHECKPOINT_EVERY = 5 * LOG_EVERY  # a multiple: only where the log stands can a training be continued
_PARTS = ("model", "ema", "optimizer", "schedule")


class TrainingFault(RuntimeError):
    """Training can't go on; the sentence says why."""


@dataclass(frozen=True)
class TrainConfig:
    """What decides the result of a training, besides its data."""

    steps: int
    seed: int = 0
    learning_rate: float = 2e-3
    ink_weight: float = 3.0
    loss_weight: float = 2.0
    ema: float = 0.998
    network: AutoencoderConfig = AutoencoderConfig()


_Batch = tuple[NDArray[np.uint8], NDArray[np.uint8]]

Progress = Callable[[int, float], None]
"""Called with the step and the mean loss since the last call."""


def train(
    data: Patches, config: TrainConfig, out: Path, init: Path | None = None, progress: Progress | None = None
) -> Path:
    """Train, or continue what lies in `out`.

    Args:
        data: where batches come from.
        config: how long and how.
        out: a folder for checkpoint.pt, log.jsonl and the finished weights.safetensors.
        init: weights to start from (fine-tuning).
        progress: told of the steps.

    Returns:
        The path of the weights.

    Raises:
        TrainingFault: the loss is not a number, or `out` holds a training of other settings.
        WeightsError: `init` holds no usable weights.
    """
    out.mkdir(parents=True, exist_ok=True)
    weights = out / "weights.safetensors"
    if init and weights.exists() and weights.samefile(init):
        raise TrainingFault(f"training would overwrite {init}, which it starts from: name another --out")
    torch.manual_seed(config.seed)
    model = load_weights(init).train() if init else Autoencoder(config.network)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    state = _State(_channels_last(model.to(device)), config)
    first = state.restore(out / "checkpoint.pt")
    _forget_after(out / "log.jsonl", first)
    for done, loss in state.run(_ahead(data, first, config.steps), device):
        if not np.isfinite(loss):
            raise TrainingFault(f"the loss is not a number at step {done}: lower the learning rate")
        with (out / "log.jsonl").open("a") as log:
            log.write(json.dumps({"step": done, "loss": loss}) + "\n")
        if progress:
            progress(done, loss)
        if done % CHECKPOINT_EVERY == 0 or done == config.steps:
            state.save(out / "checkpoint.pt", done)
    return save_weights(state.averaged(), weights)


class _State:
    """Network, its moving average, optimizer and schedule; what a checkpoint holds."""

    def __init__(self, model: Autoencoder, config: TrainConfig) -> None:
        self.config = config
        self.model = model
        averaging = get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]
        self.ema = AveragedModel(model, multi_avg_fn=averaging)
        self.optimizer = torch.optim.AdamW(model.parameters(), config.learning_rate, weight_decay=1e-4)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, config.learning_rate, total_steps=config.steps + 1, pct_start=0.05
        )

    def run(self, batches: Iterator[tuple[int, _Batch]], device: torch.device) -> Iterator[tuple[int, float]]:
        """Learn from the batches; every so often the number of steps done and the mean loss since."""
        losses = []
        for step, (noisy, clean) in batches:
            losses.append(self.step(_to(noisy, device), _to(clean, device)))
            if (step + 1) % LOG_EVERY == 0 or step + 1 == self.config.steps:
                yield step + 1, sum(losses) / len(losses)
                losses.clear()

    def step(self, noisy: Tensor, clean: Tensor) -> float:
        device = noisy.device.type
        with torch.autocast(device, dtype=torch.bfloat16):
            gain, correction = self.model(noisy)
        loss = restoration_loss(apply(noisy, gain.float(), correction.float()), clean, self.config)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        self.ema.update_parameters(self.model)
        return float(loss.detach())

    def averaged(self) -> Autoencoder:
        model = self.ema.module
        assert isinstance(model, Autoencoder)
        return model

    def save(self, path: Path, step: int) -> None:
        state = {name: getattr(self, name).state_dict() for name in _PARTS}
        partial = path.with_suffix(".part")
        torch.save({**state, "step": step, "config": json.dumps(asdict(self.config))}, partial)
        partial.replace(path)

    def restore(self, path: Path) -> int:
        if not path.exists():
            return 0
        try:
            saved = torch.load(path, weights_only=True)
            if saved["config"] != json.dumps(asdict(self.config)):
                raise TrainingFault(f"{path.parent} holds a training with other settings: name another --out")
            for name in _PARTS:
                getattr(self, name).load_state_dict(saved[name])
            return int(saved["step"])
        except (pickle.UnpicklingError, EOFError, LookupError, TypeError, ValueError, RuntimeError) as error:
            if isinstance(error, TrainingFault):
                raise
            raise TrainingFault(f"{path} can't be continued: remove it or name another --out") from error


def _forget_after(log: Path, step: int) -> None:
    """Drop what a training logged after the checkpoint from which it is continued."""
    if log.exists():
        lines = [line for line in log.read_text().splitlines() if json.loads(line)["step"] <= step]
        log.write_text("".join(f"{line}\n" for line in lines))


def restoration_loss(output: Tensor, clean: Tensor, config: TrainConfig) -> Tensor:
    """Weighted mean of |d| + 4d² over (N, C, H, W) in 0..1; see the module's text.

    Ink and its edges (where the clean page's neighbourhood is not all paper) count `1 + ink_weight`; a pixel
    of ink that came out lighter than the truth counts `loss_weight` on top.
    """
    difference = output - clean
    darkest = -F.max_pool2d(-clean, 3, stride=1, padding=1)
    lightest = F.max_pool2d(clean, 3, stride=1, padding=1)
    ink = (1 - darkest) * 0.5 + (lightest - darkest) * 0.5
    lost = F.relu(difference) * (1 - clean)
    weight = 1 + config.ink_weight * ink
    return (weight * (difference.abs() + 4 * difference.square()) + config.loss_weight * lost).mean()


def _channels_last(model: Autoencoder) -> Autoencoder:
    # torch's stubs know no memory_format for modules
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _to(batch: NDArray[np.uint8], device: torch.device) -> Tensor:
    tensor = torch.from_numpy(batch).to(device).to(torch.float32, memory_format=torch.channels_last)
    return tensor / 255


def _ahead(data: Patches, first: int, last: int) -> Iterator[tuple[int, _Batch]]:
    """Draw batches on a thread while the network learns: drawing is mostly OpenCV, which frees the GIL."""
    batches = data.batches(first, last)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, batches, None)
        for step in range(first, last):
            batch = coming.result()
            coming = pool.submit(next, batches, None)
            assert batch is not None
            yield step, batch
