"""`pumice gallery`: trains the article's systems, draws them, and writes one page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress

from jobs.cli.train import progress_bar, read_pairs
from jobs.errors import InputError, PumiceError
from model.gallery.garments import DEBIAN, SIDE, Garments, load_garments
from model.gallery.page import figures_table, write_page
from model.gallery.studio import QUICK_IMAGES, Studio
from model.gallery.systems import SYSTEMS, exhibits
from model.images import DataFault
from model.markdown import replace_block
from model.network.weights import WeightsError
from model.training.cleaner_learner import TrainingFault
from model.training.loop import Progress as Told

BLOCK = "gallery"
"""What `--table` fills in."""

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class _Bars:
    """A bar a training."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars

    def begin(self, name: str, steps: int) -> Told:
        task = self._bars.add_task(name, total=steps, facts="")
        return lambda step, loss: self._bars.update(task, completed=step, facts=f"loss {loss:.4f}")


def gallery_command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help=f"Of {', '.join(SYSTEMS)}; else all.")
    ] = None,
    data: Annotated[Path, typer.Option(help="Folder with Fashion-MNIST's four .gz files.")] = DEBIAN,
    pairs: Annotated[
        list[Path] | None, typer.Option(help="Folder with noisy/ and clean/ (or gt/), for text and papers.")
    ] = None,
    hold_out: Annotated[
        list[str] | None, typer.Option(help="Pairs to score text on, by folder/name: '*/*Noisew*'.")
    ] = None,
    to: Annotated[Path, typer.Option("--out", help="Where trainings and the page go.")] = Path(
        "runs/gallery"
    ),
    table: Annotated[
        Path | None, typer.Option(help="Write the figures into the block `gallery` of this Markdown page.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="All randomness.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="A few steps, to see that all works.")] = False,
) -> None:
    """Train the article's autoencoders and draw what they do; goes on where it stopped."""
    chosen = _chosen(names or [], bool(pairs))
    page = _page_of(table)
    try:
        garments = _garments(data, chosen, quick)
        known, held = read_pairs(pairs or [], hold_out or [])
        with progress_bar("{task.description}") as bars:
            shown = exhibits(Studio(to, seed, quick, _Bars(bars), garments, known, held), chosen)
        about = _about(seed, quick)
        written = write_page(to, shown, about)
        if table:
            table.write_text(replace_block(page, BLOCK, figures_table(shown, about)), encoding="utf-8")
    except DataFault as error:
        raise InputError(str(error)) from error
    except (TrainingFault, WeightsError) as error:
        raise PumiceError(str(error)) from error
    except OSError as error:
        raise InputError(f"the results can't be written: {error}") from error
    out.print(f"Gallery: {written}", markup=False)


def _chosen(names: Sequence[str], pairs: bool) -> list[str]:
    """The systems to train; those that learn from pairs only where there are any, unless they are named."""
    unknown = [name for name in names if name not in SYSTEMS]
    if unknown:
        raise InputError(f"there is no system {unknown[0]}: there are {', '.join(SYSTEMS)}")
    wanting = [name for name, entry in SYSTEMS.items() if entry.on_pairs and not pairs]
    named = [name for name in names if name in wanting]
    if named:
        raise InputError(f"{named[0]} learns from pages: name a folder of pairs with --pairs")
    if not names and wanting:
        err.print(f"Left out, for want of --pairs: {', '.join(wanting)}.")
    return list(names) or [name for name in SYSTEMS if name not in wanting]


def _garments(folder: Path, chosen: Sequence[str], quick: bool) -> Garments:
    if any(not SYSTEMS[name].on_pairs for name in chosen):
        garments = load_garments(folder)
        return garments.some(QUICK_IMAGES) if quick else garments
    none = np.zeros((0, SIDE, SIDE), np.uint8)
    return Garments(none, none, none, np.zeros(0, np.uint8))


def _page_of(table: Path | None) -> str:
    """The text of the page whose block is to be filled in; refused now rather than after all the work."""
    if table is None:
        return ""
    try:
        text = table.read_text(encoding="utf-8")
        replace_block(text, BLOCK, "")
    except (OSError, ValueError) as error:
        raise InputError(f"--table can't be filled in: {error}") from error
    return text


def _about(seed: int, quick: bool) -> str:
    words = f"Trained and drawn by pumice gallery, seed {seed}."
    return f"{words} With --quick: a few steps, and figures that mean nothing." if quick else words
