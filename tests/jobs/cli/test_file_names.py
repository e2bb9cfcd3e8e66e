"""Names in tables continue on the next line at separators, and lose nothing."""

from io import StringIO

import pytest
from rich.console import Console
from rich.table import Table

from jobs.cli.file_names import FileName


def printed(name: str, width: int) -> list[str]:
    """The lines of a name in a table that leaves `width` columns for it."""
    told = StringIO()
    table = Table.grid()
    table.add_row(FileName(name), "figure")
    Console(file=told, width=width + len("figure"), soft_wrap=True).print(table)
    first, *others = told.getvalue().splitlines()
    assert first.endswith("figure")
    return [first.removesuffix("figure").rstrip(), *(line.rstrip() for line in others)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("letters.tar", ["letters", ".tar"]),
        ("box/letters.tar", ["box/", "letters", ".tar"]),
        ("a_b-c.tif", ["a_b-c.tif"]),
        ("page [red].tif", ["page [red]", ".tif"]),
        ("council-minutes1847.tar", ["council-", "minutes184", "7", ".tar"]),
    ],
)
def test_names_break_at_separators(name: str, expected: list[str]) -> None:
    assert printed(name, 10) == expected
    assert printed(name, 80) == [name]
