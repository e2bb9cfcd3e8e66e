"""Compaction: its cost, and what it leaves behind if it is killed, run twice or broken."""

import io
import signal
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.errors import StoreError
from jobs.ledger.records import rows_key
from jobs.report import compact as table_compact
from jobs.report import table, table_parts
from jobs.report.compact import compact
from jobs.stores.base import ObjectInfo, Store
from jobs.stores.local import LocalStore
from tests.chaos.breaking import in_child, kill_at, outcome_of
from tests.jobs.report.test_table import NEXT, Box, files

REPORTS = table_parts.REPORTS


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(LocalStore(tmp_path))


class Counting:
    """Counts the requests that a store would make."""

    def __init__(self, store: Store) -> None:
        self._store, self.made, self.listed = store, list[str](), 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name in ("url", "list"):
            return method

        def counted(*arguments: Any) -> Any:
            self.made.append(name)
            return method(*arguments)

        return counted

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        for info in self._store.list(prefix):
            self.listed += 1
            yield info


def test_thousands_of_shards_are_few_files_and_a_night_touches_few(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_compact, "PART_ROWS", 1000)
    monkeypatch.setattr(table_parts, "PART_ROWS", 1000)
    monkeypatch.setattr(table_compact, "SMALL_ROWS", 125)
    monkeypatch.setattr(table, "GROUP_ROWS", 300)
    for number in range(2000):
        box.put(f"{number:04}", pages=2)
    box.compact()
    assert box.seen() == box.expected and 4 <= len(files(box.store)) <= 5
    for night in range(1, 5):  # a few new ones each night, and one that was scanned again
        box.put(f"new-{night}", run_id=NEXT)
        box.put(f"{night * 7:04}", number=2, run_id=NEXT)
        before, counting = files(box.store), Counting(box.store)
        box.compact(counting)  # type: ignore[arg-type]
        assert counting.listed <= 8 and len(counting.made) <= 20, counting.made
        assert counting.made.count("get") == 2, "the new shards' own rows"
        assert len(files(box.store).keys() - before.keys()) <= 2
        assert len(files(box.store)) <= 7
    assert box.seen() == box.expected
    counting = Counting(box.store)
    box.compact(counting)  # type: ignore[arg-type]
    assert set(counting.made) == {"open"} and len(counting.made) == len(files(box.store))


def test_a_large_shard_streams_and_stays_in_one_part(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((table, "GROUP_ROWS"), (table_parts, "GROUP_ROWS")):
        monkeypatch.setattr(module, name, 50)
    monkeypatch.setattr(table_parts, "PART_ROWS", 120)
    for shard, pages in (("a", 30), ("huge", 400), ("z", 100)):
        box.put(shard, pages)
    assert sorted(box.read(monkeypatch)) == box.expected
    box.compact()
    assert box.seen() == box.expected and sorted(box.read(monkeypatch)) == box.expected
    parts = [pq.ParquetFile(f"{box.store.url}/{key}").metadata.num_rows for key in files(box.store)]
    assert sorted(parts) == [30, 100, 400]


def test_many_days_at_once_keep_few_files_open(box: Box) -> None:
    days = [f"202601{day:02}T000000Z-0" for day in range(1, 10)]
    for number, day in enumerate([*days, *days]):
        box.put(f"{number:02}", run_id=day)
    box.compact()
    assert box.seen() == box.expected and len(files(box.store)) <= 18
    for number, day in enumerate(days):
        box.put(f"late-{number}", run_id=day)
    box.compact()
    assert box.seen() == box.expected and len(files(box.store)) == 9, "small ones are merged"


def test_a_part_that_is_damaged_or_foreign_is_made_anew(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    for shard in ("a", "b"):
        box.put(shard)
    box.compact()
    (key,) = files(box.store)
    whole = box.store.get(key)
    assert whole is not None
    foreign = io.BytesIO()
    pq.write_table(pa.table({"mine": [1]}), foreign)
    for data in (b"", b"garbage", whole[:-9], foreign.getvalue()):
        box.store.put(key, data)
        assert sorted(box.read(monkeypatch)) == box.expected
        box.compact()
        assert box.seen() == box.expected and key not in files(box.store)
        box.store.delete(next(iter(files(box.store))))
    middle = bytearray(whole)
    middle[4:600] = bytes(596)
    box.store.put(key, bytes(middle))  # its footer is whole
    assert sorted(box.read(monkeypatch)) == box.expected
    box.put("b", number=2)
    box.compact()
    box.compact()
    assert box.seen() == box.expected


def test_a_shard_whose_rows_cannot_be_read_is_left_out(box: Box) -> None:
    for shard in ("a", "b", "c"):
        box.put(shard)
    box.store.put(rows_key("a"), b"no Parquet")
    box.store.delete(rows_key("b"))
    box.compact()
    assert {shard for shard, _, _ in box.seen()} == {"c"}
    box.put("a")
    box.compact()
    assert {shard for shard, _, _ in box.seen()} == {"a", "c"}


def test_a_large_shard_that_breaks_off_is_taken_up_again(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "GROUP_ROWS", 50)
    box.put("a")
    box.put("huge", pages=400)
    path = Path(box.store.url) / rows_key("huge")
    whole = path.read_bytes()
    damaged, at = bytearray(whole), pq.ParquetFile(path).metadata.row_group(2).column(2).data_page_offset
    damaged[at : at + 40] = bytes(40)
    path.write_bytes(damaged)
    monkeypatch.setattr(table.Ledger, "heads", lambda _: box.heads)
    list(table.rows(box.store, ["shard"], unread := {}))
    assert list(unread) == ["huge"]
    box.compact()
    assert set(box.seen()) < set(box.expected) and [one for one in box.seen() if one[0] == "a"]
    path.write_bytes(whole)
    box.compact()
    assert box.seen() == box.expected


def test_kills_at_any_moment_lose_and_double_nothing_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = 0
    while True:
        box = Box(LocalStore(tmp_path / uuid.uuid4().hex))
        for shard in ("a", "b", "c"):
            box.put(shard)
        box.put("late", run_id=NEXT)
        box.compact()
        box.put("a", number=2, run_id=NEXT)
        box.put("new", run_id=NEXT)
        end = outcome_of(in_child(partial(box.compact, kill_at(box.store, kills))))
        seen = box.seen()
        assert set(box.expected) - set(seen) <= {one for one in box.expected if one[0] in ("a", "new")}
        assert sorted(box.read(monkeypatch)) == box.expected, "our own reader is never wrong"
        box.compact()
        assert box.seen() == box.expected and len(files(box.store)) == 2
        assert list(box.store.leftovers()) == []
        if end != -signal.SIGKILL:
            assert end == 0
            break
        kills += 1
    assert kills >= 6


def test_two_at_once_double_nothing_for_good(box: Box) -> None:
    for shard in ("a", "b"):
        box.put(shard)
    box.compact()
    box.put("a", number=2)
    state = box.heads, dict(box.reviews)

    class Slow(Counting):
        def __getattr__(self, name: str) -> Any:
            if name == "create" and not self.made.count("create"):
                self.made.append("create")
                compact(box.store, *state)
            return getattr(self._store, name)

    compact(Slow(box.store), *state)  # type: ignore[arg-type]
    assert set(box.seen()) == set(box.expected) and len(box.seen()) == 2 * len(box.expected)
    box.compact()
    assert box.seen() == box.expected


def test_a_place_that_breaks_ends_it_with_its_own_words(box: Box) -> None:
    box.put("a")

    class Broken(Counting):
        def create(self, key: str, data: bytes) -> bool:
            raise StoreError("away")

    with pytest.raises(StoreError, match="away"):
        compact(Broken(box.store), box.heads, {})  # type: ignore[arg-type]
    assert files(box.store) == {}
