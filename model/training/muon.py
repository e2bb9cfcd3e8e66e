"""Training with the Muon optimizer, for the cleaner's and the guard's networks.

The convolutions between the first and the last layers learn by Muon (Jordan et al. 2024,
kellerjordan.github.io/posts/muon; steps scaled as in Liu et al. 2025, arXiv:2502.16982): 400 steps of it
reached a lower error than AdamW did in the same time. All other layers learn by AdamW (Loshchilov & Hutter
2019, arXiv:1711.05101). Both follow one cosine cycle.
"""

from abc import abstractmethod
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from model.training.settings import Settings
from model.training.state import BatchT, ModelT, Training


class MuonTraining(Training[ModelT, BatchT]):
    """A training whose inner convolutions learn by Muon."""

    def __init__(self, model: ModelT, config: Settings, device: torch.device) -> None:
        """Start from a network, which is moved to the device and changed."""
        self._matrices: list[tuple[nn.Parameter, nn.Parameter]] = []
        super().__init__(model, config, device)

    @abstractmethod
    def _inner(self) -> Iterable[nn.Module]:
        """The parts between the first and the last layers."""

    def _optimizers(self) -> list[Optimizer]:
        self._matrices = _matrices(self._inner())
        taken = {id(weight) for weight, _ in self._matrices}
        rest = [parameter for parameter in self.model.parameters() if id(parameter) not in taken]
        matrices, rate = [matrix for _, matrix in self._matrices], self.config.learning_rate
        return [
            torch.optim.AdamW(rest, rate, weight_decay=1e-4, fused=True),
            torch.optim.Muon(matrices, rate, weight_decay=1e-4, adjust_lr_fn="match_rms_adamw"),
        ]

    def _schedule(self, optimizer: Optimizer) -> LRScheduler:
        peaks, steps = [group["lr"] for group in optimizer.param_groups], self.config.steps + 1
        return OneCycleLR(optimizer, peaks, total_steps=steps, pct_start=0.05, cycle_momentum=False)

    def _hand_on_gradients(self) -> None:
        for weight, matrix in self._matrices:
            assert weight.grad is not None
            matrix.grad = _flat(weight.grad)


def _matrices(parts: Iterable[nn.Module]) -> list[tuple[nn.Parameter, nn.Parameter]]:
    """The convolutions' weights, each with a matrix that shares its memory: Muon takes only matrices."""
    layers = [layer for part in parts for layer in part.modules()]
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    weights = [cast(nn.Parameter, layer.weight) for layer in convolutions]
    matrices = [(weight, nn.Parameter(_flat(weight.data))) for weight in weights]
    assert all(weight.data_ptr() == matrix.data_ptr() for weight, matrix in matrices)
    return matrices


def _flat(weight: Tensor) -> Tensor:
    """A view of (A, B, h, w), channels last, as (A, h * w * B)."""
    return weight.permute(0, 2, 3, 1).flatten(1)
