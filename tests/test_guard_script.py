import pytest

from scripts import guard_measure
from scripts.guard_kinds import _map, _office, _photograph, _row
from scripts.guard_measure import Scores


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
