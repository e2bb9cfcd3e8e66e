"""The command line: it parses, calls `jobs.api`, prints; an error becomes one sentence and an exit code."""

import gc
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from jobs import api, logs
from jobs.cli.console import err, out
from jobs.cli.evaluate import evaluate_command
from jobs.cli.gallery import gallery_command
from jobs.cli.options import Join, Place, takes_options
from jobs.cli.print_run import print_plan, print_summary
from jobs.cli.review import review_app
from jobs.cli.submit import jobs_command, submit_command
from jobs.cli.train import train_command
from jobs.cli.upkeep import gc_command, report_command, resume_command, status_command, verify_command
from jobs.config import CleanOptions
from jobs.errors import InputError, Interrupted, PumiceError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        out.print(f"pumice {version('pumice')}")
        raise typer.Exit


@app.callback()
def pumice(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version.")
    ] = False,
) -> None:
    """Pumice cleans scan archives: DST becomes the cleaned mirror of SRC."""


@app.command()
@takes_options()
def clean(
    src: Place,
    dst: Place,
    options: CleanOptions,
    plan: Annotated[bool, typer.Option("--plan", help="Only print what would be done.")] = False,
    join: Join = False,
) -> None:
    """Make DST the cleaned mirror of SRC: new and changed pages are cleaned, nothing is done twice."""
    from jobs.cli.progress import ProgressBar

    if plan:
        print_plan(out, api.plan(src, dst, options))
        return
    with ProgressBar(err) as bar:
        summary = api.clean(src, dst, options, bar, join=join)
    print_summary(out, summary, dst)
    raise typer.Exit(summary.exit_code)


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="The folder to write into.")] = Path("pumice-demo"),
) -> None:
    """Draw a small damaged archive, clean it, and say where the results are."""
    from jobs.cli.demo import make_archive, make_contact_sheet
    from jobs.cli.progress import ProgressBar

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


app.command("submit")(submit_command)
app.command("jobs")(jobs_command)
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
    """Run the command line; exits with the codes that README.md lists."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        logs.configure(err)
        code = app(standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort, Interrupted):
        logs.tell(err, "Interrupted: the same command goes on where this run stopped.")
        code = Interrupted.exit_code
    except TyperException as error:
        logs.tell(err, f"pumice: {error.format_message()} See pumice --help.")
        code = InputError.exit_code
    except PumiceError as error:
        logs.tell(err, f"pumice: {error}")
        code = error.exit_code
    gc.freeze()  # a tenth of a second: Python's last collections need not visit all that was imported
    sys.exit(code)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise Interrupted("SIGTERM")
