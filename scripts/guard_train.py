"""`scripts/guard train --data DIR --out DIR`: train the guard's weights from the project's material."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from jobs.cli_model import FINE_TUNING_RATE, LEARNING_RATE
from model.cleaner import Cleaner
from model.guard_learner import train_guard
from model.training import Settings
from model.weights import SHIPPED
from scripts.guard_pages import training_samples


def train(data: Path, held: Sequence[str], out: Path, init: Path | None, steps: int, seed: int) -> Path:
    """Train, anew or from other weights, or go on where an earlier call stopped; the path of the weights."""
    console = Console(highlight=False)
    samples = training_samples(data, held, Cleaner(SHIPPED), seed)
    return train_guard(
        samples,
        Settings(steps, seed, FINE_TUNING_RATE if init else LEARNING_RATE),
        out,
        init,
        lambda step, loss: console.print(f"{step}/{steps} loss {loss:.4f}"),
    )
