"""The command line: it parses, calls `jobs.api`, prints, and turns errors into one sentence and a code."""

import logging
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from typer.exceptions import TyperException

from jobs import api
from jobs.cli_evaluate import evaluate_command
from jobs.cli_gallery import gallery_command
from jobs.cli_ledger import gc_command, report_command, resume_command, status_command, verify_command
from jobs.cli_model import train_command
from jobs.cli_review import review_app
from jobs.config import CleanOptions, load_options
from jobs.errors import InputError, Interrupted, PumiceError
from jobs.progress import ProgressBar
from jobs.summary import print_plan, print_summary

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

app = typer.Typer(
    help="Pumice cleans scan archives: DST becomes the cleaned mirror of SRC.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Place = Annotated[str, typer.Argument(help="A folder or s3://bucket/prefix.")]


@app.command()
def clean(
    src: Place,
    dst: Place,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would be done.")] = False,
    model: Annotated[
        Path | None, typer.Option(help="Weights to clean with; the shipped ones if not given.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    address: Annotated[str | None, typer.Option(help="A Ray cluster to join; else Ray runs here.")] = None,
    gpus_per_actor: Annotated[float | None, typer.Option(help="A cleaner's share of a GPU, up to 1.")] = None,
    max_attempts: Annotated[int | None, typer.Option(help="Tries at a shard before it is set aside.")] = None,
    shard_timeout: Annotated[
        float | None, typer.Option(help="Seconds without progress after which a shard is tried anew; 900.")
    ] = None,
    max_failed_pages: Annotated[
        float | None, typer.Option(help="Share of a shard's pages that may fail, 0 to 1; 0.5.")
    ] = None,
    recipe_changed: Annotated[str | None, typer.Option(help="keep (default) or redo old results.")] = None,
    on_suspicion: Annotated[
        str | None, typer.Option(help="Pages that may have lost ink: flag (default), keep-original or blend.")
    ] = None,
    join: Annotated[bool, typer.Option("--join", help="Share the work of a run that is at it.")] = False,
    config: Annotated[Path | None, typer.Option(help="A TOML file with these options.")] = None,
) -> None:
    """Make DST the cleaned mirror of SRC: new and changed pages are cleaned, nothing is done twice."""
    given = {
        "model": model, "device": device, "address": address, "gpus_per_actor": gpus_per_actor,
        "max_attempts": max_attempts, "shard_timeout": shard_timeout, "max_failed_pages": max_failed_pages,
        "recipe_changed": recipe_changed, "on_suspicion": on_suspicion,
    }  # fmt: skip
    options = load_options(config, {key: value for key, value in given.items() if value is not None})
    if plan:
        print_plan(out, api.plan(src, dst, options))
        return
    with ProgressBar(err) as bar:
        summary = api.clean(src, dst, options, bar, join=join)
    print_summary(out, summary, dst)
    raise typer.Exit(summary.exit_code)


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where to put it.")] = Path("pumice-demo"),
) -> None:
    """Make a small damaged archive, clean it, and show where to look."""
    from jobs.demo import make_archive, make_contact_sheet  # noqa: PLC0415 - drawing pages is of no use elsewhere

    source, destination, sheet = folder / "damaged", folder / "cleaned", folder / "before-after.png"
    out.print("Drawing and damaging a small archive ...")
    make_archive(source)
    with ProgressBar(err) as bar:
        summary = api.clean(str(source), str(destination), CleanOptions(), bar)
    print_summary(out, summary, str(destination))
    make_contact_sheet(source, destination, sheet)
    out.print(f"\nCleaned pages  {destination}")
    out.print(f"Report         {destination / '_pumice' / 'reports'}  (Parquet, one row a page)")
    out.print(f"Before/after   {sheet}")
    out.print("One page is broken on purpose: it was copied as it is, and its row says why.")


app.command("resume")(resume_command)
app.command("status")(status_command)
app.command("report")(report_command)
app.command("verify")(verify_command)
app.add_typer(review_app, name="review")
app.command("gc")(gc_command)
app.command("train")(train_command)
app.command("evaluate")(evaluate_command)
app.command("gallery")(gallery_command)


def main() -> NoReturn:
    """Run the command line; exits with the codes that ARCHITECTURE.md lists."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = app(standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort, Interrupted):
        err.print("Interrupted: the same command goes on where this run stopped.")
        code = Interrupted.exit_code
    except TyperException as error:
        err.print(f"pumice: {error.format_message()} See pumice --help.", markup=False)
        code = InputError.exit_code
    except PumiceError as error:
        err.print(f"pumice: {error}", markup=False)
        code = error.exit_code
    sys.exit(code)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise Interrupted("SIGTERM")
