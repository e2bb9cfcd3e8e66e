"""The progress of a run: a bar on a terminal, otherwise a line every LOG_EVERY_S seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from jobs.cli.print_run import megabytes

if TYPE_CHECKING:
    from jobs.ledger.plan import Plan
    from jobs.shard.meter import Progress

LOG_EVERY_S = 15.0


class ProgressBar:
    """Shows pages, pages/s, megapixels/s and the time left; a context manager and a watcher of runs.

    The bar counts bytes of the source, because the number of pages is not known beforehand.
    """

    def __init__(self, console: Console) -> None:
        """Show nothing until a plan has something to do."""
        self._console = console
        self._bar = Bars(
            TextColumn("cleaning"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f}%"),
            TextColumn("{task.fields[facts]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._size = 0
        self._begun = self._logged = time.monotonic()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:  # one that was never begun would end in an empty line
            self._bar.stop()

    def planned(self, plan: Plan) -> None:
        """Print what there is to do, and start the bar."""
        if not plan.todo:
            return
        self._console.print(
            f"{len(plan.todo)} shards to clean ({megabytes(plan.size)}), {plan.done} done before"
        )
        self._size = plan.size
        self._begun = time.monotonic()
        if self._console.is_terminal:
            self._task = self._bar.add_task("clean", total=max(1, plan.size), facts="starting")
            self._bar.start()

    def progressed(self, progress: Progress) -> None:
        """Move the bar, or print a line if the last one is old enough."""
        seconds = max(1e-3, time.monotonic() - self._begun)
        facts = (
            f"{progress.pages:,} pages  {progress.pages / seconds:.1f} pages/s  "
            f"{progress.pixels / seconds / 1e6:.1f} MPixel/s"
        )
        if self._task is not None:
            self._bar.update(self._task, completed=min(progress.bytes_read, self._size), facts=facts)
        elif time.monotonic() - self._logged > LOG_EVERY_S:
            self._logged = time.monotonic()
            self._console.print(f"{min(1.0, progress.bytes_read / max(1, self._size)):.0%}  {facts}")


@contextmanager
def counting(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that counts things; yields a function to be called with the number done and the total."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


class TrainingBars:
    """Adds a bar for each training; a `model.gallery.studio.Watcher`."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars

    def begin(self, name: str, steps: int) -> Callable[[int, float], None]:
        """Add a bar; returns the function that moves it, to be called with the step and the loss."""
        task = self._bars.add_task(name, total=steps, facts="")
        return lambda step, loss: self._bars.update(task, completed=step, facts=f"loss {loss:.4f}")


@contextmanager
def training_bars(console: Console) -> Iterator[TrainingBars]:
    """Bars for trainings, one below the other."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TextColumn("{task.fields[facts]}"), TimeRemainingColumn(compact=True))  # fmt: skip
    with Bars(*columns, console=console) as bars:
        yield TrainingBars(bars)
