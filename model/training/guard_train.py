"""The guard's training: its loss and its settings.

Nearly all cells are right, and the network starts out by expecting that. So wrong cells count twice. The
focal loss (Lin et al. 2017, arXiv:1708.02002) can give less weight to cells that the network already judges
well: one cell that it judges badly decides about a whole page.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.device import fast_training
from model.guard.network import GuardNetwork, load_guard, save_guard
from model.training.guard_samples import GuardBatch
from model.training.loop import Batches, OnStep, Rhythm, learn
from model.training.muon import MuonTraining
from model.training.settings import Settings

LOG_EVERY, CHECKPOINT_EVERY = 50, 250
_WRONG = 2.0


@dataclass(frozen=True)
class GuardSettings(Settings):
    """The settings of a guard's training; `focus` is the exponent of the focal loss, 0 for cross-entropy."""

    focus: float = 0.0


class GuardLearner(MuonTraining[GuardNetwork, GuardBatch]):
    """The state of a training of the guard."""

    def __init__(self, model: GuardNetwork, config: GuardSettings, device: torch.device) -> None:
        """Start from a network, which is moved to the device and changed."""
        super().__init__(model, config, device)
        self._focus = config.focus

    def _inner(self) -> Iterable[nn.Module]:
        return self.model.fine, self.model.middle, self.model.coarse, self.model.down, self.model.up

    def _loss(self, batch: GuardBatch) -> Tensor:
        pages, wrong, sure = (
            torch.from_numpy(part).to(self.device, torch.float32)
            for part in (batch.pages, batch.wrong, batch.sure)
        )
        with fast_training(self.device):
            scores = self.model((pages / 255).contiguous(memory_format=torch.channels_last))
        weight = torch.full((), _WRONG, device=self.device)
        scores = scores.float()
        error = F.binary_cross_entropy_with_logits(scores, wrong, reduction="none", pos_weight=weight)
        missed = (torch.sigmoid(scores.detach()) - wrong).abs() ** self._focus
        return (error * missed * sure).sum() / sure.sum().clamp(min=1)

    def save_weights(self, path: Path) -> Path:
        """Write the average as safetensors, whole or not at all; returns the path."""
        return save_guard(self.averaged(), path)


def train_guard(
    data: Batches[GuardBatch],
    config: GuardSettings,
    out: Path,
    init: Path | None = None,
    on_step: OnStep | None = None,
) -> Path:
    """Train a guard, or continue the training in `out`; see `model.training.loop.learn`.

    Raises:
        TrainingFault: the loss is not a number, or `out` holds a training with other settings.
        WeightsError: `init` holds no guard.
    """
    torch.manual_seed(config.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    state = GuardLearner(load_guard(init).train() if init else GuardNetwork(), config, device)
    rhythm = Rhythm(LOG_EVERY, CHECKPOINT_EVERY, config.steps)
    return learn(state, data, out, rhythm, on_step=on_step)
