"""The summary of a report: its counts, its bounds, and the shards that it could not read."""

import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from typer.testing import CliRunner

from jobs import api
from jobs.cli.main import app
from jobs.cli.print_report import print_findings
from jobs.errors import InputError
from jobs.ledger.ledger import Ledger
from jobs.ledger.plan import find_shards
from jobs.ledger.records import rows_key
from jobs.report.compact import compact
from jobs.report.findings import SHOWN, Findings, Spread, _Sums
from jobs.report.schema import SCHEMA, Row, write_parquet
from jobs.shard.attempt import clean_shard
from jobs.stores.local import LocalStore
from model.judging.figures import Condition
from tests.samples import Item, archive, fill, png, task_of, workshop

STATE = Condition(0.5, 0.1, 0.01, 0.8, 0.9, 0.1, 0.2)
ROW = Row("a.tar", "1.png", 0, 0, "cleaned", before=STATE, after=STATE)


def counted(rows: Sequence[Row], **columns: list[object]) -> Findings:
    sink = io.BytesIO()
    write_parquet([rows], sink, "20260102T000000Z-0", "recipe", "cpu", 1)
    table = pq.read_table(io.BytesIO(sink.getvalue()))
    for name, values in columns.items():
        index = SCHEMA.names.index(name)
        table = table.set_column(index, SCHEMA.field(index), pa.array(values, SCHEMA.field(index).type))
    sums = _Sums()
    sums.add(table)
    return sums.findings({})


def told(found: Findings) -> str:
    shown = Console(file=io.StringIO(), width=140, highlight=False, soft_wrap=True)
    print_findings(shown, found)
    assert isinstance(shown.file, io.StringIO)
    return shown.file.getvalue()


@pytest.fixture
def cleaned(tmp_path: Path) -> LocalStore:
    """Three shards with five pages, one of them broken."""
    source, destination = LocalStore(tmp_path / "source"), LocalStore(tmp_path / "cleaned")
    boxes = {"a.tar": [png(1), png(2)], "b.tar": [png(3), png(4)[:-20]], "c.tar": [png(5)]}
    for name, pages in boxes.items():
        fill(source, {name: archive("tar", [Item(f"{n}.png", page) for n, page in enumerate(pages)])})
    with workshop(source, destination) as shop:
        for shard in find_shards(source):
            assert clean_shard(task_of(shard, run_id="20260102T000000Z-0"), shop)
    return destination


def test_totals(cleaned: LocalStore) -> None:
    found = api.findings(cleaned.url)
    assert (found.shards, found.pages, found.unread, found.flagged) == (3, 5, {}, 0)
    assert found.statuses == {"cleaned": 4, "failed": 1} and found.errors == {"unreadable": 1}
    assert len(found.worst) == 4 and [p.dirt_after for p in found.worst] == sorted(
        (p.dirt_after for p in found.worst), reverse=True
    )
    assert set(found.spreads) >= {"paper_level", "dirt"}
    assert "5 pages in 3 shards: 4 cleaned, 1 failed\n  unreadable: 1\n" in told(found)


def test_the_queries_of_the_readme(cleaned: LocalStore) -> None:
    ledger = Ledger(cleaned)
    compact(cleaned, ledger.heads(), {})
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    counts, dirtiest = (
        duckdb.sql(query.replace("DST/", f"{cleaned.url}/")).fetchall()
        for query in re.findall(r'duckdb -c "(.+?)"', readme)
    )
    assert sorted(counts) == [("cleaned", None, 4), ("failed", "unreadable", 1)]
    worst = [
        (page.shard, page.member, page.dirt_before, page.dirt_after)
        for page in api.findings(cleaned.url).worst
    ]
    assert sorted(dirtiest[:4]) == sorted(worst) and len(dirtiest) == 5
    assert [row[3] for row in dirtiest[:4]] == sorted((row[3] for row in worst), reverse=True)


def test_only_what_is_newer(cleaned: LocalStore) -> None:
    assert api.findings(cleaned.url, "2026-01-02").pages == 5
    assert (
        api.findings(cleaned.url, "2026-01-03").pages == api.findings(cleaned.url, "2026-01-03").shards == 0
    )
    with pytest.raises(InputError, match="--since yesterday is no day"):
        api.findings(cleaned.url, "yesterday")


def test_an_empty_destination_has_an_empty_report(tmp_path: Path) -> None:
    found = api.findings(str(tmp_path / "none"))
    assert (found.pages, found.spreads, found.worst) == (0, {}, ())
    assert told(found) == "0 pages in 0 shards.\n"
    assert not (tmp_path / "none").exists()


def test_reports_that_cannot_be_read_are_named_and_the_others_count(cleaned: LocalStore) -> None:
    other = SCHEMA.with_metadata({"pumice.schema_version": "2"})
    sink = io.BytesIO()
    pq.write_table(other.empty_table(), sink)
    cleaned.put(rows_key("a.tar"), sink.getvalue())
    cleaned.put(rows_key("b.tar"), b"no Parquet")
    found = api.findings(cleaned.url)
    assert (found.shards, found.pages) == (1, 1) and list(found.unread) == ["a.tar", "b.tar"]
    assert found.unread["a.tar"] == "its report has schema version 2, this version of Pumice reads 1"
    cleaned.delete(rows_key("b.tar"))
    assert api.findings(cleaned.url).unread["b.tar"] == "its report is missing"
    assert "Not counted: b.tar: its report is missing." in told(api.findings(cleaned.url))


def test_the_spread_of_a_measure() -> None:
    states = [replace(STATE, dirt=n / 1000, sharpness=None) for n in range(1000)]
    found = counted([replace(ROW, member=str(n), after=state) for n, state in enumerate(states)])
    before, after = found.spreads["dirt"]
    assert before == Spread(*(pytest.approx(0.2, abs=0.001),) * 3)
    assert after == Spread(*(pytest.approx(share, abs=0.002) for share in (0.1, 0.5, 0.9)))
    assert "sharpness" not in found.spreads, "nothing is known of it after"
    assert [page.member for page in found.worst] == [str(n) for n in range(999, 999 - SHOWN, -1)]


def test_flagged_pages_come_with_their_reasons() -> None:
    rows = [replace(ROW, member=str(n)) for n in range(30)]
    flags: list[object] = [n < 25 or None for n in range(30)]
    lost = [n / 30 for n in range(30)]
    found = counted(rows, needs_review=flags, reasons=[["ink_lost", "dark"]] * 25 + [None] * 5, ink_lost=lost)
    assert found.flagged == 25 and len(found.to_review) == SHOWN
    assert all(page.reasons == ("ink_lost", "dark") for page in found.to_review)
    assert [page.member for page in found.to_review] == [str(n) for n in range(24, 24 - SHOWN, -1)]
    assert "25 pages to look at" in told(found) and "ink_lost, dark" in told(found)


def test_names_from_archives_are_no_markup() -> None:
    found = counted([replace(ROW, member="[red]x[/red] [/]", shard="[bold]b")])
    assert "[red]x[/red] [/]" in told(found) and "[bold]b" in told(found)


def test_the_command(cleaned: LocalStore) -> None:
    answer = CliRunner().invoke(app, ["report", cleaned.url, "--format", "json", "--since", "2026-01-01"])
    assert answer.exit_code == 0 and json.loads(answer.stdout)["statuses"] == {"cleaned": 4, "failed": 1}
    assert "4 cleaned" in CliRunner().invoke(app, ["report", cleaned.url]).stdout
