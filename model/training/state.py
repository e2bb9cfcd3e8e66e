"""A network in training: its steps, the moving average of its weights, its checkpoints.

The result is the moving average of the weights (Polyak & Juditsky 1992). With `ema` 0 the average is the
weights themselves.
"""

import json
import pickle
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from model.training.settings import Settings, TrainingFault

ModelT = TypeVar("ModelT", bound=nn.Module)
BatchT = TypeVar("BatchT")


class Training(ABC, Generic[ModelT, BatchT]):
    """The state of one training, which a checkpoint stores."""

    clip: ClassVar[float] = 1.0
    """The largest norm of a step's gradient."""

    def __init__(self, model: ModelT, config: Settings, device: torch.device) -> None:
        """Start from a network, which is moved to the device and changed."""
        self.config = config
        self.device = device
        self.model: ModelT = _channels_last(model.to(device))
        averaging = get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]
        self._ema = AveragedModel(self.model, multi_avg_fn=averaging)
        self.optimizers: list[Optimizer] = self._optimizers()
        self.schedules: list[LRScheduler] = [self._schedule(optimizer) for optimizer in self.optimizers]

    @abstractmethod
    def _optimizers(self) -> list[Optimizer]:
        """The optimizers that change the weights."""

    @abstractmethod
    def _schedule(self, optimizer: Optimizer) -> LRScheduler:
        """How the learning rate of an optimizer changes from step to step."""

    @abstractmethod
    def _loss(self, batch: BatchT) -> Tensor:
        """The loss of a batch: one number, which a step makes smaller."""

    @abstractmethod
    def save_weights(self, path: Path) -> Path:
        """Write the average as safetensors, whole or not at all; returns the path."""

    def run(self, batches: Iterator[tuple[int, BatchT]], every: int) -> Iterator[tuple[int, float]]:
        """Learn from batches; yields the number of steps done and the mean loss, once `every` steps."""
        losses = []
        for step, batch in batches:
            losses.append(self._step(batch))
            if (step + 1) % every == 0 or step + 1 == self.config.steps:
                yield step + 1, sum(losses) / len(losses)
                losses.clear()

    def _step(self, batch: BatchT) -> float:
        loss = self._loss(batch)
        self.model.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self._hand_on_gradients()
        for optimizer, schedule in zip(self.optimizers, self.schedules, strict=True):
            optimizer.step()
            schedule.step()
        self._ema.update_parameters(self.model)
        return float(loss.detach())

    def _hand_on_gradients(self) -> None:  # noqa: B027 - most optimizers work on the parameters themselves
        """Copy the gradients to the tensors that optimizers change, where these are not the parameters."""

    def averaged(self) -> ModelT:
        """The moving average of the weights so far."""
        return cast(ModelT, self._ema.module)

    def save(self, path: Path, step: int) -> None:
        """Write a checkpoint, whole or not at all."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        unfinished = path.with_suffix(".part")
        torch.save({**state, "step": step, "config": json.dumps(asdict(self.config))}, unfinished)
        unfinished.replace(path)

    def _parts(self) -> dict[str, Any]:
        """The parts that have a state, by their names in a checkpoint."""
        optimizers = {f"optimizer{i}": optimizer for i, optimizer in enumerate(self.optimizers)}
        schedules = {f"schedule{i}": schedule for i, schedule in enumerate(self.schedules)}
        return {"model": self.model, "ema": self._ema, **optimizers, **schedules}

    def restore(self, path: Path) -> int:
        """Go on from a checkpoint, if there is one; returns the number of steps done.

        Raises:
            TrainingFault: the checkpoint has other settings or can't be read.
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


def _channels_last(model: ModelT) -> ModelT:
    # torch's stubs know no memory_format for modules
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
