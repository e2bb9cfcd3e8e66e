"""`scripts/guard train`: train the guard's weights from the project's material; `mix`: average them."""

from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from model.cleaner import Cleaner
from model.guard import load_guard, save_guard
from model.guard_learner import GuardSettings, train_guard
from model.weights import SHIPPED
from scripts.guard_pages import training_samples


def train(data: Path, held: Sequence[str], out: Path, init: Path | None, config: GuardSettings) -> Path:
    """Train, anew or from other weights, or go on where an earlier call stopped; the path of the weights."""
    console = Console(highlight=False)
    samples = training_samples(data, held, Cleaner(SHIPPED), config.seed)
    return train_guard(
        samples,
        config,
        out,
        init,
        lambda step, loss: console.print(f"{step}/{config.steps} loss {loss:.4f}"),
    )


def mix(weights: Sequence[Path], out: Path) -> Path:
    """Write the mean of weights that began from the same ones (Wortsman et al. 2022, arXiv:2203.05482)."""
    mixed, states = load_guard(weights[0]), [load_guard(path).state_dict() for path in weights]
    mixed.load_state_dict({name: torch.stack([s[name] for s in states]).mean(0) for name in states[0]})
    return save_guard(mixed, out)
