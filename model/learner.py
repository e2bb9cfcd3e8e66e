"""A network in training: its optimizers, schedules and moving average, and how they are kept.

Convolutions between the stems and the heads learn by Muon (Jordan et al. 2024,
kellerjordan.github.io/posts/muon; steps scaled as in Liu et al. 2025, arXiv:2502.16982), which got further in
400 steps than AdamW in as much time; the rest by AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101). Both on
one cosine cycle.
"""

import json
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from model.autoencoder import Autoencoder, AutoencoderConfig
from model.baseline import ArticleNetwork
from model.loss import LossConfig, restoration_loss
from model.networks import Network, NetworkConfig
from model.samples import Batch

LOG_EVERY = 50


class TrainingFault(RuntimeError):
    """Training can't go on; the sentence says why."""


@dataclass(frozen=True)
class TrainConfig:
    """What decides the result of a training, besides its data.

    Attributes:
        steps: batches to learn from.
        seed: all randomness.
        learning_rate: the cycle's peak.
        ema: how much of the weights' moving average stays at each step.
        patience: validations in a row without a better result after which a training stops.
        loss: what counts as wrong.
        network: the shape.
    """

    steps: int
    seed: int = 0
    learning_rate: float = 2e-3
    ema: float = 0.998
    patience: int = 8
    loss: LossConfig = LossConfig()
    network: NetworkConfig = AutoencoderConfig()


class Learner:
    """One training's state; what a checkpoint holds."""

    def __init__(self, model: Network, config: TrainConfig, device: torch.device) -> None:
        """Start from a network, which is moved to the device and changed."""
        self.config = config
        self.device = device
        self.model = _channels_last(model.to(device))
        averaging = get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]
        self.ema = AveragedModel(self.model, multi_avg_fn=averaging)
        self._matrices: list[tuple[nn.Parameter, nn.Parameter]] = []
        self.optimizers: list[torch.optim.Optimizer]
        self.schedules: list[LRScheduler]
        if isinstance(self.model, ArticleNetwork):  # as the article trains it
            self.optimizers = [torch.optim.Adam(self.model.parameters(), 1e-3)]
            self.schedules = [ConstantLR(self.optimizers[0], 1)]
        else:
            self._matrices = _matrices(self.model)
            self.optimizers = _optimizers(self.model, self._matrices, config)
            cycle = partial(OneCycleLR, total_steps=config.steps + 1, pct_start=0.05, cycle_momentum=False)
            self.schedules = [cycle(o, [g["lr"] for g in o.param_groups]) for o in self.optimizers]

    def run(self, batches: Iterator[tuple[int, Batch]]) -> Iterator[tuple[int, float]]:
        """Learn from the batches; every so often the number of steps done and the mean loss since."""
        losses = []
        for step, batch in batches:
            losses.append(self._step(batch))
            if (step + 1) % LOG_EVERY == 0 or step + 1 == self.config.steps:
                yield step + 1, sum(losses) / len(losses)
                losses.clear()

    def _step(self, batch: Batch) -> float:
        loss = self._loss(batch)
        self.model.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for weight, matrix in self._matrices:
            assert weight.grad is not None
            matrix.grad = _flat(weight.grad)
        for optimizer, schedule in zip(self.optimizers, self.schedules, strict=True):
            optimizer.step()
            schedule.step()
        self.ema.update_parameters(self.model)
        return float(loss.detach())

    def _loss(self, batch: Batch) -> Tensor:
        noisy, clean, ink = (_to(part, self.device) for part in (batch.noisy, batch.clean, batch.ink))
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            output = self.model.restored(noisy)
        if isinstance(self.model, ArticleNetwork):
            return F.mse_loss(output, clean)
        truth = torch.from_numpy(batch.truth).to(self.device)
        return restoration_loss(output, clean, ink, truth, self.config.loss)

    def averaged(self) -> Network:
        """The moving average of the weights so far."""
        return cast(Network, self.ema.module)

    def save(self, path: Path, step: int) -> None:
        """Write a checkpoint, whole or not at all."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        unfinished = path.with_suffix(".part")
        torch.save({**state, "step": step, "config": json.dumps(asdict(self.config))}, unfinished)
        unfinished.replace(path)

    def _parts(self) -> dict[str, Any]:
        """What has a state, by its name in a checkpoint."""
        optimizers = {f"optimizer{i}": optimizer for i, optimizer in enumerate(self.optimizers)}
        schedules = {f"schedule{i}": schedule for i, schedule in enumerate(self.schedules)}
        return {"model": self.model, "ema": self.ema, **optimizers, **schedules}

    def restore(self, path: Path) -> int:
        """Go on from a checkpoint, if there is one; the number of steps that were done.

        Raises:
            TrainingFault: it is of other settings, or unreadable.
        """
        if not path.exists():
            return 0
        try:
            saved = torch.load(path, weights_only=True)
            if saved["config"] != json.dumps(asdict(self.config)):
                raise TrainingFault(f"{path.parent} holds a training with other settings: name another --out")
            for name, part in self._parts().items():
                part.load_state_dict(saved[name])
            return int(saved["step"])
        except (pickle.UnpicklingError, EOFError, LookupError, TypeError, ValueError, RuntimeError) as error:
            if isinstance(error, TrainingFault):
                raise
            raise TrainingFault(f"{path} can't be continued: remove it or name another --out") from error


def _matrices(model: Autoencoder) -> list[tuple[nn.Parameter, nn.Parameter]]:
    """The weights between stems and heads, each with a matrix that shares its memory: Muon wants matrices."""
    inner = (model.detail, model.down, model.encoder, model.up, model.decoder)
    layers = [layer for part in inner for layer in part.modules()]
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    weights = [cast(nn.Parameter, layer.weight) for layer in convolutions]
    matrices = [(weight, nn.Parameter(_flat(weight.data))) for weight in weights]
    assert all(weight.data_ptr() == matrix.data_ptr() for weight, matrix in matrices)
    return matrices


def _flat(weight: Tensor) -> Tensor:
    """(A, B, h, w), channels last, as (A, h * w * B): a view."""
    return weight.permute(0, 2, 3, 1).flatten(1)


def _optimizers(
    model: Autoencoder, matrices: Sequence[tuple[nn.Parameter, nn.Parameter]], config: TrainConfig
) -> list[torch.optim.Optimizer]:
    taken = {id(weight) for weight, _ in matrices}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in taken]
    rate = config.learning_rate
    return [
        torch.optim.AdamW(rest, rate, weight_decay=1e-4, fused=True),
        torch.optim.Muon([m for _, m in matrices], rate, weight_decay=1e-4, adjust_lr_fn="match_rms_adamw"),
    ]


def _channels_last(model: Network) -> Network:
    # torch's stubs know no memory_format for modules
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _to(batch: NDArray[np.uint8], device: torch.device) -> Tensor:
    tensor = torch.from_numpy(batch).to(device).to(torch.float32, memory_format=torch.channels_last)
    return tensor / 255
