"""`pumice gallery`: trains the article's systems, draws them, and writes one page."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.cli.console import err, out
from jobs.errors import InputError, PumiceError
from model.gallery.systems import FASHION_MNIST, SYSTEMS, Data
from model.markdown import replace_block
from model.training.settings import TrainingFault

if TYPE_CHECKING:
    from model.gallery.studio import Exhibit

BLOCK = "gallery"
"""The block that `--table` replaces."""

OUT = Path("runs/gallery")


def gallery_command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help=f"Of {', '.join(SYSTEMS)}; else all.")
    ] = None,
    data: Annotated[Path, typer.Option(help="Folder with Fashion-MNIST's four .gz files.")] = FASHION_MNIST,
    pairs: Annotated[
        list[Path] | None, typer.Option(help="Folder with noisy/ and clean/ (or gt/), for text and papers.")
    ] = None,
    hold_out: Annotated[
        list[str] | None, typer.Option(help="Pairs to score text on, by folder/name: '*/*Noisew*'.")
    ] = None,
    to: Annotated[Path, typer.Option("--out", help="Folder for the trainings and the page.")] = OUT,
    table: Annotated[
        Path | None, typer.Option(help="Write the figures into the block `gallery` of this Markdown page.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Take only a few steps, to try it out.")] = False,
) -> None:
    """Train the article's autoencoders and draw what they do; continues trainings that stopped."""
    from model.gallery.page import figures_table, write_page
    from model.images import DataFault
    from model.network.weights import WeightsError

    chosen = _chosen(names or [], bool(pairs))
    page = _page_of(table)
    try:
        shown = _exhibits(chosen, data, pairs or [], hold_out or [], to, seed, quick)
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


def _exhibits(
    chosen: Sequence[str], data: Path, pairs: Sequence[Path], hold_out: Sequence[str], to: Path, seed: int,
    quick: bool,
) -> "dict[str, Exhibit]":  # fmt: skip
    """Train the chosen systems, or continue their trainings."""
    from jobs.cli.progress import training_bars
    from model.gallery.exhibits import exhibits, garments_for
    from model.gallery.studio import Studio
    from model.training.data import read_pairs

    garments = garments_for(chosen, data, quick)
    known, held = read_pairs(pairs, hold_out)
    with training_bars(err) as bars:
        return exhibits(Studio(to, seed, quick, bars, garments, known, held), chosen)


def _chosen(names: Sequence[str], has_pairs: bool) -> list[str]:
    """The named systems, or all; without pairs, all but those that learn from pairs."""
    unknown = [name for name in names if name not in SYSTEMS]
    if unknown:
        raise InputError(f"there is no system {unknown[0]}: there are {', '.join(SYSTEMS)}")
    impossible = [name for name, data in SYSTEMS.items() if data is Data.PAIRS and not has_pairs]
    named = [name for name in names if name in impossible]
    if named:
        raise InputError(f"{named[0]} learns from pages: name a folder of pairs with --pairs")
    if not names and impossible:
        err.print(f"Left out, as there are no --pairs: {', '.join(impossible)}.")
    return list(names) or [name for name in SYSTEMS if name not in impossible]


def _page_of(table: Path | None) -> str:
    """The text of the page whose block will be replaced; refused now rather than after all the work."""
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
