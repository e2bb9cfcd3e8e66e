"""How the cleaner's network learns from a batch; `model.training.loop` runs the training."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.device import fast_training
from model.network.autoencoder import Autoencoder, AutoencoderConfig
from model.network.registry import Network, NetworkConfig
from model.network.weights import save_weights
from model.training.cleaner_samples import Batch
from model.training.loss import LossConfig, restoration_loss
from model.training.muon import MuonTraining
from model.training.settings import Settings


@dataclass(frozen=True)
class CleanerSettings(Settings):
    """What decides the result of a cleaner's training, besides its data.

    Attributes:
        loss: the weights of the loss.
        network: the network's shape.
    """

    loss: LossConfig = LossConfig()
    network: NetworkConfig = AutoencoderConfig()


class CleanerLearner(MuonTraining[Network, Batch]):
    """The state of a training of the cleaner's network."""

    def __init__(self, model: Autoencoder, config: CleanerSettings, device: torch.device) -> None:
        """Start from a network, which is moved to the device and changed."""
        self._weights = config.loss
        super().__init__(model, config, device)

    def _inner(self) -> Iterable[nn.Module]:
        assert isinstance(self.model, Autoencoder)
        return self.model.detail, self.model.down, self.model.encoder, self.model.up, self.model.decoder

    def _loss(self, batch: Batch) -> Tensor:
        noisy, clean, ink = (as_light(part, self.device) for part in (batch.noisy, batch.clean, batch.ink))
        with fast_training(self.device):
            predicted = self.model.predicted(noisy, batch.large)
        truth = torch.from_numpy(batch.truth).to(self.device)
        return restoration_loss(predicted, noisy, clean, ink, truth, self._weights)

    def save_weights(self, path: Path) -> Path:
        """Write the average as safetensors, whole or not at all; returns the path."""
        return save_weights(self.averaged(), path)


def as_light(pixels: NDArray[np.uint8], device: torch.device) -> Tensor:
    """(N, C, H, W) uint8 pixels as float32, 0 black to 1 white, channels last, on the device."""
    return torch.from_numpy(pixels).to(device).to(torch.float32, memory_format=torch.channels_last) / 255
