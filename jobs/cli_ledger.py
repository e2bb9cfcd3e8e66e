"""The commands that look after a destination's ledger."""

from typing import Annotated

import typer
from rich.console import Console

from jobs import api
from jobs.status_text import print_status

out = Console(highlight=False, soft_wrap=True)

Destination = Annotated[str, typer.Argument(help="A folder or s3://bucket/prefix that was cleaned into.")]


def status_command(dst: Destination) -> None:
    """Say what is done, left, set aside and in work, and how the last runs ended."""
    print_status(out, api.status(dst))
