"""What a person sees: the bar, the lines of a log, the plan and the summary."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from jobs.cli import progress
from jobs.cli.print_run import megabytes, print_plan, print_summary
from jobs.cli.progress import ProgressBar
from jobs.driver.job import RunSummary
from jobs.ledger.plan import Plan, Shard
from jobs.shard.meter import Progress
from jobs.stores.base import ObjectInfo

PLAN = Plan((Shard("box[1].tar", "tar", (ObjectInfo("box[1].tar", 2_000_000, "v"),)),), 3, ("gone.zip",))
SUMMARY = RunSummary(
    run_id="r", shards=1, done_before=3, kept=2, pages=10, cleaned=7, passed_through=2, failed=1, damaged=1,
    pixels=20_000_000, bytes_in=2_000_000, bytes_out=1_500_000_000, quarantined=(("bad.tar", "it [died]"),),
    unfinished=(("new.tar", "it changed"),), gone=("gone.zip", "b.zip"), seconds=2.0, by_others=4,
    elsewhere=("big.tar",),
)  # fmt: skip


def console(terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120, highlight=False, soft_wrap=True)


def text(shown: Console) -> str:
    assert isinstance(shown.file, io.StringIO)
    return shown.file.getvalue()


def test_a_terminal_shows_pages_speed_and_time_left() -> None:
    shown = console(terminal=True)
    with ProgressBar(shown) as bar:
        bar.planned(PLAN)
        bar.progressed(Progress(pages=5, pixels=10_000_000, bytes_read=1_000_000))
        bar._bar.refresh()
    seen = text(shown)
    assert "1 shards to clean (2.0 MB), 3 done before" in seen
    assert "50%" in seen and "5 pages" in seen and "pages/s" in seen and "MPixel/s" in seen


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LOG_EVERY_S", 0)
    shown = console()
    with ProgressBar(shown) as bar:
        bar.planned(PLAN)
        bar.progressed(Progress(pages=5, pixels=10_000_000, bytes_read=9_000_000))
    assert text(shown).splitlines()[1].startswith("100%  5 pages")


def test_nothing_to_do_shows_no_bar() -> None:
    shown = console(terminal=True)
    with ProgressBar(shown) as bar:
        bar.planned(Plan((), 4, ()))
    assert text(shown) == ""


def test_the_plan_names_shards_as_they_are_called() -> None:
    shown = console()
    print_plan(shown, PLAN)
    assert text(shown).splitlines() == [
        "box[1].tar  tar, 2.0 MB",
        "1 shards to clean (2.0 MB), 3 done before.",
        "Gone from the source, results kept: gone.zip",
    ]


def test_the_summary_names_everything_that_did_not_go_well() -> None:
    shown = console()
    print_summary(shown, SUMMARY, "s3://b/cleaned/")
    assert text(shown).splitlines() == [
        "10 pages in 1 shards: 7 cleaned, 2 passed through, 1 failed.",
        "2.0 s: 5.0 pages/s, 10.0 MPixel/s; 2.0 MB in, 1.5 GB out.",
        "1 damaged archives were copied as they are.",
        "Quarantined: bad.tar: it [died]",
        "Left for the next run: new.tar: it changed",
        "4 shards were done by runs beside this one.",
        "Report: s3://b/cleaned/_pumice/reports",
        "1 shards are still in work in a run beside this one.",
        "2 shards are another recipe's results: --recipe-changed redo does them again.",
        "Gone from the source, results kept: gone.zip and 1 more",
    ]
    assert SUMMARY.exit_code == 3


def test_exit_codes_follow_what_happened() -> None:
    fine = replace(SUMMARY, failed=0, quarantined=(), unfinished=())
    assert fine.exit_code == 0
    assert replace(fine, quarantined=(("a", "b"),)).exit_code == 3
    assert replace(fine, unfinished=(("a", "b"),)).exit_code == 3


def test_sizes_for_people() -> None:
    assert [megabytes(size) for size in (0, 12_345_678, 4_500_000_000)] == ["0.0 MB", "12.3 MB", "4.5 GB"]
