"""The listed rows as scripts, because fetch() doesn't work on file://.

Texts that repeat become numbers of a list. No character of a name can end the script or its element.
"""

import json
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.review.page_rows import FIGURES, Listing

PIECE = 5000
"""Rows in one file; the first file, with the flagged pages, loads at once."""

_DIGITS = 5  # after the point: further digits of a measure mean nothing, and would double the file
_LISTS = {
    "shard": "shards",
    "status": "statuses",
    "error_code": "codes",
    "mode": "modes",
    "reasons": "reason_sets",
}


def script(call: str, data: object) -> bytes:
    """A script of one call or assignment; `data` replaces its `%s`."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)  # all but ASCII is escaped
    return (call % text.replace("<", "\\u003c")).encode()


class Encoder:
    """Turns a listing into pieces; the lists that they refer to come first."""

    def __init__(self, listing: Listing) -> None:
        self._table = listing.table
        self._columns = {name: _values(self._table[name]) for name in _LISTS}
        self._places = {name: _places(values) for name, values in self._columns.items()}
        self._figures = [name for name in FIGURES if self._table[name].null_count < self._table.num_rows]

    def lists(self) -> dict[str, Any]:
        """The lists that the numbers in the pieces refer to, and the names of the measures."""
        lists: dict[str, Any] = {_LISTS[name]: list(places) for name, places in self._places.items()}
        reasons = dict.fromkeys(reason for found in lists["reason_sets"] for reason in found)
        return {**lists, "reasons": list(reasons), "measures": self._figures, "listed": self._table.num_rows}

    def pieces(self) -> Iterator[dict[str, Any]]:
        """The rows as columns, PIECE rows at a time."""
        for first in range(0, self._table.num_rows, PIECE):
            yield self._piece(self._table.slice(first, PIECE), first)

    def _piece(self, rows: pa.Table, first: int) -> dict[str, Any]:
        numbers = {
            name: [self._places[name].get(value, -1) for value in self._columns[name][first : first + PIECE]]
            for name in _LISTS
        }
        return {
            "shard": numbers["shard"],
            "status": numbers["status"],
            "code": numbers["error_code"],
            "mode": numbers["mode"],
            "reasons": numbers["reasons"],
            "member": rows["member"].to_pylist(),
            "member_index": rows["member_index"].to_pylist(),
            "page_index": rows["page_index"].to_pylist(),
            "sha256": [digest or "" for digest in rows["output_sha256"].to_pylist()],
            "error": [error or "" for error in rows["error"].to_pylist()],
            "flagged": [int(bool(flag)) for flag in rows["needs_review"].to_pylist()],
            "width": [side or 0 for side in rows["width"].to_pylist()],
            "height": [side or 0 for side in rows["height"].to_pylist()],
            "dpi": [round(min(dpi or 0, 1e6)) for dpi in rows["dpi_x"].to_pylist()],
            "draw": rows["draw"].to_pylist(),
            "picture": rows["picture"].to_pylist(),
            "measures": {name: _rounded(rows[name]) for name in self._figures},
        }


def _values(column: pa.ChunkedArray) -> list[Hashable]:
    """The values, hashable: sets of reasons as tuples."""
    return [tuple(one) if isinstance(one, list) else one for one in column.to_pylist()]


def _places(values: Sequence[Hashable]) -> dict[Hashable, int]:
    found = dict.fromkeys(value for value in values if value is not None)
    return {value: place for place, value in enumerate(found)}


def _rounded(column: pa.ChunkedArray) -> list[float | None]:
    values = np.round(column.to_numpy().astype(np.float64), _DIGITS)
    return [None if value != value else value for value in values.tolist()]  # noqa: PLR0124 - NaN is no number
