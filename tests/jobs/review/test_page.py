"""The reviewers' page as files: what is listed, pictured and drawn, and what is said of what is missing."""

import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from jobs import api
from jobs.cli.main import app
from jobs.errors import InputError
from jobs.ledger.records import rows_key
from jobs.report.schema import SCHEMA
from jobs.review import page as html_report
from jobs.review import page_rows as html_rows
from jobs.review.page import HtmlReport
from jobs.review.page_data import Encoder
from jobs.review.page_rows import COLUMNS, read_listing
from jobs.stores.base import Store
from tests.html_samples import StandIn, cleaned_place, handed_over, page, synthetic_rows
from tests.samples import Item, archive, encoded, fill

GREYS = {"plain.png": 180, "inner.zip!/deep.png": 150, "loose.png": 160}


@pytest.fixture(autouse=True)
def without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_report, "Guard", StandIn)


def faxes(*greys: int) -> bytes:
    first, *rest = [Image.open(io.BytesIO(page(grey))) for grey in greys]
    return encoded(first, "TIFF", save_all=True, append_images=rest, compression="tiff_lzw")


@pytest.fixture
def places(tmp_path: Path) -> tuple[Store, Store]:
    """Pages of all kinds, one of each kind flagged."""
    inner = archive("zip", [Item("shallow.png", page(90)), Item("deep.png", page(150))])
    files = {
        "a.tar": archive(
            "tar", [Item("x.txt", b"text"), Item("plain.png", page(180)), Item("b.png", page(90))]
        ),
        "b.zip": archive("zip", [Item("inner.zip", inner), Item("fax.tif", faxes(170, 130))]),
        "loose.png": page(160),
        "other.png": page(90),
        "broken.png": page(90)[:-40],
    }
    flags = {**dict.fromkeys(GREYS, ["ink_lost"]), "fax.tif": ["ink_added", "ink_lost"]}
    return cleaned_place(tmp_path, files, flags)


def written(to: Store, folder: Path, sample: int = 0, since: str | None = None) -> HtmlReport:
    return api.write_html(to.url, folder, since, sample, lambda done, of: None)


def grey_of(path: Path) -> float:
    """The grey of a picture's corner."""
    with Image.open(path) as image:
        return float(np.asarray(image.convert("L"))[:10, :10].mean())


def listed(folder: Path) -> list[dict[str, Any]]:
    facts, columns = handed_over(folder, "report"), handed_over(folder, "rows-0")
    measures = columns.pop("measures")
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    for index, row in enumerate(rows):
        row["shard"] = facts["shards"][row["shard"]]
        row["code"] = facts["codes"][row["code"]] if row["code"] >= 0 else None
        row["status"] = facts["statuses"][row["status"]]
        row["reasons"] = facts["reason_sets"][row["reasons"]]
        row["measures"] = {name: values[index] for name, values in measures.items()}
    return rows


def test_flagged_pages_come_first_with_pictures_of_before_and_after(
    places: tuple[Store, Store], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    found = written(places[1], out)
    assert (found.pages, found.listed, found.flagged, found.remarks) == (9, 9, 5, ())
    rows, pictures = listed(out), handed_over(out, "pictures")
    assert [row["flagged"] for row in rows] == [1] * 5 + [0] * 4
    assert (rows[5]["member"], rows[5]["picture"]) == ("broken.png", -1), "then what was not cleaned"
    assert [(row["status"], row["code"]) for row in rows[4:6]] == [
        ("cleaned", None),
        ("failed", "unreadable"),
    ]
    greys = {**GREYS, "fax.tif": None}
    assert {row["member"] for row in rows[:5]} == set(greys)
    for row in rows[:5]:
        grey = GREYS.get(row["member"], (170, 130)[row["page_index"]])
        name = str(out / "pictures" / f"{row['picture']:06d}-")
        assert grey_of(Path(f"{name}before.jpg")) == pytest.approx(grey, abs=2)
        assert grey_of(Path(f"{name}after.jpg")) == pytest.approx(255 - grey, abs=2)
        facts = pictures[str(row["picture"])]
        assert (facts["width"], facts["height"], facts["note"]) == (60, 80, "")
    assert set(rows[0]["measures"]) >= {"dirt_before", "dirt_after", "ink_lost"}


def test_marks_are_where_ink_went(places: tuple[Store, Store], tmp_path: Path) -> None:
    written(places[1], tmp_path / "out")
    (number,) = (row["picture"] for row in listed(tmp_path / "out") if row["member"] == "plain.png")
    (box,) = handed_over(tmp_path / "out", "pictures")[str(number)]["boxes"]
    assert box[4] == "lost" and box[0] < 20 / 60 and box[0] + box[2] > 40 / 60
    with Image.open(tmp_path / "out" / "pictures" / f"{number:06d}-marks.png") as image:
        marks = np.asarray(image)
    assert marks[40, 30].tolist() == [213, 94, 0, 235], "the square, which got lighter"
    assert marks[5, 5].tolist() == [0, 0, 0, 0]


def test_what_the_source_has_no_more_is_said_of_the_page(places: tuple[Store, Store], tmp_path: Path) -> None:
    source, to = places
    source.delete("loose.png")
    fill(source, {"a.tar": archive("tar", [Item("x.txt", b"text"), Item("plain.png", page(10))])})
    written(to, tmp_path / "out")
    pictures = handed_over(tmp_path / "out", "pictures")
    notes = {row["member"]: pictures[str(row["picture"])]["note"] for row in listed(tmp_path / "out")[:5]}
    assert notes["loose.png"] == notes["plain.png"]
    assert notes["plain.png"] == "The source's page is gone, or was changed, since it was cleaned."
    assert notes["fax.tif"] == ""
    shutil.rmtree(source.url)
    found = written(to, tmp_path / "out")
    assert found.pictured and found.remarks[0].startswith("The source can't be read: ")
    pictures = handed_over(tmp_path / "out", "pictures")
    assert all(one["kinds"] == ["after", "thumb"] and one["note"] for one in pictures.values())


def test_a_changed_result_is_not_shown(places: tuple[Store, Store], tmp_path: Path) -> None:
    fill(places[1], {"loose.png": page(10), "a.tar": b"no tar"})
    written(places[1], tmp_path / "out")
    pictures = handed_over(tmp_path / "out", "pictures")
    for row in listed(tmp_path / "out"):
        if row["member"] in ("loose.png", "plain.png"):
            facts = pictures[str(row["picture"])]
            assert "after" not in facts["kinds"] and facts["note"].startswith("The cleaned page is gone")


def test_reports_that_cannot_be_read_are_named(places: tuple[Store, Store], tmp_path: Path) -> None:
    to = places[1]
    sink = io.BytesIO()
    pq.write_table(SCHEMA.with_metadata({"pumice.schema_version": "99"}).empty_table(), sink)
    to.put(rows_key("a.tar"), sink.getvalue())
    to.delete(rows_key("b.zip"))
    found = written(to, tmp_path / "out")
    assert found.pages == 3
    assert "a.tar: its report has schema version 99" in found.remarks[0]
    assert found.remarks[1] == "b.zip: its report is missing; its pages are not here."
    assert handed_over(tmp_path / "out", "report")["remarks"] == list(found.remarks)


def test_what_a_run_left_undone_is_said(places: tuple[Store, Store], tmp_path: Path) -> None:
    fill(places[0], {"later.tar": archive("tar", [Item("1.png", page(1))])})
    assert written(places[1], tmp_path / "out").remarks == (
        "1 shards of the source are not cleaned yet: pumice resume goes on.",
    )


def test_an_empty_place_has_an_empty_page(tmp_path: Path) -> None:
    found = api.write_html(str(tmp_path / "none"), tmp_path / "out", None, 5, lambda done, of: None)
    assert (found.pages, found.listed, found.sample) == (0, 0, 0) and found.index.exists()
    assert handed_over(tmp_path / "out", "report")["sample"] == {"size": 0, "population": 0}
    assert not (tmp_path / "none").exists()


def test_only_what_is_newer(places: tuple[Store, Store], tmp_path: Path) -> None:
    assert written(places[1], tmp_path / "out", since="2026-01-02").pages == 9
    assert written(places[1], tmp_path / "out", since="2026-01-03").pages == 0
    assert not list((tmp_path / "out" / "pictures").iterdir()), "those of the earlier call are gone"


def test_only_folders_of_ours_are_written_over(places: tuple[Store, Store], tmp_path: Path) -> None:
    written(places[1], tmp_path / "out")
    written(places[1], tmp_path / "out")
    foreign = tmp_path / "photos"
    foreign.mkdir()
    (foreign / "holiday.jpg").write_bytes(b"dear to somebody")
    with pytest.raises(InputError, match="holds other files"):
        written(places[1], foreign)
    with pytest.raises(InputError, match="can't be written"):
        written(places[1], foreign / "holiday.jpg")
    assert [path.name for path in foreign.iterdir()] == ["holiday.jpg"]
    for place in places:
        with pytest.raises(InputError, match="among scans"):
            written(places[1], Path(place.url) / "review")


def test_places_on_s3(s3_url: str, tmp_path: Path) -> None:
    files = {"a.tar": archive("tar", [Item("plain.png", page(180))]), "loose.png": page(160)}
    _, to = cleaned_place(s3_url, files, dict.fromkeys(GREYS, ["ink_lost"]))
    assert written(to, tmp_path / "out").remarks == ()
    for row in listed(tmp_path / "out"):
        name = str(tmp_path / "out" / "pictures" / f"{row['picture']:06d}-")
        assert grey_of(Path(f"{name}before.jpg")) == pytest.approx(GREYS[row["member"]], abs=2)


HOSTILE = [
    "</script><script>alert(1)</script>.png",
    "<img src=x onerror=alert(1)>.png",
    "'\"`-->.png",
    "\u202egnp.exe\u2028\u2029.png",
    "=HYPERLINK(1).png",
]


def test_names_cannot_leave_their_strings(tmp_path: Path) -> None:
    pages = [Item(name, page(100)) for name in HOSTILE]
    _, to = cleaned_place(tmp_path, {"a.tar": archive("tar", pages)}, {HOSTILE[0]: ["<b>bad</b>"]})
    written(to, tmp_path / "out", 2)
    assert {row["member"] for row in listed(tmp_path / "out")} == set(HOSTILE)
    for path in (tmp_path / "out" / "data").iterdir():
        assert not re.search(rb"[<\x80-\xff]", path.read_bytes())
    names = {path.name for path in (tmp_path / "out" / "pictures").iterdir()}
    assert names and all(re.fullmatch(r"\d{6}-(before|after|thumb|marks)\.(jpg|png)", name) for name in names)


def test_a_sample_is_drawn_from_unflagged_pages_the_same_each_time() -> None:
    batches = [batch.select(COLUMNS) for batch in synthetic_rows(3000, 100)]
    small, large = read_listing(batches, 50), read_listing(batches[::-1], 200)
    drawn = [
        one.table.filter(pa.compute.greater_equal(one.table["draw"], 0))["member"].to_pylist()
        for one in (small, large)
    ]
    assert len(drawn[0]) == 50 and drawn[1][:50] == drawn[0], "a larger sample begins with the smaller"
    numbers = np.array([int(name[-10:-4]) for name in drawn[1]])
    assert numbers.min() >= 100 and 1200 < numbers.mean() < 1900, "of all the report alike"
    assert (small.population, small.flagged, small.pages) == (2900, 100, 3000)
    assert read_listing(batches, 5000).table.num_rows == 3000
    place = COLUMNS.index("decision")
    decided = [one.set_column(place, "decision", pa.array(["accepted"] * one.num_rows)) for one in batches]
    assert read_listing(decided, 50).population == 0, "what was decided is not unknown"


def test_measures_of_which_nothing_is_known_are_left_out() -> None:
    batches = [batch.select(COLUMNS) for batch in synthetic_rows(10, 1)]
    measures = Encoder(read_listing(batches, 0)).lists()["measures"]
    assert {"ink_lost", "dirt_after"} <= set(measures) and "ssim" not in measures


def test_of_too_many_pages_the_flagged_ones_and_the_sample_are_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(html_rows, "LISTED", 150)
    monkeypatch.setattr(html_rows, "PICTURED", 30)
    batches = [
        part for batch in synthetic_rows(2000, 100) for part in (batch.slice(0, 900), batch.slice(900))
    ]
    found = read_listing([batch.select(COLUMNS) for batch in batches], 20)
    assert found.table.num_rows == 170 and found.pages == 2000 and found.population == 1900
    flags, draws = found.table["needs_review"].to_pylist(), found.table["draw"].to_pylist()
    assert flags == [True] * 100 + [False] * 70 and draws == [-1] * 100 + list(range(20)) + [-1] * 50
    dirt = found.table["dirt_after"].to_pylist()[120:]
    assert dirt == sorted(dirt, reverse=True) and dirt[0] > 0.9
    lost = found.table["ink_lost"].to_pylist()[:100]
    assert lost == sorted(lost, reverse=True)
    pictured = [index for index, number in enumerate(found.table["picture"].to_pylist()) if number >= 0]
    assert pictured == [*range(30), *range(100, 120), *range(120, 140)]


def test_the_command(places: tuple[Store, Store], tmp_path: Path) -> None:
    to = places[1].url
    answer = CliRunner().invoke(app, ["report", to, "--html", str(tmp_path / "out"), "--sample", "2"])
    assert answer.exit_code == 0, answer.output
    assert "9 pages, 5 to look at, 2 drawn at random, 8 with pictures." in answer.stdout
    assert f"Open {tmp_path / 'out' / 'index.html'}" in answer.stdout
    told = CliRunner().invoke(app, ["report", to, "--html", str(tmp_path / "out"), "--format", "json"])
    assert json.loads(told.stdout)["pictured"] == 8
    refused = CliRunner().invoke(app, ["report", to, "--sample", "2"])
    assert isinstance(refused.exception, InputError) and "--html FOLDER" in str(refused.exception)
