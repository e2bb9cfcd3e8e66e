"""The report as one table: readers see every page once, and updates cost only what changed."""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from jobs.ledger.heads import Heads
from jobs.ledger.records import Claim, rows_key
from jobs.ledger.reviews import Decided, Review
from jobs.report import table
from jobs.report.compact import compact
from jobs.report.schema import TABLE_SCHEMA, Row, write_parquet
from jobs.report.table import rows
from jobs.report.table_parts import REPORTS
from jobs.stores.base import Store
from jobs.stores.local import LocalStore
from tests.chaos.serial import run_serially
from tests.jobs.ledger.test_ledger import commit_of
from tests.samples import Item, archive, fill, png

DAY = "20260102T000000Z-0"
NEXT = "20260103T000000Z-0"


def files(store: Store) -> dict[str, int]:
    return {info.key: info.size for info in store.list(REPORTS)}


@dataclass
class Box:
    """A destination with the rows of made-up shards, and the heads that go with them."""

    store: Store
    commits: dict[str, Any] = field(default_factory=dict)
    reviews: dict[str, Review] = field(default_factory=dict)

    def put(self, shard: str, pages: int = 2, number: int = 1, run_id: str = DAY) -> None:
        """Rows as a shard that is committed and published leaves them."""
        row = Row(shard, "", 0, 0, "cleaned", bytes_in=number, reasons=("ink_lost",))
        made = [replace(row, member=f"{n}.png", member_index=n, source_sha256=f"s{n}") for n in range(pages)]
        sink = io.BytesIO()
        blocks = [made[first : first + 100] for first in range(0, pages, 100)]
        write_parquet(blocks, sink, run_id, "recipe", "cpu", number)
        path = Path(self.store.url) / rows_key(shard)  # not durably: it is only read
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sink.getvalue())
        commit = commit_of(Claim(shard, number, f"work-{number}", 1, run_id), ())
        self.commits[shard] = replace(commit, pages=pages)

    @property
    def heads(self) -> Heads:
        return Heads.of(self.commits.values())

    def compact(self, store: Store | None = None) -> None:
        compact(store or self.store, self.heads, self.reviews)

    @property
    def expected(self) -> list[tuple[str, str, int]]:
        return sorted(
            (shard, f"{n}.png", one.number) for shard, one in self.commits.items() for n in range(one.pages)
        )

    def seen(self) -> list[tuple[str, str, int]]:
        """What another engine finds: pages and the number of the commit that they are of."""
        if not files(self.store):
            return []
        found = ds.dataset(f"{self.store.url}/{REPORTS}").to_table()  # type: ignore[no-untyped-call]
        return sorted((row["shard"], row["member"], row["bytes_in"]) for row in found.to_pylist())

    def read(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, int]]:
        """What our own reader finds."""
        monkeypatch.setattr(table.Ledger, "heads", lambda _: self.heads)
        monkeypatch.setattr(table, "read_reviews", lambda _: self.reviews)
        unread: dict[str, str] = {}
        batches = list(rows(self.store, ["member", "shard", "bytes_in"], unread))
        assert unread == {}
        return [(row["shard"], row["member"], row["bytes_in"]) for one in batches for row in one.to_pylist()]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(LocalStore(tmp_path))


def decided(page: int, decision: str) -> Decided:
    return Decided(f"{page}.png", page, 0, f"s{page}", "o", "recipe", decision, False)  # type: ignore[arg-type]


def test_a_table_in_partitions_by_day(box: Box) -> None:
    box.put("a.tar")
    box.put("caf\udce9.tar", run_id=NEXT)
    box.put("empty.tar", pages=0)
    box.compact()
    names = list(files(box.store))
    assert [name.split("/")[2] for name in names] == ["run_date=2026-01-02", "run_date=2026-01-03"]
    found = duckdb.sql(
        "select run_date, shard, count(*), count(decision) "
        f"from read_parquet('{box.store.url}/{REPORTS}**/*.parquet', hive_partitioning=true) "
        "where run_date >= date '2026-01-02' group by all order by all"
    ).fetchall()
    assert [(str(day), *more) for day, *more in found] == [
        ("2026-01-02", "a.tar", 2, 0), ("2026-01-03", r"caf\xe9.tar", 2, 0),
    ]  # fmt: skip
    one = pq.ParquetFile(f"{box.store.url}/{names[0]}")
    assert one.schema_arrow.names == TABLE_SCHEMA.names and "run_date" not in TABLE_SCHEMA.names
    box.compact()
    assert list(files(box.store)) == names, "nothing changed"


def test_hive_partitions_read_the_same_in_arrow(box: Box) -> None:
    box.put("a.tar")
    box.put("b.tar", run_id=NEXT)
    box.compact()
    dataset = ds.dataset(f"{box.store.url}/{REPORTS}", partitioning="hive")  # type: ignore[no-untyped-call]
    found = dataset.to_table(filter=ds.field("run_date") == "2026-01-03", columns=["shard"])
    assert found["shard"].to_pylist() == ["b.tar"] * 2


def test_what_is_done_again_or_gone_leaves_the_table(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c", "d"):
        box.put(name)
    box.compact()
    box.put("a", pages=3, number=2, run_id=NEXT)
    box.commits["b"] = replace(box.commits["b"], work="", number=2, pages=0)  # voided
    assert box.read(monkeypatch) == [
        ("c", "0.png", 1),
        ("c", "1.png", 1),
        ("d", "0.png", 1),
        ("d", "1.png", 1),
    ] + [("a", f"{n}.png", 2) for n in range(3)]
    box.compact()
    assert box.seen() == box.expected and len(files(box.store)) == 2
    assert sorted(box.read(monkeypatch)) == box.expected


def test_a_shard_that_is_committed_but_not_published_is_taken_up_later(box: Box) -> None:
    box.put("a")
    published = box.commits["a"]
    box.commits["a"] = replace(published, number=2)
    box.compact()
    assert [number for _, _, number in box.seen()] == [1, 1], "what is visible"
    box.put("a", number=2)
    box.compact()
    assert box.seen() == box.expected


def test_decisions_join_their_rows(box: Box) -> None:
    def column() -> list[tuple[object, ...]]:
        path = f"{box.store.url}/{REPORTS}**/*.parquet"
        return duckdb.sql(f"select member, decision, needs_review from '{path}' order by 1").fetchall()

    box.put("a", pages=4)
    box.compact()
    review = Review("a", (decided(0, "accept"), decided(1, "reject")))
    stale = replace(decided(2, "accept"), recipe="older"), replace(decided(3, "reject"), source_sha256="x")
    box.reviews["a"] = review.with_(stale)
    box.compact()
    assert column() == [
        ("0.png", "accepted", False),
        ("1.png", "rejected", False),
        ("2.png", None, True),
        ("3.png", None, True),
    ]
    before = files(box.store)
    box.compact()
    assert files(box.store) == before
    box.reviews["a"] = box.reviews["a"].with_([decided(1, "accept")])
    box.compact()
    assert column()[1] == ("1.png", "accepted", False) and len(files(box.store)) == 1


def test_a_part_that_vanishes_while_it_is_read_costs_no_row(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "GROUP_ROWS", 3)
    for shard in ("a", "b", "c"):
        box.put(shard, pages=4)
    box.compact()
    monkeypatch.setattr(table.Ledger, "heads", lambda _: box.heads)
    found: list[tuple[str, str]] = []
    for batch in rows(box.store, ["shard", "member"], unread := {}):
        found += [(row["shard"], row["member"]) for row in batch.to_pylist()]
        (key,) = files(box.store) or [""]
        if key:
            box.store.put(key, box.store.get(key) or b"")  # another version, as on S3 a deleted one
            box.store.delete(key)
    assert unread == {} and sorted(found) == sorted(one[:2] for one in box.expected)
    assert len(found) == len(set(found)) == 12


def keys_of(found: Sequence[dict[str, object]]) -> list[tuple[object, ...]]:
    return sorted((row["shard"], row["member"], row["page_index"]) for row in found)


def test_runs_keep_the_table_up_to_date(place_url: str, tmp_path: Path) -> None:
    from jobs.stores.open import open_store

    source, destination = LocalStore(tmp_path / "source"), open_store(f"{place_url}/cleaned")
    pages = [Item(f"{n}.png", png(n)) for n in range(3)]
    fill(source, {"a.tar": archive("tar", pages), "b.zip": archive("zip", pages[:1]), "c.xml": b"<x/>"})
    run_serially(source, destination)
    first = files(destination)
    assert len(first) == 1
    run_serially(source, destination)
    assert files(destination) == first, "nothing to do"
    fill(source, {"a.tar": archive("tar", pages[:2])})
    run_serially(source, destination)
    unread: dict[str, str] = {}
    found = [row for batch in rows(destination, TABLE_SCHEMA.names, unread) for row in batch.to_pylist()]
    expected = [("a.tar", "0.png", 0), ("a.tar", "1.png", 0), ("b.zip", "0.png", 0)]
    assert keys_of(found) == expected and unread == {} and len(files(destination)) == 1
    copy = tmp_path / "copy"
    fill(LocalStore(copy), {key: destination.get(key) or b"" for key in files(destination)})
    query = f"select * from read_parquet('{copy}/{REPORTS}**/*.parquet', hive_partitioning=true)"
    assert keys_of(duckdb.sql(query).to_arrow_table().to_pylist()) == expected
    assert os.path.commonprefix(list(files(destination))).startswith(f"{REPORTS}run_date=20")
