"""The findings on a terminal of 80 columns."""

import io

from rich.console import Console

from jobs.cli.print_report import print_findings
from jobs.report.findings import Findings, PageFigure

LONG = "fonds-municipal_1847/registres/letters-of-the-council_1847-1849.tar"
MEMBER = "volume-2/0017_recto_and_verso_of_the_same_leaf.tif"


def lines_of(*names: tuple[str, str]) -> list[str]:
    """What is printed of pages with these shards and members, without the totals."""
    pages = tuple(
        PageFigure(0.001, 0.124, 0.99, 0.32, shard, member, 0, ("ink_lost", "ink_added"))
        for shard, member in names
    )
    found = Findings(1, 9, {"cleaned": 9}, {}, {}, len(pages), pages, pages, {})
    shown = Console(file=io.StringIO(), width=80, highlight=False, soft_wrap=True)
    print_findings(shown, found)
    assert isinstance(shown.file, io.StringIO)
    lines = shown.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    return lines


def column(lines: list[str], number: int) -> list[str]:
    """The cells of a column that hold text."""
    return [cell for line in lines if line.startswith("│ ") and (cell := line.split("│")[number].strip())]


def test_short_names_stay_in_one_line() -> None:
    lines = lines_of(("letters.tar", "letters/001.png"))
    assert "letters.tar" in column(lines, 1)
    assert "letters/001.png" in "".join(column(lines, 2))


def test_long_names_break_at_separators_and_lose_nothing() -> None:
    lines = lines_of((LONG, MEMBER))
    shard, member = ("".join(column(lines, number)) for number in (1, 2))
    assert LONG in shard and MEMBER in member
    assert [cell for cell in column(lines, 1) if cell.endswith(".tar")], "an ending is never cut"
    assert {"0.124", "0.001", "0.99", "0.32"} <= {cell for n in range(3, 7) for cell in column(lines, n)}
