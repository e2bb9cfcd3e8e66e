"""`pumice evaluate`: weights scored on scans whose truth or text is known, as tables, JSON and a picture."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.cli.console import err, out
from jobs.errors import InputError
from model.shipped import CLEANER

if TYPE_CHECKING:
    from model.scoring.evaluate import PageScore
    from model.scoring.worst_pages import WorstPages


def evaluate_command(
    pairs: Annotated[
        Path, typer.Argument(help="Folder with noisy/ and clean/ (or gt/), or of images with transcriptions.")
    ],
    model: Annotated[Path, typer.Option(help="Weights to score.")] = CLEANER,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    ocr: Annotated[bool, typer.Option("--ocr", help="Also score the text that Tesseract reads.")] = False,
    languages: Annotated[str, typer.Option(help="Of the text, as Tesseract names them: fra+lat.")] = "eng",
    save: Annotated[Path | None, typer.Option("--json", help="Write the scores to this file.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Draw the worst pages into this PNG.")] = None,
) -> None:
    """Score weights on a folder of pairs: how near to the truth, how well read, before and after cleaning."""
    from jobs.cli.print_scores import print_scores
    from model.device import DeviceError
    from model.images import DataFault
    from model.network.weights import WeightsError, fingerprint
    from model.scoring.report import as_json
    from model.scoring.tesseract import OcrFault

    _check_places(save, sheet)
    try:
        scores, worst = _scored(pairs, model, device, languages if ocr else None)
        report = {"weights": fingerprint(model), **as_json(scores)}
    except (DataFault, WeightsError, DeviceError, OcrFault) as error:
        raise InputError(str(error)) from error
    print_scores(out, scores)
    try:
        if save:
            save.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
        if sheet:
            worst.draw().save(sheet)
    except OSError as error:
        raise InputError(f"the results can't be written: {error}") from error


def _scored(
    pairs: Path, model: Path, device: str, languages: str | None
) -> tuple[list["PageScore"], "WorstPages"]:
    """Score all pages; text only where `languages` are given."""
    from rich.progress import track

    from model.cleaning.cleaner import load_cleaner
    from model.scoring.cases import find_cases
    from model.scoring.evaluate import evaluate
    from model.scoring.tesseract import require_languages
    from model.scoring.worst_pages import WorstPages

    cases = find_cases(pairs, languages is not None)
    if languages is not None:
        require_languages(languages)
    worst, scores = WorstPages(), []
    pages = evaluate(load_cleaner(model, device), cases, languages)
    for scored in track(pages, "scoring", total=len(cases), console=err, transient=True):
        scores.append(scored.score)
        worst.add(scored)
    return scores, worst


def _check_places(save: Path | None, sheet: Path | None) -> None:
    """Refuse, before all the work, files that can't be written after it."""
    for path in (save, sheet):
        if path and not path.parent.is_dir():
            raise InputError(f"{path} can't be written: there is no folder {path.parent}")
    if sheet and sheet.suffix.lower() != ".png":
        raise InputError(f"--sheet draws a PNG: name it {sheet.with_suffix('.png')}")
