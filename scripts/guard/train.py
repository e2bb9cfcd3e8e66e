"""`scripts/run guard train`: train the guard's weights from the project's material."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from model.cleaning.cleaner import load_cleaner
from model.shipped import CLEANER
from model.training.guard_train import GuardSettings, train_guard
from scripts.guard.pages import training_samples


def train(data: Path, held: Sequence[str], out: Path, init: Path | None, config: GuardSettings) -> Path:
    """Train anew or from other weights, or continue a training that stopped; the path of the weights."""
    console = Console(highlight=False)
    samples = training_samples(data, held, load_cleaner(CLEANER), config.seed)
    return train_guard(
        samples,
        config,
        out,
        init,
        lambda step, loss: console.print(f"{step}/{config.steps} loss {loss:.4f}"),
    )
