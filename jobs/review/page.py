"""The reviewers' page: a folder whose index.html opens from a disk, without a server.

OUT/index.html, OUT/app/    the page, its scripts and its style
OUT/data/                   the rows of the report as scripts, the flagged pages first
OUT/pictures/               before, after, marks and thumbnail of flagged, sampled and the worst pages

It is made from committed rows; its remarks say what is missing.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from jobs.errors import InputError
from jobs.report.findings import SHOWN, first_run
from jobs.report.table import rows
from jobs.review.page_data import Encoder, script
from jobs.review.page_files import Places, Wanted
from jobs.review.page_folder import Folder
from jobs.review.page_pictures import Painter
from jobs.review.page_rows import COLUMNS, IDENTITY, PICTURED, Listing, read_listing
from jobs.stores.base import Store
from jobs.stores.open import open_store
from jobs.stores.spool import spooling
from jobs.upkeep.status import Status, status
from model.guard.guard import Guard

PicturesDone = Callable[[int, int], None]
"""Called with the number of pages that have their pictures, and of those that will have them."""


@dataclass(frozen=True)
class HtmlReport:
    """What was written.

    Attributes:
        index: the file to open.
        pages: the number of rows in the report.
        listed: the number of pages that are listed.
        pictured: the number of pages with pictures.
        flagged: the number of pages that a person should review.
        sample: the number of unflagged pages that were drawn at random for review.
        remarks: sentences that say what is missing.
    """

    index: Path
    pages: int
    listed: int
    pictured: int
    flagged: int
    sample: int
    remarks: tuple[str, ...]


def write_html(
    destination: str, folder: Path, since: str | None, sample: int, progress: PicturesDone
) -> HtmlReport:
    """Write the page.

    Args:
        destination: a place that was cleaned into.
        folder: a new or empty folder, or one that an earlier call wrote.
        since: only pages of runs that began on this day (UTC) or later, as `2026-11-30`.
        sample: the number of unflagged pages to draw at random.
        progress: called after each page whose pictures are drawn.

    Raises:
        InputError: a place, the folder or an option is wrong.
        DestinationFull: no space is left in the folder.
        StoreError: the destination broke, or a newer version wrote it.
    """
    if sample < 0:
        raise InputError(f"--sample {sample} is no number of pages: give 1 or more.")
    to, earliest, unread = open_store(destination), first_run(since), dict[str, str]()
    now = status(destination)
    _check_apart(folder, to, now)
    listing = read_listing(_since(rows(to, COLUMNS, unread), earliest), sample)
    out = Folder(folder)
    places = Places(to)
    pictures = _draw_pictures(out, places, listing, progress)
    out.write("data/pictures.js", script("pumice.pictures = %s;", pictures))
    remarks = (*_remarks(now, unread, listing), *([places.remark] if places.remark else []))
    drawn = pc.sum(pc.greater_equal(listing.table["draw"], 0)).as_py() or 0
    facts = {
        # The browser keeps decisions by destination, whatever is cleaned there later or listed here.
        "id": hashlib.sha256(to.url.encode("utf-8", "surrogateescape")).hexdigest()[:16],
        "destination": destination,
        "sample": {"size": drawn, "population": listing.population} if sample else None,
        "remarks": remarks,
    }
    _write_data(out, listing, facts)
    return HtmlReport(
        out.finish(), listing.pages, listing.table.num_rows, len(pictures), listing.flagged, drawn, remarks
    )


def _check_apart(folder: Path, to: Store, now: Status) -> None:
    """Refuse a folder among scans: the next run would take the page for scans."""
    here = f"{folder.resolve()}/"
    for place in (to.url, *(run.source for run in now.runs[:1])):
        if "://" not in place and here.startswith(f"{Path(place).resolve()}/"):
            raise InputError(f"{folder} lies in {place}, among scans: give --html a folder elsewhere.")


def _since(batches: Iterator[pa.RecordBatch], earliest: str) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch.filter(pc.greater_equal(batch["run_id"], earliest))


def _draw_pictures(
    out: Folder, places: Places, listing: Listing, progress: PicturesDone
) -> dict[int, dict[str, object]]:
    chosen = listing.table.filter(pc.greater_equal(listing.table["picture"], 0))
    names = [*IDENTITY, "source_sha256", "output_sha256"]
    wanted = [Wanted(row.pop("picture"), **row) for row in chosen.select(["picture", *names]).to_pylist()]
    pictures: dict[int, dict[str, object]] = {}
    if not wanted:
        return pictures
    painter = Painter(out, Guard())
    progress(0, len(wanted))
    with spooling():
        for found in places.find(wanted):
            pictures[found.page.number] = painter.draw(found)
            progress(len(pictures), len(wanted))
    return pictures


def _write_data(out: Folder, listing: Listing, facts: Mapping[str, object]) -> None:
    encoder = Encoder(listing)
    pieces = 0
    for piece in encoder.pieces():
        out.write(f"data/rows-{pieces}.js", script("pumice.addRows(%s);", piece))
        pieces += 1
    report = {
        **facts,
        **encoder.lists(),
        "pieces": pieces,
        "made_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "totals": {"pages": listing.pages, "statuses": listing.statuses, "flagged": listing.flagged},
    }
    out.write("data/report.js", script("pumice.report = %s;", report))


def _remarks(now: Status, unread: dict[str, str], listing: Listing) -> Iterator[str]:
    """Sentences about what the page does not show."""
    for shard, why in sorted(unread.items())[:SHOWN]:
        yield f"{shard}: {why}; its pages are not here."
    if len(unread) > SHOWN:
        yield f"{len(unread) - SHOWN:,} more shards have reports that can't be read."
    if now.holder and now.holder.alive is not False:
        yield "A run is at work: what it has not committed yet is not here."
    if now.plan and now.plan.todo:
        yield f"{len(now.plan.todo):,} shards of the source are not cleaned yet: pumice resume goes on."
    for held in now.quarantined[:SHOWN]:
        yield f"{held.shard} is quarantined, its pages are not here: {held.message}"
    if listing.table.num_rows < listing.pages:
        yield (
            f"{listing.table.num_rows:,} of {listing.pages:,} pages are listed, flagged ones first; the "
            "charts are of those. --since makes a page of fewer."
        )
    if listing.flagged > PICTURED:
        yield f"{PICTURED:,} of {listing.flagged:,} flagged pages have pictures, the worst first."
