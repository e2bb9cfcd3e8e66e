"""Snapshots and the journal: whatever moves or breaks, what is read is what is committed."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.ledger.commit_log import JOURNAL, SNAPSHOTS
from jobs.ledger.heads import Heads
from jobs.ledger.ledger import Ledger
from jobs.ledger.records import Claim, Commit
from jobs.stores.base import ObjectInfo, Store
from jobs.stores.open import open_store
from tests.jobs.ledger.test_heads import dicts
from tests.jobs.ledger.test_ledger import Crash, CrashingStore, commit_of


def claimed(store: Store, shard: str, number: int = 1) -> Commit:
    claim = Claim(shard, number, f"work-{number}", 1, "run")
    assert Ledger(store).claim(claim)
    return commit_of(claim, ())


def done(store: Store, shard: str, number: int = 1) -> Commit:
    commit = claimed(store, shard, number)
    assert Ledger(store).commit(commit)
    Ledger(store).publish(commit)
    return commit


def names(store: Store, prefix: str) -> list[str]:
    return [info.key.removeprefix(prefix) for info in store.list(prefix)]


def assert_true(store: Store) -> None:
    """The short way gives what all commits give."""
    assert dicts(Ledger(store).heads()) == dicts(Heads.of(Ledger(store).each_commit()))


def test_a_snapshot_replaces_the_journal_and_the_one_before(place: Store) -> None:
    for shard in ("a", "b/c", "caf\udce9" if place.url[:3] != "s3:" else "d"):
        done(place, shard)
    assert len(names(place, JOURNAL)) == 3 and names(place, SNAPSHOTS) == []
    Ledger(place).compact(at=4)
    assert names(place, SNAPSHOTS) == []
    Ledger(place).compact(at=3)
    assert len(Ledger(place).heads()) == 3
    assert names(place, JOURNAL) == [] and names(place, SNAPSHOTS) == ["000001.parquet"]
    done(place, "a", 2)
    assert_true(place)
    Ledger(place).compact(at=1)
    assert names(place, JOURNAL) == [] and names(place, SNAPSHOTS) == ["000002.parquet"]
    assert_true(place)
    assert len(Ledger(place).heads()) == 3


class Counting:
    """Counts the requests that a store would make."""

    def __init__(self, store: Store) -> None:
        self._store, self.gets, self.listed = store, 0, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def get(self, key: str) -> bytes | None:
        self.gets += 1
        return self._store.get(key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        for info in self._store.list(prefix):
            self.listed += 1
            yield info


def test_what_is_read_does_not_grow_with_what_is_done(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    for number in range(40):
        done(store, f"{number}.tar")
    Ledger(store).compact(at=1)
    done(store, "new.tar")
    claimed(store, "begun.tar")
    counting = Counting(store)
    assert len(Ledger(counting).heads()) == 41  # type: ignore[arg-type]
    assert counting.gets == 2  # the snapshot and the new commit
    assert counting.listed == 3  # the claim, the journal's entry, the snapshot


def test_what_compacting_reads_does_not_grow_with_what_is_in_work(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    done(store, "old.tar")
    Ledger(store).compact(at=1)
    for number in range(20):
        claimed(store, f"{number}.tar")
    done(store, "new.tar")
    Ledger(store).commit(claimed(store, "unsettled.tar"))
    counting = Counting(store)
    Ledger(counting).compact(at=1)  # type: ignore[arg-type]
    assert counting.gets == 2  # the snapshot and the new commit
    assert counting.listed == 4  # the journal's entry; the snapshot, then both of them
    assert_true(store)
    assert len(Ledger(store).heads()) == 3


def test_a_commit_that_nobody_settled_counts(place: Store) -> None:
    done(place, "a")
    Ledger(place).compact(at=1)
    assert Ledger(place).commit(claimed(place, "b"))
    assert Ledger(place).commit(claimed(place, "a", 2))
    assert_true(place)
    assert len(Ledger(place).heads()) == 2


@pytest.mark.parametrize("damage", [b"", b"garbage"])
def test_a_snapshot_that_cannot_be_read_is_as_good_as_none(place: Store, damage: bytes) -> None:
    for shard in ("a", "b"):
        done(place, shard)
    Ledger(place).compact(at=1)
    done(place, "c")
    place.put(f"{SNAPSHOTS}000001.parquet", damage)
    assert len(Ledger(place).heads()) == 3
    Ledger(place).compact(at=1)
    assert names(place, SNAPSHOTS) == ["000002.parquet"]
    assert_true(place)


def test_a_lost_snapshot_loses_nothing(place: Store) -> None:
    done(place, "a")
    Ledger(place).compact(at=1)
    place.delete(f"{SNAPSHOTS}000001.parquet")
    assert_true(place)
    assert len(Ledger(place).heads()) == 1


def test_a_crash_at_any_step_of_compacting_is_harmless(place: Store) -> None:
    for steps in range(20):
        done(place, f"{steps}-a")
        done(place, f"{steps}-b")
        try:
            Ledger(CrashingStore(place, steps)).compact(at=1)  # type: ignore[arg-type]
            break
        except Crash:
            assert_true(place)
    assert steps > 3
    Ledger(place).compact(at=0)
    assert_true(place)
    assert (names(place, JOURNAL), len(names(place, SNAPSHOTS))) == ([], 1)


class Stepping:
    """Lets something else happen before each request of a store."""

    def __init__(self, store: Store, between: Iterable[Callable[[], object]]) -> None:
        self._store, self._between = store, iter(between)

    def __getattr__(self, name: str) -> object:
        if name in ("list", "get", "create", "delete"):
            next(self._between, lambda: None)()
        return getattr(self._store, name)


EVENTS = st.lists(st.sampled_from(["settle", "commit", "compact", "nothing"]), max_size=12)


@settings(max_examples=60, deadline=None)
@given(EVENTS)
def test_whatever_moves_on_while_it_is_read_is_met_again(events: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder)
        settled = [done(store, f"old-{n}").shard for n in range(3)]
        Ledger(store).compact(at=1)
        open_ones = [claimed(store, f"new-{n}") for n in range(len(events))]
        begun = [claimed(store, f"begun-{n}") for n in range(3)]
        for commit in begun:
            Ledger(store).commit(commit)

        def happen(event: str) -> None:
            if event == "settle" and begun:
                Ledger(store).publish(begun.pop())
            elif event == "commit":
                commit = open_ones.pop()
                Ledger(store).commit(commit)
                Ledger(store).publish(commit)
            elif event == "compact":
                Ledger(store).compact(at=1)

        expected = {*settled, *(commit.shard for commit in begun)}
        stepping = Stepping(store, [lambda event=event: happen(event) for event in events])  # type: ignore[misc]
        Ledger(stepping).compact(at=1)  # type: ignore[arg-type]
        found = Ledger(stepping).heads()  # type: ignore[arg-type]
        assert expected <= {bytes(row["shard"]).decode() for row in dicts(found)}  # type: ignore[call-overload]
        assert_true(store)
        assert {*expected, *settled} <= {bytes(r["shard"]).decode() for r in dicts(Ledger(store).heads())}  # type: ignore[call-overload]


def test_a_slow_writer_of_a_used_number_removes_nothing(place: Store) -> None:
    done(place, "a")
    Ledger(place).compact(at=1)

    def overtake() -> None:
        for shard in ("b", "c"):  # numbers 2 and 3; 2 is removed again
            done(place, shard)
            Ledger(place).compact(at=1)
        done(place, "d")

    done(place, "late")
    nothing = (lambda: None,) * 3  # journal, snapshots, the snapshot; then the journal's commit
    slow = Stepping(place, [*nothing, overtake])
    Ledger(slow).compact(at=1)  # type: ignore[arg-type]
    assert_true(place)
    assert {row["shard"] for row in dicts(Ledger(place).heads())} == {b"a", b"b", b"c", b"d", b"late"}


def test_an_entry_without_its_commit_is_passed_over(place: Store) -> None:
    done(place, "a")
    Ledger(place).compact(at=1)
    place.put(f"{JOURNAL}ghost.c000001", b"")
    place.put(f"{JOURNAL}something else", b"")
    assert len(Ledger(place).heads()) == 1


def test_an_older_number_never_replaces_a_newer(place: Store) -> None:
    first = done(place, "a")
    done(place, "a", 2)
    Ledger(place).compact(at=1)
    Ledger(place).publish(first)  # a zombie's late settling
    assert_true(place)
    assert replace(first, number=2).number == dicts(Ledger(place).heads())[0]["number"]
