"""The findings of a report as text and tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from jobs.cli.console import SHOWN
from jobs.cli.file_names import FileName

if TYPE_CHECKING:
    from jobs.report.findings import Findings, PageFigure, Spread
    from jobs.review.page import HtmlReport


def print_findings(out: Console, found: Findings) -> None:
    """Print totals, then the measures before and after cleaning, then single pages."""
    counts = ", ".join(f"{count:,} {status.replace('_', ' ')}" for status, count in found.statuses.items())
    out.print(f"{found.pages:,} pages in {found.shards:,} shards{': ' if counts else '.'}{counts}")
    for code, count in found.errors.items():
        out.print(f"  {code}: {count:,}", markup=False)
    if found.spreads:
        out.print(_spreads(found))
    _print_pages(out, f"{found.flagged:,} pages to look at", found.to_review, found.flagged)
    _print_pages(out, "Most dirt left", found.worst, len(found.worst))
    for shard, why in list(found.unread.items())[:SHOWN]:
        out.print(f"Not counted: {shard}: {why}.", markup=False)
    if len(found.unread) > SHOWN:
        out.print(f"Not counted: {len(found.unread) - SHOWN:,} more.")


def print_html(out: Console, written: HtmlReport) -> None:
    """Print which file to open, and what is missing on the page."""
    drawn = f", {written.sample:,} drawn at random" if written.sample else ""
    out.print(
        f"{written.pages:,} pages, {written.flagged:,} to look at{drawn}, {written.pictured:,} with pictures."
    )
    for remark in written.remarks:
        out.print(remark, markup=False)
    out.print(f"Open {written.index}", markup=False)


def _spreads(found: Findings) -> Table:
    table = Table("", "before", "after", title="Median, and what a tenth of the pages lies below and above")
    for name, (before, after) in found.spreads.items():
        table.add_row(name.replace("_", " "), _words(before), _words(after))
    return table


def _words(spread: Spread) -> str:
    return f"{spread.median:.3f}  ({spread.low:.3f} to {spread.high:.3f})"


def _print_pages(out: Console, title: str, pages: Iterable[PageFigure], count: int) -> None:
    if not count:
        return
    # Two lines for these headings leave more of a narrow terminal to names.
    dirt, ink = Column("dirt before", max_width=6), Column("ink lost", max_width=4)
    table = Table("shard", "page", dirt, "after", ink, "added", "why", title=title)
    for page in pages:
        member = f"{page.member} [{page.page_index}]" if page.page_index else page.member
        table.add_row(
            FileName(page.shard), FileName(member), f"{page.dirt_before:.3f}", f"{page.dirt_after:.3f}",
            f"{page.ink_lost:.2f}", f"{page.ink_added:.2f}", Text(", ".join(page.reasons)),
        )  # fmt: skip
    out.print(table)
