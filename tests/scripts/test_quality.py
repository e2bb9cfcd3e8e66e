"""The quality run's logic: blocks, tables, targets, kept results. What it measures needs real scans."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.page import Page
from model.shipped import CLEANER
from scripts.blocks import Curve, draw_curves, replace_block, table
from scripts.quality import table as quality_table
from scripts.quality.case import Case, Kind, Method, Task, Weights
from scripts.quality.data import Material
from scripts.quality.methods import NOTHING, TRUTH, PeerFault, network, peers
from scripts.quality.results import Measurement, Results, measure
from scripts.quality.scores import paper_rmse, parse_words, score_untouched
from scripts.quality.table import recipes, section_table, shipped_table
from scripts.quality.targets import Contest, half_of_best, never_worse, targets_table

WEIGHTS = Weights("a1b2c3d4" * 8, 1_000_000, "pumice train --steps 3")


def grey(value: int, size: int = 8) -> Page:
    return np.full((size, size), value, np.uint8)


def measured(
    method: str, kind: Kind, rows: Sequence[dict[str, object]], section: str = "pairs", **more: object
) -> Measurement:
    facts = {"how": "by hand", "about": "two pages", "fingerprint": "f", "machine": "a machine"}
    return Measurement(section, method, kind, rows=list(rows), **{**facts, **more})  # type: ignore[arg-type]


def row(group: str = "g", **figures: float) -> dict[str, object]:
    return {"name": "page", "group": group, **figures}


def test_a_block_is_replaced_and_the_rest_stays() -> None:
    page = "top\n<!-- a -->\nold\n<!-- /a -->\n<!-- b -->\nkept\n<!-- /b -->\n"
    replaced = replace_block(page, "a", r"new \1")
    assert replaced == "top\n<!-- a -->\nnew \\1\n<!-- /a -->\n<!-- b -->\nkept\n<!-- /b -->\n"


@pytest.mark.parametrize("page", ["nothing", "<!-- a -->", "<!-- a --><!-- /a -->" * 2])
def test_a_page_without_its_one_block_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="needs one block <!-- a -->"):
        replace_block(page, "a", "new")


def test_a_table_is_markdown() -> None:
    assert table(["", "x"], [["one", "1"]]) == "|  | x |\n|---|---|\n| one | 1 |"


def test_equal_curves_are_equal_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        curves = [Curve("one", [0, 1], [2, 1]), Curve("two", [0, 1], [3, 2], dashed=True)]
        draw_curves(tmp_path / folder / "c.svg", curves, "title", ("x", "y"), log=True)
    assert (tmp_path / "a" / "c.svg").read_bytes() == (tmp_path / "b" / "c.svg").read_bytes()


def test_paper_rmse_sees_paper_alone() -> None:
    truth, result = grey(255), grey(255)
    truth[:4] = 0
    result[:4] = 90  # ink that came out pale is not paper's fault
    assert paper_rmse(result, truth) == 0
    result[4:] = 204
    assert paper_rmse(result, truth) == pytest.approx(0.2)
    assert paper_rmse(np.repeat(result[..., None], 3, axis=2), truth) == pytest.approx(0.2, abs=0.003)
    assert paper_rmse(grey(255), grey(0)) == 0


def test_a_colour_page_is_compared_with_a_grey_result() -> None:
    page = np.full((8, 8, 3), 255, np.uint8)
    page[2:4] = 0
    case = Case("n", "g", page)
    assert score_untouched(case, page[..., 0]) == {"change": 0, "strokes": 1, "lost": 0}
    assert score_untouched(case, grey(255))["lost"] == 1


def test_tesseracts_table_becomes_words_and_confidence() -> None:
    lines = ["level\tconf\ttext", "4\t-1\t", '5\t90.5\t"quoted', "5\t70.5\ttext", "5\t95\t "]
    assert parse_words("\n".join(lines)) == ('"quoted text', 80.5)
    assert parse_words(lines[0]) == ("", 0)


def test_patterns_take_what_they_match_or_all() -> None:
    material = Material(Path(), ["*/b*"], pages=1, quick=False, reads=False)
    assert material.choose(["x/a", "x/b"]) == (["x/b"], "1 of 2, held out by `*/b*`")
    assert material.choose(["x/a"]) == (["x/a"], "all 1, nothing held out")


def task_of(*cases: Case) -> Task:
    return Task("clean", "pages", cases, lambda case, page: {"change": float(page.mean())})


def test_a_method_is_measured_case_by_case_in_order() -> None:
    cases = [Case(str(value), "g", grey(value), truth=grey(255)) for value in range(10)]
    with ThreadPoolExecutor(2) as pool:
        measurement = measure(task_of(*cases), NOTHING, pool)
        assert measurement.values("change") == list(range(10))
        assert measure(task_of(*cases), TRUTH, pool).mean("change") == 255
        missing = measure(task_of(*cases), replace(NOTHING, missing="apt install it"), pool)
        assert missing.missing and not missing.rows
        cropping = Method("cropping", Kind.PEER, "", lambda case: case.page[1:])
        with pytest.raises(PeerFault, match="made a page of"):
            measure(task_of(*cases), cropping, pool)


def test_other_pixels_make_another_fingerprint() -> None:
    case = Case("n", "g", grey(1), truth=grey(2), text="t")
    changed = [replace(case, page=grey(9)), replace(case, truth=grey(9)), replace(case, text="u")]
    assert task_of(case).fingerprint() == task_of(replace(case)).fingerprint()
    assert len({task_of(one).fingerprint() for one in (case, *changed)}) == 4


def test_results_are_found_again_for_the_same_cases_and_recipe(tmp_path: Path) -> None:
    results = Results(tmp_path)
    ours = Method("Pumice (x)", Kind.OURS, "by hand", lambda case: case.page, weights=WEIGHTS)
    kept = measured(ours.name, ours.kind, [row(rmse=0.1)], weights=WEIGHTS)
    results.keep(kept)
    assert results.find("pairs", "f", ours) == kept
    assert results.of("pairs") == [kept] and results.of("dibco") == []
    assert results.find("pairs", "other", ours) is None
    assert results.find("pairs", "f", replace(ours, how="otherwise")) is None
    assert results.find("pairs", "f", replace(ours, weights=None)) is None


def test_what_was_missing_is_tried_again(tmp_path: Path) -> None:
    peer = Method("unpaper", Kind.PEER, "by hand", lambda case: case.page)
    Results(tmp_path).keep(measured("unpaper", Kind.PEER, [], missing="apt install unpaper"))
    assert Results(tmp_path).find("pairs", "f", peer) is None


def test_only_measurements_of_the_same_cases_share_a_table(tmp_path: Path) -> None:
    results = Results(tmp_path)
    old, new, too = (
        measured(name, Kind.PEER, [], fingerprint=cases)
        for name, cases in (("old", "a"), ("new", "b"), ("too", "b"))
    )
    for one in (old, new, too):
        results.keep(one)
    assert results.of("pairs") == [new, too]


def read(method: str, kind: Kind, a: float, b: float, **more: object) -> Measurement:
    """Pages of two groups, of which the second has three times as many characters."""
    rows = [row("a", cer=a, characters=100), row("b", cer=b, characters=300)]
    return measured(method, kind, rows, "pages", **more)


SECTION = [
    read("Pumice (x)", Kind.OURS, 0.02, 0.04, weights=WEIGHTS),
    read("sharp", Kind.PEER, 0.06, 0.08),
    read("nothing", Kind.NOTHING, 0.01, 0.2),
    measured("absent", Kind.PEER, [], "pages", missing="apt install absent"),
]


def test_a_section_has_rows_in_order_means_groups_and_what_is_missing() -> None:
    lines = section_table("pages", SECTION).splitlines()
    assert lines[0] == "|  | paper RMSE, 0–1 | CER | CER, a | CER, b |"
    assert lines[2:5] == [
        "| nothing | – | 15.25% | 1.00% | 20.00% |",
        "| sharp | – | 7.50% | 6.00% | 8.00% |",
        "| Pumice (x) | – | 3.50% | 2.00% | 4.00% |",
    ]
    assert "Not installed here: absent (apt install absent)." in lines[-1]
    assert section_table("pages", []) == "Not measured yet."


def test_targets_compare_with_nothing_and_the_best_peer() -> None:
    text = targets_table({"pages": SECTION})
    assert "| the same: CER | 15.25% | 7.50% (sharp) | 3.50% | ≤ half the best peer's | yes |" in text
    assert "| the same, a: CER | 1.00% | 6.00% (sharp) | 2.00% | never above doing nothing | **no** |" in text
    assert "| the same, b: CER | 20.00% | 8.00% (sharp) | 4.00% | never above doing nothing | yes |" in text
    assert "| parameters | – | – | – | ≤ 2,000,000 | – |" in text
    assert targets_table({}) == "Not measured yet."


def test_without_a_rival_nothing_is_proved() -> None:
    alone = Contest(0.0, None, None)
    assert not never_worse(alone) and not half_of_best(alone)
    assert never_worse(Contest(0.1, 0.1, None)) and half_of_best(Contest(0.1, None, 0.2))


def test_recipes_name_peers_alone() -> None:
    assert recipes({"pages": SECTION}) == "- absent: `by hand`\n- sharp: `by hand`"


@pytest.mark.parametrize("colour", [False, True])
def test_peers_that_are_installed_keep_a_pages_size(colour: bool) -> None:
    page = np.full((60, 90), 200, np.uint8)
    page[20:30, 20:60] = 40
    case = Case("n", "g", np.repeat(page[..., None], 3, axis=2) if colour else page, 200)
    for method in peers(["Sauvola"]):
        if not method.missing:
            assert method.run(case).shape[:2] == page.shape


def test_the_shipped_weights_card_is_a_table() -> None:
    lines = shipped_table().splitlines()
    assert lines[0].startswith("|  | `pumice-") and lines[2].startswith("| command | `scripts/mix B1.")
    earlier = next(line for line in lines if "begun from" in line)
    assert " steps, seed " in earlier and earlier.endswith(" more |") and "command" not in earlier
    assert max(map(len, lines)) < 1000


def test_a_card_tells_of_a_mean_and_of_what_its_parts_were_begun_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = {"command": "pumice train --out A", "steps": 3000, "seed": 1}
    second = {
        "command": "pumice train --out B",
        "steps": 2000,
        "seed": 2,
        "init": {**first, "note": "by hand"},
    }
    told = {"share": 0.0, "sha256": "what stands elsewhere, too"}
    mean = {
        "command": "scripts/run mix A=0.3 B=0.7",
        "mean": [{"share": 0.3, **first}, {"share": 0.7, **second}, told],
    }
    third = {"command": "pumice train --out C", "steps": 1000, "seed": 3, "init": mean}
    parts = "0.3 of 3,000 steps, seed 1, from 0.7 of 2,000 steps, seed 2, from 3,000 steps, seed 1 (by hand)"
    monkeypatch.setattr(quality_table, "CLEANER", tmp_path / "c.safetensors")
    for card, said in ((mean, parts), (third, f"the mean `scripts/run mix A=0.3 B=0.7`, from {parts}")):
        (tmp_path / "c.json").write_text(json.dumps(card))
        lines = shipped_table().splitlines()
        assert lines[2] == f"| command | `{card['command']}` |"
        assert lines[-1] == f"| begun from (all of it in `c.json`) | {said} |"


def test_a_rule_less_is_another_method() -> None:
    all_rules, one_less = network(CLEANER), network(CLEANER, without=["keep-pictures"])
    assert one_less.name == f"{all_rules.name[:-1]}, without keep-pictures)"
    assert one_less.how != all_rules.how
    # What the network doesn't know as a picture it takes for a stain: a dark field with sharp edges.
    page = np.full((700, 600), 250, np.uint8)
    page[200:500, 150:450] = 90
    page[300:310, 200:400] = 0
    case = Case("a", "drawn", page, 150)
    kept, cleaned = (np.asarray(one.run(case)) for one in (all_rules, one_less))
    assert (kept[220:480, 170:430] == page[220:480, 170:430]).all()
    assert (cleaned[220:480, 170:430] != page[220:480, 170:430]).any()
