"""The two streams that all commands print to."""

from rich.console import Console

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

SHOWN = 20
"""A list of things prints so many of them, and then how many more there are."""
