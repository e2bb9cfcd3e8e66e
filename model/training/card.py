"""The card beside trained weights: what they are, how they were made, how they score."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.cleaning.cleaner import load_cleaner
from model.network.registry import architecture_of
from model.network.weights import fingerprint, load_card, load_weights
from model.page import Pair
from model.scoring.evaluate import PairScore, by_pattern, score_clean, score_pairs
from model.training.cleaner_learner import CleanerSettings
from model.training.data import RENDERED_PAGES, render_pages

CHECK_PAGES = 12
CHECK_SEED = 10_000
"""Clean pages for the card's scores are drawn from another seed than those for training."""


def make_card(
    weights: Path, config: CleanerSettings, init: Path | None, folders: Sequence[Path], words: Sequence[str]
) -> dict[str, Any]:
    """What the weights are and how they were made; files and folders by name alone, without their paths.

    Args:
        weights: the trained weights.
        config: the settings of the training.
        init: the weights that the training started from; their card becomes part of this one.
        folders: the training data.
        words: the command that trained them, as a list of words without the program's name.

    Raises:
        WeightsError: `weights` can't be read.
    """
    names = [Path(word).name if Path(word).exists() else word for word in words]
    model = load_weights(weights)
    return {
        "architecture": architecture_of(model),
        "network": asdict(model.config),
        "parameters": sum(tensor.numel() for tensor in model.parameters()),
        "sha256": fingerprint(weights),
        "command": f"pumice {shlex.join(names)}",
        "data": [folder.name for folder in folders]
        + [f"{RENDERED_PAGES} pages drawn by model.drawing.pages"],
        "seed": config.seed,
        "steps": config.steps,
        "learning_rate": config.learning_rate,
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "init": load_card(init) if init else None,
    }


def score_weights(weights: Path, held: Sequence[Pair], patterns: Sequence[str]) -> dict[str, Any]:
    """The scores of a card: errors on held-out pairs, by pattern, and changes to clean pages.

    Args:
        weights: the weights to score.
        held: pairs that were not trained on.
        patterns: glob patterns of their names; each pattern gets scores of its own.
    """
    cleaner = load_cleaner(weights)
    totals = by_pattern(score_pairs(cleaner, held), patterns)
    scores: dict[str, Any] = {f"pairs held out by {score.name}": _errors(score) for score in totals}
    for name, pictures in (("clean pages", False), ("clean pages, some with photographs", True)):
        pages = render_pages(np.random.default_rng(CHECK_SEED), CHECK_PAGES, pictures)
        clean = score_clean(cleaner, pages)
        scores[name] = {
            "pages": len(clean),
            "mean_change_grey_levels": round(float(np.mean([score.mean_change for score in clean])), 4),
            "largest_change_of_a_page": round(max(score.mean_change for score in clean), 4),
            "strokes": sum(score.strokes for score in clean),
            "strokes_lost": sum(score.strokes_lost for score in clean),
        }
    return scores


def _errors(score: PairScore) -> dict[str, float | str]:
    return {
        "name": score.name,
        "rmse_before": round(score.before.rmse, 5),
        "rmse_after": round(score.after.rmse, 5),
        "psnr_before": round(score.before.psnr, 2),
        "psnr_after": round(score.after.psnr, 2),
    }
