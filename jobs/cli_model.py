"""`pumice train` and `pumice evaluate`: the command line of the model wing."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from jobs.errors import InputError, PumiceError
from model.cleaner import Cleaner, DeviceError
from model.data import DataFault, Pair, Patches, hold_out, load_clean_pages, load_pairs, render_pages
from model.evaluate import PairScore, by_pattern, score_clean, score_pairs, total
from model.train import TrainConfig, TrainingFault, train
from model.weights import ARCHITECTURE, SHIPPED, WeightsError, fingerprint, load_weights, save_card

CLEAN_PAGES = 150
RENDERED_PAGES = 120
CHECK_PAGES = 12
CHECK_SEED = 10_000
"""Clean pages for the card's scores are drawn from another seed than those for training."""

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def train_command(
    pairs: Annotated[list[Path] | None, typer.Option(help="Folder with noisy/ and clean/ (or gt/).")] = None,
    clean: Annotated[list[Path] | None, typer.Option(help="Folder of clean images or PDFs.")] = None,
    hold_out_: Annotated[
        list[str] | None, typer.Option("--hold-out", help="Pairs never trained on, by name: '*Noisew*'.")
    ] = None,
    to: Annotated[Path, typer.Option("--out", help="Where checkpoints and weights go.")] = Path("runs/train"),
    init: Annotated[Path | None, typer.Option(help="Weights to start from.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Batches to learn from.")] = 12_000,
    seed: Annotated[int, typer.Option(help="All randomness.")] = 0,
) -> None:
    """Make weights from pairs and from clean pages that are damaged by code; goes on where it stopped."""
    try:
        known, held = _read_pairs(pairs or [], hold_out_ or [])
        rng = np.random.default_rng(seed)
        pages = [page for folder in clean or [] for page in load_clean_pages(folder, rng, CLEAN_PAGES)]
        pages += render_pages(rng, RENDERED_PAGES)
        config = TrainConfig(steps=steps, seed=seed)
        with _progress("training") as bar:
            task = bar.add_task("", total=steps, facts="")
            weights = train(
                Patches(known, pages, seed), config, to, init,
                lambda step, loss: bar.update(task, completed=step, facts=f"loss {loss:.4f}"),
            )  # fmt: skip
        card = _card(weights, config, [*(pairs or []), *(clean or [])])
        card["scores"] = _scores(Cleaner(weights), held, hold_out_ or [])
    except (DataFault, WeightsError) as error:
        raise InputError(str(error)) from error
    except (TrainingFault, DeviceError) as error:
        raise PumiceError(str(error)) from error
    save_card(weights, card)
    out.print_json(json.dumps(card["scores"]))
    out.print(f"Weights: {weights}, for pumice clean --model", markup=False)


def evaluate_command(
    pairs: Annotated[Path, typer.Argument(help="Folder with noisy/ and clean/ (or gt/).")],
    model: Annotated[Path, typer.Option(help="Weights to score.")] = SHIPPED,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    save: Annotated[Path | None, typer.Option("--json", help="Write the scores to a file as well.")] = None,
) -> None:
    """Score weights on a folder of pairs: error to the truth before and after cleaning."""
    try:
        loaded = load_pairs(pairs)
        cleaner = Cleaner(model, device)
        with _progress("scoring") as bar:
            task = bar.add_task("", total=len(loaded), facts="")
            scores = score_pairs(cleaner, loaded, lambda score: bar.update(task, advance=1, facts=score.name))
    except (DataFault, WeightsError, DeviceError) as error:
        raise InputError(str(error)) from error
    out.print(_table(scores))
    if save:
        save.write_text(json.dumps([_as_dict(score) for score in [*scores, total(scores)]], indent=1) + "\n")


def _read_pairs(folders: Sequence[Path], patterns: Sequence[str]) -> tuple[list[Pair], list[Pair]]:
    pairs = [pair for folder in folders for pair in load_pairs(folder)]
    known, held = hold_out(pairs, patterns)
    if pairs and not known:
        raise InputError("--hold-out holds all pairs out: none are left to learn from")
    if patterns and not held:
        raise InputError(f"--hold-out {' '.join(patterns)} matches none of the pairs: check the patterns")
    return known, held


def _card(weights: Path, config: TrainConfig, folders: Sequence[Path]) -> dict[str, Any]:
    """What these weights are and how they were made; no paths of this machine."""
    words = [word.rsplit("/", 1)[-1] if "/" in word else word for word in sys.argv[1:]]
    return {
        "architecture": ARCHITECTURE,
        "network": {"shuffle": config.network.shuffle, "widths": list(config.network.widths)},
        "parameters": sum(tensor.numel() for tensor in load_weights(weights).parameters()),
        "sha256": fingerprint(weights),
        "command": f"pumice {shlex.join(words)}",
        "data": [folder.name for folder in folders] + [f"{RENDERED_PAGES} pages drawn by model.render"],
        "seed": config.seed,
        "steps": config.steps,
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
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


def _table(scores: list[PairScore]) -> Table:
    table = Table("page", "RMSE before", "after", "PSNR before", "after")
    for score in [*scores, total(scores)]:
        table.add_row(
            score.name, f"{score.rmse_before:.4f}", f"{score.rmse_after:.4f}",
            f"{score.psnr_before:.1f} dB", f"{score.psnr_after:.1f} dB",
        )  # fmt: skip
    return table


def _progress(what: str) -> Progress:
    return Progress(
        TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[facts]}"),
        TimeRemainingColumn(compact=True), console=err,
    )  # fmt: skip
