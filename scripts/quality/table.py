"""Measurements as Markdown: a table for each section, the shipped weights, and how peers were run."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from model.network.weights import card_path
from model.shipped import CLEANER
from scripts.blocks import table
from scripts.quality import figures
from scripts.quality.case import Kind
from scripts.quality.figures import Column, mean, rate, total
from scripts.quality.results import Measurement, ranked

Sections: TypeAlias = Mapping[str, Sequence[Measurement]]
"""The measurements of each section."""

_COLUMNS: Mapping[str, Sequence[Column]] = {
    "pairs": (figures.RMSE, figures.PSNR, mean("SSIM", "ssim", "{:.3f}"), figures.CER),
    "dibco": (
        figures.F_MEASURE,
        mean("pseudo-F", "pseudo_f", "{:.1f}"),
        mean("PSNR", "psnr", "{:.1f} dB"),
        mean("DRD", "drd", "{:.2f}"),
    ),
    "scales": (),
    "pages": (figures.PAPER_RMSE, figures.CER),
    "real": (),
    "clean": (figures.CHANGE, total("strokes", "strokes"), figures.LOST),
    "seams": (figures.SEAM,),
    "cost": (
        figures.PARAMETERS,
        figures.SECONDS,
        mean("article's network, s/page", "article_s", "{:.2f}"),
        figures.RATIO,
        mean("the report's measures, s/page", "measures_s", "{:.3f}"),
        mean("the guard, s/page", "guard_s", "{:.3f}"),
    ),
}
_F_BY_GROUP = (("f_measure", lambda group: mean(f"F, {group}", "f_measure", "{:.1f}", group)),)
_BY_GROUP: Mapping[str, Sequence[tuple[str, Callable[[str], Column]]]] = {
    "dibco": _F_BY_GROUP,
    "scales": _F_BY_GROUP,
    "pages": (("cer", lambda group: rate(f"CER, {group}", "cer", group)),),
    "real": (
        ("cer", lambda group: rate(f"CER, {group}", "cer", group)),
        ("drift", lambda group: rate(f"reading changed, {group}", "drift", group)),
        ("confidence", lambda group: mean(f"confidence, {group}", "confidence", "{:.1f}", group)),
    ),
    "clean": (("change", lambda group: mean(f"change, {group}", "change", "{:.3f}", group)),),
}
"""Figures that have a column for each group of pages, besides those for all pages."""

SECTIONS = tuple(_COLUMNS)
_EARLIER = 6
"""How many earlier trainings a table lists."""


def section_table(section: str, measurements: Sequence[Measurement]) -> str:
    """A section's table, the material it was measured on, and the peers that were missing."""
    if not measurements:
        return "Not measured yet."
    rows = [one for one in ranked(measurements) if one.rows]
    columns = [*_COLUMNS[section], *_by_group(section, rows)]
    header = ["", *(column.title for column in columns)]
    text = table(header, [[one.method, *(column.cell(one) for column in columns)] for one in rows])
    machines = dict.fromkeys(one.machine for one in rows)
    command = f"scripts/run quality --data DIR --only {section}"
    note = f"Measured on {measurements[-1].about}; {'; '.join(machines)}; `{command}`."
    missing = [f"{one.method} ({one.missing})" for one in ranked(measurements) if one.missing]
    return f"{text}\n\n{note}" + (f" Not installed here: {', '.join(missing)}." if missing else "")


def _by_group(section: str, rows: Sequence[Measurement]) -> list[Column]:
    columns = []
    for key, column in _BY_GROUP.get(section, ()):
        groups = dict.fromkeys(group for one in rows for group in one.groups(key))
        columns += [column(group) for group in groups]
    return columns


def shipped_table() -> str:
    """The shipped weights and how they were made, from their card."""
    path = card_path(CLEANER)
    if not path.exists():
        return f"`{CLEANER.name}` has no card."
    card = json.loads(path.read_text())
    apart = ("command", "scores", "init", "mean")
    facts = {key: value for key, value in card.items() if value is not None and key not in apart}
    rows = [["command", f"`{card['command']}`"], *([key, words(value)] for key, value in facts.items())]
    if earlier := list(_earlier(card)):
        shown = earlier[:_EARLIER] + ([f"{more} more"] if (more := len(earlier) - _EARLIER) > 0 else [])
        rows.append([f"begun from (all of it in `{path.name}`)", ", from ".join(shown)])
    return table(["", f"`{CLEANER.name}`"], rows)


def _earlier(card: dict[str, Any]) -> Iterator[str]:
    """The trainings before, the last first; for a mean its parts, then the trainings before these."""
    parts = [
        part for part in card.get("mean", ()) if "command" in part
    ]  # the others are told elsewhere in the card
    for part in parts:
        yield f"{part['share']:g} of {_told(part)}"
    for part in parts:
        yield from _earlier(part)
    before = card.get("init") or {}
    if len(before) > 1:  # else the card tells it elsewhere
        yield _told(before)
        yield from _earlier(before)


def _told(card: dict[str, Any]) -> str:
    steps = f"{card['steps']:,} steps, seed {card.get('seed')}" if "steps" in card else "weights"
    said = f"the mean `{card['command']}`" if "mean" in card else steps
    return f"{said} ({card['note']})" if "note" in card else said


def words(value: object) -> str:
    """A value of a card, as a table writes it."""
    if isinstance(value, dict):
        return "; ".join(f"{key} {words(one)}" for key, one in value.items())
    return ", ".join(map(words, value)) if isinstance(value, list) else str(value)


def of_weights(measurements: Sequence[Measurement], sha256: str) -> Measurement | None:
    """The measurement of these weights."""
    return next((m for m in measurements if m.weights and m.weights.sha256 == sha256), None)


def recipes(sections: Sections) -> str:
    """How each peer was run, one line each."""
    peers = {
        one.method: one.how
        for some in sections.values() for one in ranked(some)
        if one.kind is Kind.PEER and not one.weights
    }  # fmt: skip
    return "\n".join(f"- {name}: `{how}`" for name, how in peers.items()) or "Not measured yet."
