"""Measurements: how well a method does on a task, and the JSON files that keep them.

One file for each section and method, under `infra/quality`, with a row for each page. A peer is measured once
for a set of cases, not once for each of our weights: if cases and recipe are the same, the file is used, on
any machine. Therefore the files are kept with the project.
"""

import json
import re
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from rich.console import Console
from rich.progress import track

from model.page import Page
from scripts.blocks import machine
from scripts.quality.case import Case, Kind, Method, Task, Weights
from scripts.quality.methods import PeerFault

Row: TypeAlias = dict[str, Any]
"""A page: `name`, `group`, and figures by name."""

_AHEAD = 4  # pages that wait for Tesseract; more would only fill memory

console = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class Measurement:
    """How well a method does on a section's cases; `missing` says what to install if it couldn't run."""

    section: str
    method: str
    kind: Kind
    how: str
    about: str
    fingerprint: str
    rows: list[Row] = field(default_factory=list)
    missing: str = ""
    weights: Weights | None = None
    machine: str = field(default_factory=machine)

    def having(self, key: str, group: str | None = None) -> list[Row]:
        """The pages that have a figure: all, or those of a group."""
        return [row for row in self.rows if key in row and group in (None, row["group"])]

    def values(self, key: str, group: str | None = None) -> list[float]:
        """The figure of each of these pages."""
        return [row[key] for row in self.having(key, group)]

    def mean(self, key: str, group: str | None = None) -> float | None:
        """The mean of a figure over pages; None if no page has it."""
        values = self.values(key, group)
        return sum(values) / len(values) if values else None

    def groups(self, key: str) -> list[str]:
        """The groups in which some page has a figure, in the order of the pages."""
        return list(dict.fromkeys(row["group"] for row in self.having(key)))


def measure(task: Task, method: Method, pool: ThreadPoolExecutor) -> Measurement:
    """Clean and score all cases.

    Raises:
        PeerFault: a peer failed, or returned a page of another size.
    """
    facts = (task.section, method.name, method.kind, method.how, task.about, task.fingerprint())
    if method.missing:
        return Measurement(*facts, missing=method.missing)
    rows: list[Row] = []
    waiting: deque[Future[Row]] = deque()
    for case in track(task.cases, f"{task.section}: {method.name}", console=console):
        waiting.append(pool.submit(_row, task, case, _cleaned(method, case)))
        if len(waiting) > _AHEAD:
            rows.append(waiting.popleft().result())
    rows += [future.result() for future in waiting]
    return Measurement(*facts, rows=rows, weights=method.weights)


def _cleaned(method: Method, case: Case) -> Page:
    page = method.run(case)
    if page.shape[:2] != case.page.shape[:2]:
        raise PeerFault(f"{method.name} made a page of {page.shape[:2]} out of one of {case.page.shape[:2]}")
    return page


def _row(task: Task, case: Case, page: Page) -> Row:
    return {"name": case.name, "group": case.group, **task.score(case, page)}


@dataclass(frozen=True)
class Results:
    """The folder of measurements."""

    folder: Path

    def keep(self, measurement: Measurement) -> None:
        """Write a measurement, in place of an older one of the same method.

        Measurements on other cases are deleted: one table can't hold both.
        """
        path = self._path(measurement.section, measurement.method, measurement.weights)
        path.parent.mkdir(parents=True, exist_ok=True)
        for other in path.parent.glob("*.json"):
            if _read(other).fingerprint != measurement.fingerprint:
                other.unlink()
        path.write_text(json.dumps(asdict(measurement), separators=(",", ":")) + "\n")

    def find(self, section: str, fingerprint: str, method: Method) -> Measurement | None:
        """The measurement of exactly this method on exactly these cases."""
        path = self._path(section, method.name, method.weights)
        found = _read(path) if path.exists() else None
        same = found and found.fingerprint == fingerprint and found.how == method.how and not found.missing
        return found if same else None

    def of(self, section: str) -> list[Measurement]:
        """All measurements of a section."""
        return [_read(path) for path in sorted((self.folder / section).glob("*.json"))]

    def _path(self, section: str, method: str, weights: Weights | None) -> Path:
        name = re.sub(r"\W+", "-", method.lower()).strip("-")
        return self.folder / section / f"{name}{f'-{weights.sha256[:8]}' if weights else ''}.json"


def ranked(measurements: Iterable[Measurement]) -> list[Measurement]:
    """In the order of tables: nothing, the truth, peers, ours; each by name."""
    return sorted(measurements, key=lambda one: (list(Kind).index(one.kind), one.method))


def _read(path: Path) -> Measurement:
    raw = json.loads(path.read_text())
    weights = Weights(**raw["weights"]) if raw["weights"] else None
    return Measurement(**{**raw, "kind": Kind(raw["kind"]), "weights": weights})
