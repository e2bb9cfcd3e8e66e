"""Logging: for people on a terminal, or one JSON object a line where `PUMICE_LOG=json` asks for that.

Set up once, by whoever owns the process: the command line for its own, a worker for its own. What a record is
about (run, shard, attempt) is in a context variable, so that no function has to hand it down to be logged.
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
    """Have what is logged in the block, by this thread or in copies of its context, bear these ids too."""
    token = _about.set({**_about.get(), **ids})
    try:
        yield
    finally:
        _about.reset(token)


def figures(**values: str | float) -> dict[str, Mapping[str, str | float]]:
    """The `extra` of a log call that gives its record more fields; logs as text leave them out."""
    return {"figures": values}


def wants_json() -> bool:
    """Whether logs are to be JSON; workers of a run do as its driver.

    Raises:
        InputError: the variable says neither.
    """
    wish = os.environ.get(VARIABLE, "")
    if wish not in ("", "text", "json"):
        raise InputError(f"{VARIABLE} is {wish!r}: set it to json or text, or leave it out.")
    return wish == "json"


def configure(console: Console) -> None:
    """Set the command line's logging up; `console` is where its bars are drawn.

    As JSON goes what our code does, and all that is written to stderr: progress, sentences for the user, what
    libraries print. Else warnings alone are shown, for a bar or a pipe to be readable.

    Raises:
        InputError: as `wants_json`.
    """
    if wants_json():
        write_json(sys.stderr)
        sys.stderr = _Lines()
    elif console.is_terminal:
        # The console of the bar: a line of any other handler would tear it.
        handler = RichHandler(
            console=console, show_time=False, show_path=False, highlighter=NullHighlighter()
        )
        logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler], force=True)
    else:
        plain = "%(levelname)s %(name)s: %(message)s"
        logging.basicConfig(level=logging.WARNING, format=plain, force=True)


def tell(console: Console, sentence: str) -> None:
    """Say why the command ends: on the console, or as an error where stderr is JSON."""
    if isinstance(sys.stderr, _Lines):
        sys.stderr.log.error("%s", sentence)
    else:
        console.print(sentence, markup=False)


def write_json(stream: TextIO) -> None:
    """Write warnings of this process, and all that our own code does, to `stream` as JSON."""
    handler = _JsonHandler(stream)
    handler.setFormatter(_Json())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in OURS:
        logging.getLogger(name).setLevel(logging.INFO)


class _Json(logging.Formatter):
    """A record as one line of ASCII, whatever names and messages hold."""

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
        """Do nothing: logging would write the error to stderr, which is what can't be written to."""


class _Lines(io.TextIOBase):
    """A stderr that logs each line written to it."""

    def __init__(self) -> None:
        self._rest = ""
        self.log = logging.getLogger("jobs.stderr")

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str, /) -> int:
        """Log the lines that are whole by now."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in filter(str.strip, lines):
            self.log.info("%s", line)
        return len(text)
