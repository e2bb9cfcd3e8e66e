"""Logging: for people on a terminal, or with `PUMICE_LOG=json` as one JSON object a line.

The command line and each worker set it up once for their process. A context variable says what a record is
about (run, shard, attempt), so that functions need not hand these ids down.
"""

import io
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

from rich.console import Console
from rich.highlighter import NullHighlighter
from rich.logging import RichHandler

from jobs.errors import InputError

VARIABLE = "PUMICE_LOG"
OURS = ("jobs", "model")

_about: ContextVar[Mapping[str, str | int]] = ContextVar("about", default={})  # noqa: B039 - never changed


@contextmanager
def about(**ids: str | int) -> Iterator[None]:
    """Add these ids to all records of the block, by this thread or in copies of its context."""
    token = _about.set({**_about.get(), **ids})
    try:
        yield
    finally:
        _about.reset(token)


def figures(**values: str | float) -> dict[str, Mapping[str, str | float]]:
    """The `extra` of a log call that adds fields to its JSON record; text logs leave them out."""
    return {"figures": values}


def wants_json() -> bool:
    """Whether logs are JSON; the workers of a run do as its driver.

    Raises:
        InputError: the variable is neither `json` nor `text`.
    """
    wish = os.environ.get(VARIABLE, "")
    if wish not in ("", "text", "json"):
        raise InputError(f"{VARIABLE} is {wish!r}: set it to json or text, or leave it out.")
    return wish == "json"


def configure(console: Console) -> None:
    """Set up the logging of the command line; `console` draws its bars.

    As JSON: what our code does, and all that is written to stderr: progress, sentences for the user, output
    of libraries. As text: only warnings, so that a bar or a pipe stays readable.

    Raises:
        InputError: as `wants_json`.
    """
    if wants_json():
        write_json(sys.stderr)
        sys.stderr = _Lines()
    elif console.is_terminal:
        # It prints on the console of the bar: lines of any other handler would break the bar.
        handler = RichHandler(
            console=console, show_time=False, show_path=False, highlighter=NullHighlighter()
        )
        logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler], force=True)
    else:
        plain = "%(levelname)s %(name)s: %(message)s"
        logging.basicConfig(level=logging.WARNING, format=plain, force=True)


def tell(console: Console, sentence: str) -> None:
    """Print why the command ends: on the console, or as an error record if stderr is JSON."""
    if isinstance(sys.stderr, _Lines):
        sys.stderr.log.error("%s", sentence)
    else:
        console.print(sentence, markup=False)


def write_json(stream: TextIO) -> None:
    """Write all records of our own code, and warnings of other code, to `stream` as JSON."""
    handler = _JsonHandler(stream)
    handler.setFormatter(_Json())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in OURS:
        logging.getLogger(name).setLevel(logging.INFO)


class _Json(logging.Formatter):
    """A record as one line of ASCII, whatever characters names and messages have."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_about.get(),
            **getattr(record, "figures", {}),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)


class _JsonHandler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:
        """Do nothing: logging would write the error to stderr, and writing to stderr is what failed."""


class _Lines(io.TextIOBase):
    """Replaces stderr; logs each line that is written to it."""

    def __init__(self) -> None:
        self._rest = ""
        self.log = logging.getLogger("jobs.stderr")

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str, /) -> int:
        """Log the lines that are complete."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in filter(str.strip, lines):
            self.log.info("%s", line)
        return len(text)
