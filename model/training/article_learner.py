"""How the article's network learns: squared error, Adam at a constant rate, as the article says."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler

from model.device import fast_training
from model.network.registry import Network
from model.network.weights import save_weights
from model.training.cleaner_learner import as_light
from model.training.cleaner_samples import Batch
from model.training.state import Training

_RATE = 1e-3


class ArticleLearner(Training[Network, Batch]):
    """The state of a training of the article's network, on the cleaner's batches."""

    def _optimizers(self) -> list[Optimizer]:
        return [torch.optim.Adam(self.model.parameters(), _RATE)]

    def _schedule(self, optimizer: Optimizer) -> LRScheduler:
        return ConstantLR(optimizer, 1)

    def _loss(self, batch: Batch) -> Tensor:
        with fast_training(self.device):
            predicted = self.model.predicted(as_light(batch.noisy, self.device), batch.large)
        return F.mse_loss(predicted, as_light(batch.clean, self.device))

    def save_weights(self, path: Path) -> Path:
        """Write the average as safetensors, whole or not at all; returns the path."""
        return save_weights(self.averaged(), path)
