"""`pumice evaluate`: weights scored on scans of known truth or text, as tables, JSON and a picture."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Column, Table

from jobs.errors import InputError
from model.cleaning.cleaner import Cleaner
from model.device import DeviceError
from model.images import DataFault
from model.network.weights import WeightsError, fingerprint
from model.scoring.cases import find_cases
from model.scoring.evaluate import Fidelity, PageScore, PairScore, evaluate, total_of_pages
from model.scoring.reading import TextScore
from model.scoring.tesseract import OcrFault, require_languages
from model.scoring.worst_pages import WorstPages
from model.shipped import CLEANER

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def evaluate_command(
    pairs: Annotated[
        Path, typer.Argument(help="Folder with noisy/ and clean/ (or gt/), or of images with transcriptions.")
    ],
    model: Annotated[Path, typer.Option(help="Weights to score.")] = CLEANER,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    ocr: Annotated[bool, typer.Option("--ocr", help="Score what Tesseract reads, too.")] = False,
    languages: Annotated[str, typer.Option(help="Of the text, as Tesseract names them: fra+lat.")] = "eng",
    save: Annotated[Path | None, typer.Option("--json", help="Write the scores to this file.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Draw the worst pages into this PNG.")] = None,
) -> None:
    """Score weights on a folder of pairs: how near to the truth, how well read, before and after cleaning."""
    _check_places(save, sheet)
    try:
        cases = find_cases(pairs, ocr)
        if ocr:
            require_languages(languages)
        worst, scores = WorstPages(), []
        pages = evaluate(Cleaner(model, device), cases, languages if ocr else None)
        for scored in track(pages, "scoring", total=len(cases), console=err, transient=True):
            scores.append(scored.score)
            worst.add(scored)
        report = {"weights": fingerprint(model), **_report(scores)}
    except (DataFault, WeightsError, DeviceError, OcrFault) as error:
        raise InputError(str(error)) from error
    for table in _tables([*scores, total_of_pages(scores)]):
        out.print(table)
    try:
        if save:
            save.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
        if sheet:
            worst.draw().save(sheet)
    except OSError as error:
        raise InputError(f"the results can't be written: {error}") from error


def _check_places(save: Path | None, sheet: Path | None) -> None:
    """Refuse now what could not be written after all the work."""
    for path in (save, sheet):
        if path and not path.parent.is_dir():
            raise InputError(f"{path} can't be written: there is no folder {path.parent}")
    if sheet and sheet.suffix.lower() != ".png":
        raise InputError(f"--sheet draws a PNG: name it {sheet.with_suffix('.png')}")


def _tables(scores: Sequence[PageScore]) -> list[Table]:
    """What is printed: a table each for all truths, for 1-bit truths and for text; without empty ones.

    Args:
        scores: the pages' and, last, the total.
    """
    images = [score.pair for score in scores if score.pair]
    texts = [score.text for score in scores if score.text]
    tables = [_image_table(images), _bitonal_table(images), _text_table(texts)]
    for table in tables:
        for row in table.rows[-2:-1]:
            row.end_section = True
    return [table for table in tables if table.row_count]


def _table(title: str, *columns: str) -> Table:
    """Empty; names are never cut short."""
    return Table(Column("page", overflow="fold"), *columns, title=f"{title}, before → after")


def _image_table(scores: Sequence[PairScore]) -> Table:
    table = _table("Against the truth", "RMSE", "PSNR, dB", "SSIM")
    for score in scores:
        before, after = score.before, score.after
        table.add_row(
            escape(score.name),
            f"{before.rmse:.4f} → {after.rmse:.4f}",
            f"{before.psnr:.1f} → {after.psnr:.1f}",
            f"{before.ssim:.4f} → {after.ssim:.4f}",
        )
    return table


def _bitonal_table(scores: Sequence[PairScore]) -> Table:
    table = _table("Cut at half grey, against 1-bit truths", "F, %", "pseudo-F, %", "PSNR, dB", "DRD")
    for score in scores:
        before, after = score.before.bitonal, score.after.bitonal
        if before and after:
            table.add_row(
                escape(score.name),
                f"{before.f_measure:.1f} → {after.f_measure:.1f}",
                f"{before.pseudo_f:.1f} → {after.pseudo_f:.1f}",
                f"{before.psnr:.1f} → {after.psnr:.1f}",
                f"{before.drd:.2f} → {after.drd:.2f}",
            )
    return table


def _text_table(scores: Sequence[TextScore]) -> Table:
    table = _table("Read by Tesseract", "CER", "characters", "reference")
    for score in scores:
        rates = f"{score.cer_before:.2%} → {score.cer_after:.2%}"
        table.add_row(escape(score.name), rates, f"{score.characters:,}", " and ".join(score.references))
    return table


def _report(scores: Sequence[PageScore]) -> dict[str, Any]:
    """What `--json` holds, beside the weights' hash."""
    return {"pages": [_as_dict(score) for score in scores], "total": _as_dict(total_of_pages(scores))}


def _as_dict(score: PageScore) -> dict[str, Any]:
    """A page's measures, without those it doesn't have."""
    before: dict[str, float | None] = {}
    after: dict[str, float | None] = {}
    page: dict[str, Any] = {"name": score.name, "before": before, "after": after}
    if score.pair:
        before |= _measures(score.pair.before)
        after |= _measures(score.pair.after)
    if score.text:
        before["cer"], after["cer"] = score.text.cer_before, score.text.cer_after
        page |= {"characters": score.text.characters, "references": list(score.text.references)}
    return page


def _measures(fidelity: Fidelity) -> dict[str, float | None]:
    """All by name; None for the infinite PSNR of a perfect page, which JSON can't hold."""
    measures = {"rmse": fidelity.rmse, "psnr": fidelity.psnr, "ssim": fidelity.ssim}
    if fidelity.bitonal:
        bitonal = asdict(fidelity.bitonal)
        measures |= bitonal | {"bitonal_psnr": bitonal.pop("psnr")}
    return {name: value if math.isfinite(value) else None for name, value in measures.items()}
