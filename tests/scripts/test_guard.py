from pathlib import Path

import cv2
import numpy as np
import pytest

from model.cleaning.cleaner import load_cleaner
from model.shipped import CLEANER
from scripts.guard import measure as guard_measure
from scripts.guard import pages as guard_pages
from scripts.guard.kinds import _map, _office, _photograph, _row
from scripts.guard.measure import Scores


def page(name: str, group: str, honest: bool, lost: float, **planted: list[float]) -> Scores:
    return Scores(name, group, honest, lost, 0.0, planted)


def test_thresholds_leave_so_few_honest_pages_flagged() -> None:
    pages = [page(str(n), "scans", True, n / 100) for n in range(101)]
    pages += [page("lost", "scans", False, 1.0)]
    lost, added = guard_measure._thresholds(pages)
    assert lost == pytest.approx(0.99) and added == 0


def test_the_table_counts_what_is_found_and_what_is_flagged_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_measure, "LOST", 0.5)
    monkeypatch.setattr(guard_measure, "ADDED", 0.5)
    table = guard_measure._table(
        [page("a", "pairs", True, 0.1, word=[0.9, 0.8], dot=[0.4, 0.6], added=[0.7]),
         page("b", "pairs", False, 0.9, rule=[1.0], letter=[0.2], thinned=[0.5])]
    )  # fmt: skip
    cells = [
        tuple(cell.strip() for cell in line.split("|")[1:4]) for line in table.splitlines() if "%" in line
    ]
    assert ("word, planted", "2", "100.0%") in cells and ("dot, planted", "2", "50.0%") in cells
    assert ("thinned, planted", "1", "100.0%") in cells and ("letter, planted", "1", "0.0%") in cells
    assert ("pairs, cleaned honestly", "1", "0.0%") in cells
    assert ("all that were cleaned honestly", "1", "0.0%") in cells


def test_pages_of_no_text_are_told_apart_in_the_table() -> None:
    assert _row("photographs", [(_photograph(n), 100.0) for n in range(2)])[2] == "100.0%"
    assert _row("maps", [(_map(n), 100.0) for n in range(2)])[2] == "100.0%"
    assert _row("office", [(_office(n), 100.0) for n in range(2)])[2] == "0.0%"


def test_thresholds_are_chosen_by_other_pages_than_those_measured_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []

    def draw(path: Path, index: int) -> guard_pages.Sheet:
        drawn.append(index)
        return guard_pages.Sheet(f"{path.name} {index}", np.full((64, 64), 255, np.uint8), None, "", 100)

    (tmp_path / "born-digital-pdf").mkdir()
    (tmp_path / "born-digital-pdf" / "a.pdf").touch()
    (tmp_path / "office-scans").mkdir()
    for index in range(4):
        cv2.imwrite(str(tmp_path / "office-scans" / f"{index}.png"), np.full((64, 64), 200, np.uint8))
    monkeypatch.setattr(guard_pages, "draw", draw)
    monkeypatch.setattr(guard_pages, "_pairs", lambda *_: ([], []))
    cleaner = load_cleaner(CLEANER, "cpu")
    names = [
        {page.name for page in guard_pages.unseen_pages(tmp_path, [], cleaner, measured=measured)}
        for measured in (False, True)
    ]
    assert {name for name in names[0] if name.endswith("png")} == {"0.png"}
    assert {name for name in names[1] if name.endswith("png")} == {"2.png"}
    assert len(names[0] | names[1]) == 6 and len(set(drawn)) == 4
