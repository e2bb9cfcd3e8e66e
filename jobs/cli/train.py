"""`pumice train`: the command line of the model wing that makes weights."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.console import err, out
from jobs.errors import InputError, PumiceError
from model.training.settings import FINE_TUNING_RATE, LEARNING_RATE, TrainingFault

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
    from jobs.cli.progress import training_bars
    from model.device import DeviceError
    from model.images import DataFault
    from model.network.article import ArticleConfig
    from model.network.autoencoder import AutoencoderConfig
    from model.network.weights import WeightsError, save_card
    from model.training.card import make_card, score_weights
    from model.training.cleaner_learner import CleanerSettings
    from model.training.cleaner_train import train
    from model.training.data import make_patches, read_pairs

    shape = AutoencoderConfig() if network is NetworkName.PUMICE else ArticleConfig()
    rate = learning_rate or (FINE_TUNING_RATE if init else LEARNING_RATE)
    config = CleanerSettings(steps, seed, rate, patience=patience, network=shape)
    try:
        known, held = read_pairs(pairs or [], hold_out or [])
        data = make_patches(known, clean or [], seed)
        with training_bars(err) as bars:
            weights = train(data, config, to, init, held, bars.begin("training", steps))
        card = make_card(weights, config, init, [*(pairs or []), *(clean or [])], sys.argv[1:])
        card["scores"] = score_weights(weights, held, hold_out or [])
    except (DataFault, WeightsError) as error:
        raise InputError(str(error)) from error
    except (TrainingFault, DeviceError) as error:
        raise PumiceError(str(error)) from error
    save_card(weights, card)
    out.print_json(json.dumps(card["scores"]))
    out.print(f"Weights: {weights}, for pumice clean --model", markup=False)
