"""The cleaner's training: what it learns from a batch; `model.training.state` says how.

The article's network learns as the article says.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler

from model.device import fast_training
from model.network.article import ArticleNetwork
from model.network.autoencoder import Autoencoder, AutoencoderConfig
from model.network.registry import Network, NetworkConfig
from model.network.weights import save_weights
from model.training.cleaner_samples import Batch
from model.training.loss import LossConfig, restoration_loss
from model.training.muon import MuonTraining
from model.training.state import Settings, TrainingFault

__all__ = ["LOG_EVERY", "Learner", "TrainConfig", "TrainingFault"]

LOG_EVERY = 50


@dataclass(frozen=True)
class TrainConfig(Settings):
    """What decides the result of a training, besides its data.

    Attributes:
        loss: what counts as wrong.
        network: the shape.
    """

    loss: LossConfig = LossConfig()
    network: NetworkConfig = AutoencoderConfig()


class Learner(MuonTraining[Network, Batch]):
    """The state of a cleaner's training, or of the article's network for the same work."""

    def __init__(self, model: Network, config: TrainConfig, device: torch.device) -> None:
        """Start from a network, which is moved to the device and changed."""
        self._wrong = config.loss
        super().__init__(model, config, device)

    def _inner(self) -> Iterable[nn.Module]:
        assert isinstance(self.model, Autoencoder)
        return self.model.detail, self.model.down, self.model.encoder, self.model.up, self.model.decoder

    def _optimizers(self) -> list[Optimizer]:
        if isinstance(self.model, ArticleNetwork):
            return [torch.optim.Adam(self.model.parameters(), 1e-3)]
        return super()._optimizers()

    def _schedule(self, optimizer: Optimizer) -> LRScheduler:
        if isinstance(self.model, ArticleNetwork):
            return ConstantLR(optimizer, 1)
        return super()._schedule(optimizer)

    def _loss(self, batch: Batch) -> Tensor:
        noisy, clean, ink = (_to(part, self.device) for part in (batch.noisy, batch.clean, batch.ink))
        with fast_training(self.device):
            predicted = self.model.predicted(noisy, batch.large)
        if isinstance(self.model, ArticleNetwork):
            return F.mse_loss(predicted, clean)
        truth = torch.from_numpy(batch.truth).to(self.device)
        return restoration_loss(predicted, noisy, clean, ink, truth, self._wrong)

    def save_weights(self, path: Path) -> Path:
        """Write the average as safetensors, whole or not at all; the path, to hand on."""
        return save_weights(self.averaged(), path)


def _to(batch: NDArray[np.uint8], device: torch.device) -> Tensor:
    tensor = torch.from_numpy(batch).to(device).to(torch.float32, memory_format=torch.channels_last)
    return tensor / 255
