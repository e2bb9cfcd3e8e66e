"""How the gallery's networks learn: the cleaner's training with the article's plain optimizers.

The first weights are Keras's, which the article used (Glorot & Bengio 2010). Gradients are not clipped, rates
are constant, and with `ema` 0 the result is the last weights rather than an average.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler

from model.device import fast_training
from model.gallery.garments import Images
from model.network.weights import save_module
from model.training.settings import Settings
from model.training.state import Training

Light = NDArray[np.float32]
"""(N, H, W), 0 black to 1 white."""


@dataclass(frozen=True)
class Examples:
    """A batch.

    Attributes:
        given: (N, 1, H, W) float32, 0..1, the network's input.
        wanted: the output that it should give, of the same shape and range.
        seed: of the random numbers in a loss.
    """

    given: Light
    wanted: Light
    seed: int


@dataclass(frozen=True)
class SystemSettings(Settings):
    """The settings of a training of the gallery.

    Attributes:
        steps: 0 until `Studio.teach` computes them from a number of epochs.
        name: of the network, and of its training's folder in the output folder.
        optimizer: the optimizer, with Keras's defaults.
        batch: the number of examples in a batch.
        data: a checksum of the training data.
    """

    steps: int = 0
    learning_rate: float = 1e-3
    ema: float = 0.0
    name: str = ""
    optimizer: Literal["adam", "rmsprop"] = "adam"
    batch: int = 128
    data: int = 0


class System(nn.Module):
    """A network of the gallery, with its loss."""

    autocast: ClassVar[bool] = False
    """Whether convolutions are computed as `fast_training` says, as the cleaner's are."""

    def loss(self, given: Tensor, wanted: Tensor, rng: torch.Generator) -> Tensor:
        """The mean squared error; networks with another loss override this.

        Args:
            given: (N, 1, H, W), 0..1.
            wanted: of the same shape and range.
            rng: source of all random numbers.
        """
        return F.mse_loss(self(given).float(), wanted)


class Lesson(Training[System, Examples]):
    """The state of a training of the gallery."""

    clip = math.inf

    def __init__(self, model: System, settings: SystemSettings, device: torch.device) -> None:
        """Start from a network, which is moved to the device and changed."""
        self._settings = settings
        super().__init__(model, settings, device)

    def _optimizers(self) -> list[Optimizer]:
        rate, parameters = self._settings.learning_rate, self.model.parameters()
        if self._settings.optimizer == "adam":
            return [torch.optim.Adam(parameters, rate, eps=1e-7)]
        return [torch.optim.RMSprop(parameters, rate, alpha=0.9, eps=1e-7)]

    def _schedule(self, optimizer: Optimizer) -> LRScheduler:
        return ConstantLR(optimizer, 1)

    def _loss(self, batch: Examples) -> Tensor:
        return self._wrong(self.model, batch)

    def _wrong(self, model: System, batch: Examples) -> Tensor:
        given, wanted = (torch.from_numpy(x).to(self.device) for x in (batch.given, batch.wanted))
        rng = torch.Generator(self.device).manual_seed(batch.seed)
        with fast_training(self.device, model.autocast):
            return model.loss(given, wanted, rng)

    def validation_loss(self, model: System, held: Sequence[Examples]) -> float:
        """The mean loss over held-out batches."""
        with torch.inference_mode():
            return sum(float(self._wrong(model, batch)) for batch in held) / len(held)

    def save_weights(self, path: Path) -> Path:
        """Write the average as safetensors, whole or not at all; returns the path."""
        return save_module(self.averaged(), path, f"gallery-{self._settings.name}")


def glorot(model: nn.Module) -> None:
    """Set the first weights as Keras does: uniform by a layer's fan-in and fan-out, biases 0."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


Spoil = Callable[[Generator, Light], Light]
"""Makes a network's input from the wanted output."""


@dataclass(frozen=True)
class Shuffled:
    """Batches of images: each image once in an epoch, in an order seeded by the epoch.

    Attributes:
        images: the wanted output.
        size: the number of images in a batch; the last batch of an epoch may be smaller.
        seed: of all random numbers.
        spoil: makes the input; without it the input is the wanted output.
    """

    images: Images
    size: int
    seed: int
    spoil: Spoil | None = None

    @property
    def epoch(self) -> int:
        """The number of batches in an epoch."""
        return math.ceil(len(self.images) / self.size)

    def batches(self, first: int, last: int) -> Iterator[Examples]:
        """The batches of steps first..last-1."""
        for step in range(first, last):
            epoch, index = divmod(step, self.epoch)
            order = np.random.default_rng((self.seed, epoch)).permutation(len(self.images))
            chosen = order[index * self.size : (index + 1) * self.size]
            yield examples(self.images[chosen], (self.seed, epoch, step), self.spoil)


def examples(images: Images, seed: tuple[int, ...], spoil: Spoil | None = None) -> Examples:
    """One batch of these images."""
    rng = np.random.default_rng(seed)
    wanted = as_light(images)
    given = wanted if spoil is None else spoil(rng, wanted)
    return Examples(given[:, None], wanted[:, None], int(rng.integers(0, 2**31)))


def as_light(images: Images) -> Light:
    """Images as (N, H, W) float32, 0..1."""
    return np.divide(images, 255, dtype=np.float32)


def as_images(light: Tensor | Light) -> Images:
    """Images (N, 1, H, W) or (N, H, W), 0..1, as (N, H, W) uint8."""
    array = np.asarray(light, np.float32)
    array = array.reshape(len(array), *array.shape[-2:])
    return np.asarray(np.clip(array * 255 + 0.5, 0, 255), np.uint8)
