"""File names in tables: a long one continues on the next line at a separator, so that `.tar` stays whole."""

import re
from collections.abc import Iterator

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.text import Text

_BREAKS = re.compile(r"(?<=[/_\- ])|(?=\.)")


class FileName:
    """A table cell; names may come from archives, so markup in them has no effect."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        parts = _BREAKS.split(self._name)
        return Measurement(max(map(cell_len, parts)), cell_len(self._name)).with_maximum(options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Put as many parts in a line as fit; the console cuts a part that is wider than the column."""
        lines = [""]
        for part in _BREAKS.split(self._name):
            if lines[-1] and cell_len(lines[-1] + part) > options.max_width:
                lines.append("")
            lines[-1] += part
        yield Text("\n".join(lines), overflow="fold")
