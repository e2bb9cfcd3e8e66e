"""`pumice train`: the command line of the model wing that makes weights."""

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jobs.errors import InputError, PumiceError
from model.cleaning.cleaner import Cleaner
from model.device import DeviceError
from model.images import DataFault
from model.network.article import ArticleConfig
from model.network.autoencoder import AutoencoderConfig
from model.network.registry import architecture_of
from model.network.weights import WeightsError, fingerprint, load_card, load_weights, save_card
from model.page import Pair
from model.scoring.evaluate import PairScore, by_pattern, score_clean, score_pairs
from model.training.cleaner_learner import TrainConfig, TrainingFault
from model.training.cleaner_samples import Patches
from model.training.cleaner_train import train
from model.training.data import hold_out, load_clean_pages, load_pairs, render_pages

CLEAN_PAGES = 120
RENDERED_PAGES = 200
LEARNING_RATE, FINE_TUNING_RATE = 2e-3, 1e-3
_RATES = f"{LEARNING_RATE}, with --init {FINE_TUNING_RATE}; a lower one keeps more of what --init knows"
CHECK_PAGES = 12
CHECK_SEED = 10_000
"""Clean pages for the card's scores are drawn from another seed than those for training."""


class NetworkName(StrEnum):
    """What `pumice train --network` takes."""

    PUMICE = "pumice"
    ARTICLE = "article"


out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def train_command(
    pairs: Annotated[list[Path] | None, typer.Option(help="Folder with noisy/ and clean/ (or gt/).")] = None,
    clean: Annotated[list[Path] | None, typer.Option(help="Folder of clean images or PDFs.")] = None,
    hold_out_: Annotated[
        list[str] | None,
        typer.Option("--hold-out", help="Pairs never trained on, by folder/name: '*/*Noisew*'."),
    ] = None,
    to: Annotated[Path, typer.Option("--out", help="Where checkpoints and weights go.")] = Path("runs/train"),
    init: Annotated[Path | None, typer.Option(help="Weights to start from (fine-tuning).")] = None,
    network: Annotated[NetworkName, typer.Option(help="Pumice's own, or the article's to compare with.")] = (
        NetworkName.PUMICE
    ),
    steps: Annotated[int, typer.Option(min=1, help="Batches to learn from.")] = 12_000,
    patience: Annotated[
        int, typer.Option(min=1, help="Stop after so many checks on held-out pairs without a better one.")
    ] = 8,
    learning_rate: Annotated[
        float | None, typer.Option(min=1e-6, max=0.1, show_default=False, help=f"The cycle's peak; {_RATES}.")
    ] = None,
    seed: Annotated[int, typer.Option(help="All randomness.")] = 0,
) -> None:
    """Make weights from pairs and from clean pages that are damaged by code; goes on where it stopped."""
    config = _config(network, steps, seed, patience, learning_rate, init)
    try:
        known, held = read_pairs(pairs or [], hold_out_ or [])
        data = _patches(known, clean or [], seed)
        with progress_bar("training") as bar:
            task = bar.add_task("", total=steps, facts="")
            weights = train(
                data, config, to, init, held,
                lambda step, loss: bar.update(task, completed=step, facts=f"loss {loss:.4f}"),
            )  # fmt: skip
        card = _card(weights, config, [*(pairs or []), *(clean or [])], init)
        card["scores"] = _scores(Cleaner(weights), held, hold_out_ or [])
    except (DataFault, WeightsError) as error:
        raise InputError(str(error)) from error
    except (TrainingFault, DeviceError) as error:
        raise PumiceError(str(error)) from error
    save_card(weights, card)
    _tell(weights, card)


def _tell(weights: Path, card: dict[str, Any]) -> None:
    out.print_json(json.dumps(card["scores"]))
    out.print(f"Weights: {weights}, for pumice clean --model", markup=False)


def read_pairs(folders: Sequence[Path], patterns: Sequence[str]) -> tuple[list[Pair], list[Pair]]:
    """The pairs of all folders, named `folder/name`: those to learn from, and those that patterns hold out.

    Raises:
        DataFault: a folder holds no pairs that can be read.
        InputError: nothing is left to learn from, or the patterns match nothing.
    """
    pairs = [
        replace(pair, name=f"{folder.name}/{pair.name}") for folder in folders for pair in load_pairs(folder)
    ]
    known, held = hold_out(pairs, patterns)
    if pairs and not known:
        raise InputError("--hold-out holds all pairs out: none are left to learn from")
    if patterns and not held:
        raise InputError(f"--hold-out {' '.join(patterns)} matches none of the pairs: check the patterns")
    return known, held


def _config(
    network: NetworkName, steps: int, seed: int, patience: int, rate: float | None, init: Path | None
) -> TrainConfig:
    shape = AutoencoderConfig() if network is NetworkName.PUMICE else ArticleConfig()
    rate = rate or (FINE_TUNING_RATE if init else LEARNING_RATE)
    return TrainConfig(steps, seed, rate, patience=patience, network=shape)


def _patches(known: Sequence[Pair], clean: Sequence[Path], seed: int) -> Patches:
    rng = np.random.default_rng(seed)
    pages = [page for folder in clean for page in load_clean_pages(folder, rng, CLEAN_PAGES)]
    return Patches(known, pages + render_pages(rng, RENDERED_PAGES), seed)


def _card(weights: Path, config: TrainConfig, folders: Sequence[Path], init: Path | None) -> dict[str, Any]:
    """What these weights are and how they were made, and those they began from; no paths of this machine."""
    words = [Path(word).name if Path(word).exists() else word for word in sys.argv[1:]]
    model = load_weights(weights)
    return {
        "architecture": architecture_of(model),
        "network": asdict(model.config),
        "parameters": sum(tensor.numel() for tensor in model.parameters()),
        "sha256": fingerprint(weights),
        "command": f"pumice {shlex.join(words)}",
        "data": [folder.name for folder in folders]
        + [f"{RENDERED_PAGES} pages drawn by model.drawing.pages"],
        "seed": config.seed,
        "steps": config.steps,
        "learning_rate": config.learning_rate,
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "init": load_card(init) if init else None,
    }


def _scores(cleaner: Cleaner, held: Sequence[Pair], patterns: Sequence[str]) -> dict[str, Any]:
    """Errors on each kind of held-out pairs, and what happens to clean pages."""
    totals = by_pattern(score_pairs(cleaner, held), patterns)
    scores: dict[str, Any] = {f"pairs held out by {score.name}": _as_dict(score) for score in totals}
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


def _as_dict(score: PairScore) -> dict[str, float | str]:
    return {
        "name": score.name,
        "rmse_before": round(score.rmse_before, 5),
        "rmse_after": round(score.rmse_after, 5),
        "psnr_before": round(score.psnr_before, 2),
        "psnr_after": round(score.psnr_after, 2),
    }


def progress_bar(what: str) -> Progress:
    """A bar for steps, with `facts` beside it; `what` may be a format of rich's."""
    return Progress(
        TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[facts]}"),
        TimeRemainingColumn(compact=True), console=err,
    )  # fmt: skip
