"""`pumice train`: the command line of the model wing that makes weights."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.cli.console import err, out
from jobs.errors import InputError, PumiceError
from model.training.settings import FINE_TUNING_RATE, LEARNING_RATE, TrainingFault

if TYPE_CHECKING:
    from model.training.cleaner_learner import CleanerSettings

_RATES = f"{LEARNING_RATE}, with --init {FINE_TUNING_RATE}; a lower rate keeps more of what --init knows"


class NetworkName(StrEnum):
    """What `pumice train --network` takes."""

    PUMICE = "pumice"
    ARTICLE = "article"


def train_command(
    pairs: Annotated[list[Path] | None, typer.Option(help="Folder with noisy/ and clean/ (or gt/).")] = None,
    clean: Annotated[list[Path] | None, typer.Option(help="Folder of clean images or PDFs.")] = None,
    hold_out: Annotated[
        list[str] | None, typer.Option(help="Pairs never trained on, by folder/name: '*/*Noisew*'.")
    ] = None,
    to: Annotated[Path, typer.Option("--out", help="Folder for checkpoints and weights.")] = Path(
        "runs/train"
    ),
    init: Annotated[Path | None, typer.Option(help="Weights to start from (fine-tuning).")] = None,
    network: Annotated[NetworkName, typer.Option(help="Pumice's own, or the article's to compare with.")] = (
        NetworkName.PUMICE
    ),
    steps: Annotated[int, typer.Option(min=1, help="Batches to learn from.")] = 12_000,
    patience: Annotated[
        int, typer.Option(min=1, help="Stop after this many checks on held-out pairs without a better one.")
    ] = 8,
    learning_rate: Annotated[
        float | None, typer.Option(min=1e-6, max=0.1, show_default=False, help=f"The highest rate; {_RATES}.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all random numbers.")] = 0,
) -> None:
    """Make weights from pairs and from clean pages that code damages; continues a training that stopped."""
    from model.device import DeviceError
    from model.images import DataFault
    from model.network.weights import WeightsError, save_card

    rate = learning_rate or (FINE_TUNING_RATE if init else LEARNING_RATE)
    config = _settings(network, steps, seed, rate, patience)
    try:
        weights, card = _trained(config, pairs or [], clean or [], hold_out or [], to, init)
    except (DataFault, WeightsError) as error:
        raise InputError(str(error)) from error
    except (TrainingFault, DeviceError) as error:
        raise PumiceError(str(error)) from error
    save_card(weights, card)
    out.print_json(json.dumps(card["scores"]))
    out.print(f"Weights: {weights}, for pumice clean --model", markup=False)


def _settings(network: NetworkName, steps: int, seed: int, rate: float, patience: int) -> "CleanerSettings":
    from model.network.article import ArticleConfig
    from model.network.autoencoder import AutoencoderConfig
    from model.training.cleaner_learner import CleanerSettings

    shape = AutoencoderConfig() if network is NetworkName.PUMICE else ArticleConfig()
    return CleanerSettings(steps, seed, rate, patience=patience, network=shape)


def _trained(
    config: "CleanerSettings", pairs: list[Path], clean: list[Path], hold_out: list[str], to: Path,
    init: Path | None,
) -> tuple[Path, dict[str, Any]]:  # fmt: skip
    """Train, or continue the training in `to`; the path of the weights, and their card with scores."""
    from jobs.cli.progress import training_bars
    from model.training.card import make_card, score_weights
    from model.training.cleaner_train import train
    from model.training.data import make_patches, read_pairs

    known, held = read_pairs(pairs, hold_out)
    data = make_patches(known, clean, config.seed)
    with training_bars(err) as bars:
        weights = train(data, config, to, init, held, bars.begin("training", config.steps))
    card = make_card(weights, config, init, [*pairs, *clean], sys.argv[1:])
    card["scores"] = score_weights(weights, held, hold_out)
    return weights, card
