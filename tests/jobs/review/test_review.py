"""Reviewers' decisions: originals that come back byte for byte, and stay; withdrawn, replaced, killed."""

import csv
import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from typer.testing import CliRunner

from jobs import api
from jobs.cli.main import app
from jobs.driver import run as runs
from jobs.errors import InputError
from jobs.ledger.records import record_bytes
from jobs.ledger.reviews import read_reviews
from jobs.report.schema import TABLE_SCHEMA
from jobs.report.table import rows
from jobs.review.apply import Applied, record
from jobs.review.decisions import read_decisions
from jobs.stores.base import Store
from jobs.stores.local import LocalStore
from jobs.stores.open import open_store
from tests.chaos.breaking import in_child, kill_at, outcome_of
from tests.chaos.serial import run_serially, work
from tests.samples import Item, archive, digests, fill, frames, is_cleaned, members, png, tiff

INNER = archive("zip", [Item("in.png", png(20)), Item("on.png", png(21))])
PAGES = [Item("1.png", png(1)), Item("2.png", png(2)), Item("inner.zip", INNER), Item("notes.xml", b"<x/>")]
FILES = {
    "box.tar": archive("tar", PAGES),
    "minutes.zip": archive("zip", [Item("m.tif", tiff([5, 6, 7])), Item("same.png", png(8))]),
    "loose/a.png": png(3),
    "loose/b.tif": tiff([4, 9]),
    "loose/broken.png": png(3)[:40],
    "untouched.tar": archive("tar", [Item("1.png", png(30))]),
}
BACK = [
    ("box.tar", "2.png", 0), ("box.tar", "inner.zip!/in.png", 0), ("minutes.zip", "m.tif", 1),
    ("loose/*", "a.png", 0), ("loose/*", "b.tif", 0),
]  # fmt: skip


def table(to: Store) -> dict[tuple[str, str, int], dict[str, Any]]:
    unread: dict[str, str] = {}
    found = [row for batch in rows(to, TABLE_SCHEMA.names, unread) for row in batch.to_pylist()]
    pages = {(row["shard"], row["member"], row["page_index"]): row for row in found}
    assert len(pages) == len(found) and not unread
    return pages


def decisions(to: Store, verdicts: dict[tuple[str, str, int], str], **more: Any) -> dict[str, Any]:
    """What the report's page saves of pages as they are now."""
    pages = table(to)
    made = [
        {
            "shard": page[0], "member": page[1], "member_index": pages[page]["member_index"],
            "page_index": page[2], "output_sha256": pages[page]["output_sha256"], "decision": verdict,
            "sampled": False,
        }
        for page, verdict in verdicts.items()
    ]  # fmt: skip
    return {"pumice_decisions": 1, "destination": to.url, "sample": None, "decisions": made, **more}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return tmp_path / "decisions.json"


@pytest.fixture(autouse=True)
def here() -> Iterator[None]:
    """Runs go on in this process, with the tests' weights."""
    with (
        patch.object(runs, "_work", work),
        patch("jobs.ledger.weights.read_weights", lambda *_: b"weights"),
    ):
        yield


def apply(saved: Path, content: dict[str, Any], **more: Any) -> Applied:
    saved.write_text(json.dumps(content))
    return api.apply_decisions(saved, **more)


@pytest.fixture
def places(tmp_path: Path) -> tuple[LocalStore, LocalStore]:
    source, destination = LocalStore(tmp_path / "source"), LocalStore(tmp_path / "cleaned")
    fill(source, FILES)
    run_serially(source, destination)
    return source, destination


def bytes_of(to: Store, key: str) -> bytes:
    return to.get(key) or b""


def assert_back(to: Store) -> None:
    """The pages of BACK are the originals, all others are as they were."""
    box = {item.name: item.data for item in members("tar", bytes_of(to, "box.tar"))}
    inner = {item.name: item.data for item in members("zip", box["inner.zip"])}
    assert is_cleaned(png(1), box["1.png"]) and box["2.png"] == png(2) and box["notes.xml"] == b"<x/>"
    assert inner["in.png"] == png(20) and is_cleaned(png(21), inner["on.png"])
    minutes = {item.name: item.data for item in members("zip", bytes_of(to, "minutes.zip"))}
    assert is_cleaned(png(8), minutes["same.png"])
    for data, seeds, kept in (
        (minutes["m.tif"], [5, 6, 7], {1}), (bytes_of(to, "loose/b.tif"), [4, 9], {0}),
    ):  # fmt: skip
        for index, (old, new) in enumerate(zip(frames(tiff(seeds)), frames(data), strict=True)):
            assert ((new == old) if index in kept else (new == 255 - old)).all()
    assert bytes_of(to, "loose/a.png") == png(3)


def test_rejected_pages_get_their_originals_back_and_keep_them(
    places: tuple[LocalStore, LocalStore], saved: Path
) -> None:
    source, to = places
    content = decisions(to, dict.fromkeys(BACK, "reject"))
    applied = apply(saved, content)
    assert (applied.rejected, applied.skipped, applied.run.shards) == (5, (), 3)
    assert_back(to)
    state, pages = digests(to), table(to)
    for page in BACK:
        row = pages[page]
        assert (row["status"], row["error_code"], row["decision"]) == (
            "passed_through",
            "rejected",
            "rejected",
        )
        assert row["needs_review"] is False and row["dirt_before"] is None
    assert pages["box.tar", "1.png", 0]["decision"] is None
    assert api.verify(to.url).problems == () and list(to.leftovers()) == []
    night = run_serially(source, to)  # and every night
    assert (night.shards, night.done_before, night.exit_code) == (0, 4, 0) and digests(to) == state
    again = apply(saved, content)
    assert (again.rejected, again.skipped, again.run.shards) == (5, (), 0) and digests(to) == state
    assert api.status(to.url).plan == runs.Plan((), 4, ())


def test_accepted_pages_only_change_the_table(places: tuple[LocalStore, LocalStore], saved: Path) -> None:
    _, to = places
    state = digests(to)
    page, broken = ("box.tar", "1.png", 0), ("loose/*", "broken.png", 0)
    applied = apply(saved, decisions(to, {page: "accept", broken: "accept"}))
    assert (applied.accepted, applied.run.shards, applied.exit_code) == (2, 0, 0) and digests(to) == state
    assert table(to)[page]["decision"] == table(to)[broken]["decision"] == "accepted"
    assert table(to)[page]["needs_review"] is False


def test_a_rejection_can_be_withdrawn(places: tuple[LocalStore, LocalStore], saved: Path) -> None:
    source, to = places
    state = digests(to)
    first = decisions(to, dict.fromkeys(BACK, "reject"))
    apply(saved, first)
    now = decisions(to, {BACK[0]: "accept"})  # as the page shows it now
    then = {**first, "decisions": [{**one, "decision": "accept"} for one in first["decisions"][1:]]}
    assert apply(saved, now).run.shards == 1
    applied = apply(saved, then)
    assert (applied.accepted, applied.skipped) == (4, ()) and digests(to) == state
    assert {table(to)[page]["decision"] for page in BACK} == {"accepted"}
    assert apply(saved, now).skipped == () and digests(to) == state
    assert run_serially(source, to).shards == 0
    assert apply(saved, first).rejected == 5
    assert_back(to)


def test_what_is_cleaned_anew_after_a_withdrawal_was_seen_by_nobody(
    places: tuple[LocalStore, LocalStore], saved: Path
) -> None:
    _, to = places
    apply(saved, decisions(to, {BACK[0]: "reject"}))
    review = read_reviews(to)["box.tar"]  # as if newer weights had cleaned the shard since
    older = replace(review, decisions=(replace(review.decisions[0], recipe="older"),))
    to.put(older.key, record_bytes(older))
    applied = apply(saved, decisions(to, {BACK[0]: "accept"}))
    assert (applied.accepted, applied.run.shards) == (1, 1)
    row = table(to)[BACK[0]]
    assert (row["status"], row["decision"]) == ("cleaned", None)


def test_a_changed_scan_is_cleaned_again(places: tuple[LocalStore, LocalStore], saved: Path) -> None:
    source, to = places
    apply(saved, decisions(to, {("box.tar", "1.png", 0): "reject", ("box.tar", "2.png", 0): "reject"}))
    changed = [Item("1.png", png(99)), *PAGES[1:]]
    fill(source, {"box.tar": archive("tar", changed)})
    run_serially(source, to)
    one, two = members("tar", bytes_of(to, "box.tar"))[:2]
    assert is_cleaned(png(99), one.data) and two.data == png(2)
    pages = table(to)
    assert [pages["box.tar", name, 0]["decision"] for name in ("1.png", "2.png")] == [None, "rejected"]


def test_decisions_that_fit_nothing_are_told_and_skipped(
    places: tuple[LocalStore, LocalStore], saved: Path
) -> None:
    _, to = places
    content = decisions(to, {page: "reject" for page in (*BACK[:3], ("loose/*", "broken.png", 0))})
    replaced, unknown, elsewhere, broken = content["decisions"]
    replaced["output_sha256"] = "0" * 64
    unknown["member_index"] = 77
    elsewhere["shard"] = "../minutes.zip"
    applied = apply(saved, content)
    assert {one.why.split(":")[0] for one in applied.skipped} == {
        "was replaced since it was looked at", "isn't among the pages of its shard",
        "is of a shard that has no result here", "was not cleaned",
    }  # fmt: skip
    assert (applied.exit_code, applied.run.shards, read_reviews(to)) == (3, 0, {})
    assert broken["member"] == "broken.png"


def test_a_page_whose_source_is_gone_stays_cleaned_and_is_told(
    places: tuple[LocalStore, LocalStore], saved: Path
) -> None:
    source, to = places
    source.delete("box.tar")
    state = digests(to)
    applied = apply(saved, decisions(to, {BACK[0]: "reject"}))
    assert [one.why for one in applied.skipped] == [
        "stays cleaned, because its original is gone from the source"
    ]
    assert applied.exit_code == 3 and digests(to) == state
    fill(source, {"box.tar": FILES["box.tar"]})
    content = decisions(to, {BACK[0]: "reject"})
    assert apply(saved, content).skipped == ()
    source.delete("box.tar")
    assert apply(saved, content).skipped == (), "it came back before"


def test_a_kill_at_any_moment_of_recording_and_of_the_run_after_it(tmp_path: Path, saved: Path) -> None:
    source, plain = LocalStore(tmp_path / "source"), LocalStore(tmp_path / "plain")
    fill(source, {key: FILES[key] for key in ("box.tar", "loose/b.tif")})
    run_serially(source, plain)
    back = [BACK[0], BACK[4]]
    content = decisions(plain, dict.fromkeys(back, "reject"))
    apply(saved, content)
    expected, kills, moment = digests(plain), 0, 0
    while True:
        to = LocalStore(tmp_path / f"killed-{moment}")
        run_serially(source, to)
        saved.write_text(json.dumps({**content, "destination": to.url}))

        def go(to: LocalStore = to, moment: int = moment) -> None:
            breaking = kill_at(to, moment)
            with patch.object(api, "open_store", lambda url: breaking if url == to.url else open_store(url)):
                api.apply_decisions(saved)

        end = outcome_of(in_child(go))
        applied = apply(saved, {**content, "destination": to.url})
        assert (applied.rejected, applied.skipped) == (2, ()) and digests(to) == expected
        assert [table(to)[page]["decision"] for page in back] == ["rejected"] * 2
        assert list(to.leftovers()) == [] and api.verify(to.url).problems == ()
        assert run_serially(source, to).shards == 0
        if end != -signal.SIGKILL:
            assert end == 0
            break
        kills, moment = kills + 1, moment + 9
    assert kills > 8


def test_on_s3(s3_url: str, tmp_path: Path, saved: Path) -> None:
    source, to = open_store(f"{s3_url}/from"), open_store(f"{s3_url}/to")
    fill(source, FILES)
    run_serially(source, to)
    applied = apply(saved, decisions(to, dict.fromkeys(BACK, "reject")))
    assert (applied.rejected, applied.skipped, applied.run.shards) == (5, (), 3)
    assert_back(to)
    assert run_serially(source, to).shards == 0 and api.verify(to.url).problems == ()
    assert table(to)[BACK[2]]["decision"] == "rejected"


def test_csv_and_the_sample(places: tuple[LocalStore, LocalStore], tmp_path: Path) -> None:
    source, to = places
    content = decisions(to, {BACK[0]: "reject", ("box.tar", "1.png", 0): "accept"})
    path = tmp_path / "decisions.csv"
    with path.open("w", newline="") as file:
        names = [*content["decisions"][0], "note"]
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(
            [{**one, "sampled": "TRUE", "note": 'a "seal", cut'} for one in content["decisions"]]
        )
    with pytest.raises(InputError, match="give --destination"):
        api.apply_decisions(path)
    told = CliRunner().invoke(app, ["review", "apply", str(path), "--destination", to.url])
    assert told.exit_code == 0, told.output
    assert told.stdout.startswith(
        "1 pages accepted, 1 rejected.\nSample: 2 drawn pages decided, 1 rejected. With 95% confidence "
        "at most 97.47% of the pages that nothing flagged are faulty.\n"
    )
    assert read_reviews(to)["box.tar"].decisions[1].note == 'a "seal", cut'
    assert members("tar", bytes_of(to, "box.tar"))[1].data == png(2)


def test_the_sample_of_the_page(places: tuple[LocalStore, LocalStore], saved: Path) -> None:
    _, to = places
    content = decisions(to, {("box.tar", "1.png", 0): "accept"}, sample={"size": 4, "population": 1000})
    content["decisions"][0]["sampled"] = True
    saved.write_text(json.dumps(content))
    told = CliRunner().invoke(app, ["review", "apply", str(saved)])
    assert told.stdout.splitlines()[1] == (
        "Sample: 1 of 4 drawn pages decided, 0 rejected. With 95% confidence at most 95.00% of the pages "
        "that nothing flagged are faulty, 950 of 1,000 pages."
    )


def test_where_no_run_was_made_nothing_is_written(tmp_path: Path, saved: Path) -> None:
    saved.write_text('{"pumice_decisions": 1, "decisions": []}')
    with pytest.raises(InputError, match="No run was made"):
        api.apply_decisions(saved, str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_of_two_decisions_about_a_page_the_later_counts(
    places: tuple[LocalStore, LocalStore], saved: Path
) -> None:
    _, to = places
    content = decisions(to, {BACK[0]: "reject"})
    content["decisions"].append({**content["decisions"][0], "decision": "accept"})
    saved.write_text(json.dumps(content))
    file = read_decisions(saved)
    assert [one.decision for one in file.decisions] == ["accept"]
    assert record(to, file).skipped == ()
    assert [one.decision for one in read_reviews(to)["box.tar"].decisions] == ["accept"]
