"""Reads a file of reviewers' decisions, JSON or CSV, as untrusted input."""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from jobs.errors import InputError
from jobs.ledger.reviews import PageName, Verdict

MAX_BYTES = 64 << 20
"""About two hundred thousand decisions."""
FORMAT = 1
_NEEDED = ("shard", "member", "member_index", "page_index", "output_sha256", "decision", "sampled")
_TRUTHS = {"true": True, "1": True, "false": False, "0": False, "": False}


@dataclass(frozen=True)
class Sample:
    """The number of pages that were drawn at random, and of those they were drawn from."""

    size: int
    population: int


@dataclass(frozen=True)
class Decision:
    """A decision of a reviewer; `ledger.reviews.Decided` explains the fields."""

    shard: str
    member: str
    member_index: int
    page_index: int
    output_sha256: str | None
    decision: Verdict
    sampled: bool
    note: str

    @property
    def page(self) -> PageName:
        """The page of the shard that it is about."""
        return self.member, self.member_index, self.page_index


@dataclass(frozen=True)
class DecisionFile:
    """A whole file; `destination` and `sample` are None if it names none."""

    destination: str | None
    sample: Sample | None
    decisions: tuple[Decision, ...]


class _Wrong(ValueError):
    """Says what is wrong with a file, without the file's name."""


def read_decisions(path: Path) -> DecisionFile:
    """Read a file; of several decisions about one page, the last counts.

    Args:
        path: a `.csv` file has a first line of column names; any other file is JSON.

    Raises:
        InputError: it can't be read, or is no file of decisions.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}.") from error
    try:
        if len(data) > MAX_BYTES:
            raise _Wrong(f"it has more than {MAX_BYTES:,} bytes: apply it in parts.")
        text = data.decode("utf-8-sig")
        return _from_csv(text) if path.suffix.lower() == ".csv" else _from_json(text)
    except _Wrong as error:
        raise InputError(f"{path} is no file of decisions that can be applied: {error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text in UTF-8: save it again from the report's page.") from error


def _from_json(text: str) -> DecisionFile:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _Wrong("it is no JSON: save it again from the report's page.") from error
    if not isinstance(fields, dict) or fields.get("pumice_decisions") != FORMAT:
        raise _Wrong(
            f"it lacks pumice_decisions: {FORMAT}; save it with the report of this version of Pumice."
        )
    destination, found = fields.get("destination"), fields.get("decisions")
    if not isinstance(destination, str | None):
        raise _Wrong("its destination is no text.")
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise _Wrong("its decisions are no list of objects.")
    return DecisionFile(destination, _sample(fields.get("sample")), _decisions(found))


def _sample(given: Any) -> Sample | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        raise _Wrong("its sample is no object.")
    size, population = (_number(given.get(name), f"sample's {name}", 0) for name in ("size", "population"))
    return Sample(size, population)


def _from_csv(text: str) -> DecisionFile:
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        lacking = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
        if lacking:
            raise _Wrong(f"its first line doesn't name the column {lacking[0]}.")
        return DecisionFile(None, None, _decisions(map(_typed, reader)))
    except csv.Error as error:
        raise _Wrong(f"it is no CSV: {error}.") from error


def _typed(cells: dict[str, Any]) -> dict[str, Any]:
    """A line of CSV with the types of JSON; what can't be converted stays text, and is refused later."""
    typed = {**cells, "output_sha256": cells["output_sha256"] or None, "note": cells.get("note") or ""}
    for name in ("shard", "member", "note"):
        # The report's page puts an apostrophe before what a spreadsheet would take for a formula.
        typed[name] = typed[name] and typed[name].removeprefix("'")
    for name in ("member_index", "page_index"):
        text = (cells[name] or "").strip()
        typed[name] = int(text) if text.removeprefix("-").isdecimal() and len(text) < 20 else text  # noqa: PLR2004 - of 64 bits
    typed["sampled"] = _TRUTHS.get((cells["sampled"] or "").strip().lower(), cells["sampled"])
    return typed


def _decisions(found: Iterable[dict[str, Any]]) -> tuple[Decision, ...]:
    decisions: dict[tuple[str, PageName], Decision] = {}
    for number, fields in enumerate(found, 1):
        one = _decision(fields, f"decision {number}'s")
        decisions[one.shard, one.page] = one
    return tuple(decisions.values())


def _decision(fields: dict[str, Any], whose: str) -> Decision:
    if fields.get("decision") not in ("accept", "reject"):
        raise _Wrong(f"{whose} decision is neither accept nor reject.")
    if not isinstance(fields.get("sampled"), bool):
        raise _Wrong(f"{whose} sampled is neither true nor false.")
    output = fields.get("output_sha256")
    return Decision(
        shard=_text(fields.get("shard"), f"{whose} shard"),
        member=_text(fields.get("member"), f"{whose} member"),
        member_index=_number(fields.get("member_index"), f"{whose} member_index", -1),
        page_index=_number(fields.get("page_index"), f"{whose} page_index", 0),
        output_sha256=None if output is None else _text(output, f"{whose} output_sha256"),
        decision=cast(Verdict, fields["decision"]),
        sampled=fields["sampled"],
        note=_text(fields.get("note", ""), f"{whose} note"),
    )


def _text(value: Any, what: str) -> str:
    # JSON's escapes can name half a character.
    if not isinstance(value, str) or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise _Wrong(f"{what} is no text.")
    return value


def _number(value: Any, what: str, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise _Wrong(f"{what} is no whole number of {least} or more.")
    return value
