"""What `verify` finds: nothing where all is well, and every kind of harm by name."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from jobs import api
from jobs.cli.print_upkeep import print_verification
from jobs.ledger.ledger import Ledger
from jobs.ledger.plan import find_shards
from jobs.ledger.records import Commit, rows_key
from jobs.ledger.runs import RunLog
from jobs.shard.attempt import clean_shard
from jobs.stores.base import Store
from jobs.stores.open import open_store
from jobs.upkeep.verify import Made, Verification
from tests.jobs.upkeep.test_status import RECORD
from tests.samples import RECIPE, Item, archive, endless_tar, fill, members, png, task_of, tiff, workshop

PAGES = [Item(f"{n}.png", png(n)) for n in range(3)]
SIDECARS = [Item("notes.xml", b"<x/>"), Item("folder", kind="directory")]
INNER = archive("zip", [*PAGES, *SIDECARS])
ODD = [Item("in.zip", INNER), Item("link.png", kind="link"), Item("x.tif", tiff([3, 4]))]
BROKEN = [Item("a/broken.jpg", b"\xff\xd8\xff"), Item("p.pdf", b"%PDF-1.7")]
FILES = {
    "box.tar": archive("tar", [*PAGES, *ODD]),
    "box.tar.gz": archive("tar.gz", [*PAGES, *BROKEN]),
    "box.zip": INNER,
    "cut.tar": endless_tar(PAGES),
    "nested-cut.tar": archive("tar", [*PAGES, Item("in.tar", endless_tar(PAGES)), PAGES[0]]),
    "loose/a.png": png(7),
    "loose/b.tif": tiff([1, 2]),
    "loose/c.txt": b"words",
    "loose/d.png": b"no image",
}


def mirror(url: str) -> tuple[Store, Store]:
    """A source and a destination that it was cleaned into."""
    source, destination = open_store(f"{url}/from"), open_store(f"{url}/to")
    fill(source, FILES)
    with workshop(source, destination) as shop:
        for shard in find_shards(source):
            assert clean_shard(task_of(shard), shop)
    record = RECORD.__class__(**{**RECORD.__dict__, "source": source.url})
    RunLog(destination, record)
    return source, destination


def test_what_was_cleaned_is_as_it_was_committed(place_url: str) -> None:
    source, destination = mirror(place_url)
    found = api.verify(destination.url)
    assert found.problems == ()
    assert (found.shards, found.compared, found.exit_code) == (7, 7, 0)
    rows = [pq.read_table(io.BytesIO(destination.get(rows_key(s.key)) or b"")) for s in find_shards(source)]
    assert found.pages == sum(len(one) for one in rows) > 25


@pytest.fixture
def places(tmp_path: Path) -> tuple[Store, Store]:
    return mirror(str(tmp_path))


def problems(destination: Store) -> list[tuple[str, str]]:
    found = api.verify(destination.url)
    assert found.exit_code == (3 if found.problems else 0)
    return [(one.shard, one.what) for one in found.problems]


def test_lost_and_changed_objects(places: tuple[Store, Store]) -> None:
    _, destination = places
    good = destination.get("loose/b.tif")
    assert good is not None
    destination.delete("box.zip")
    destination.put("loose/a.png", b"short")
    destination.put("loose/b.tif", bytes([good[0] ^ 1]) + good[1:])
    destination.delete(rows_key("box.tar"))
    size = len(FILES["loose/a.png"])
    told = problems(destination)
    assert told[0] == ("box.tar", f"{rows_key('box.tar')} is missing.")
    assert told[1] == ("box.zip", "box.zip is missing.")
    assert told[2][1].startswith("loose/a.png has 5 bytes instead of ") and str(size)[0] in told[2][1]
    assert told[3] == ("loose/*", "loose/b.tif has other bytes than those that were committed.")
    assert len(told) == 4


def recommitted(destination: Store, shard: str, key: str, data: bytes, **changes: object) -> None:
    """Falsify an object together with the commit that names it, as a bug of ours would."""
    import hashlib

    from jobs.ledger.records import done_key, record_bytes

    commit = Ledger(destination).commits()[shard]
    destination.put(key, data)
    staged = [
        replace(one, size=len(data), sha256=hashlib.sha256(data).hexdigest()) if one.key == key else one
        for one in commit.staged
    ]
    false: Commit = replace(commit, staged=tuple(staged), **changes)  # type: ignore[arg-type]
    destination.put(done_key(shard, commit.number), record_bytes(false))


def with_rows(destination: Store, shard: str, change: Callable[[list[dict[str, object]]], object]) -> None:
    data = destination.get(rows_key(shard))
    assert data is not None
    table = pq.read_table(io.BytesIO(data))
    rows = table.to_pylist()
    change(rows)
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, table.schema), sink)
    recommitted(destination, shard, rows_key(shard), sink.getvalue())


ROWS: list[tuple[Callable[[list[dict[str, object]]], object], str]] = [
    (lambda rows: rows.pop(1), "2.png page 0 instead of 1.png page 0"),
    (lambda rows: rows.pop(), "x.tif page 1 has no row"),
    (lambda rows: rows.append(rows[0]), "a row for 0.png page 0, which isn't there"),
    (lambda rows: rows[0].update(source_sha256="0"), "0.png in the source is not the file"),
    (lambda rows: rows[0].update(output_sha256="0"), "0.png in the result is not the file"),
    (lambda rows: rows[0].update(recipe="0"), "of another recipe"),
]


@pytest.mark.parametrize(("change", "what"), ROWS)
def test_rows_that_are_not_those_of_the_pages(
    change: Callable[[list[dict[str, object]]], object], what: str, places: tuple[Store, Store]
) -> None:
    with_rows(places[1], "box.tar", change)
    ((shard, told),) = problems(places[1])
    assert shard == "box.tar" and what in told


def test_results_that_are_not_those_of_the_source(places: tuple[Store, Store]) -> None:
    cleaned = members("zip", places[1].get("box.zip") or b"")
    lost = archive("zip", [item for item in cleaned if item.name != "1.png"])
    recommitted(places[1], "box.zip", "box.zip", lost)
    assert problems(places[1]) == [("box.zip", "1.png with 1 pages became 2.png with 1.")]
    recommitted(places[1], "box.zip", "box.zip", archive("zip", [*cleaned, Item("more.txt", b"x")]))
    assert problems(places[1]) == [("box.zip", "more.txt is only in the result.")]
    recommitted(places[1], "box.zip", "box.zip", INNER)  # the source's own bytes
    assert problems(places[1]) == [("box.zip", "0.png in the result is not the file that its row names.")]


def test_a_sidecar_that_is_not_as_it_was(places: tuple[Store, Store]) -> None:
    recommitted(places[1], "loose/*", "loose/c.txt", b"other words")
    assert problems(places[1]) == [("loose/*", "c.txt is no page, but it was changed.")]


def test_a_count_that_is_wrong(places: tuple[Store, Store]) -> None:
    data = places[1].get("box.zip")
    assert data is not None
    recommitted(places[1], "box.zip", "box.zip", data, pages=4)
    assert problems(places[1]) == [("box.zip", "3 pages are there instead of 4.")]


def test_a_source_that_went_on_is_not_compared(places: tuple[Store, Store]) -> None:
    source, destination = places
    source.put("box.zip", b"a new scan")
    source.delete("box.tar")
    found = api.verify(destination.url)
    assert (found.problems, found.shards, found.compared) == ((), 7, 5)
    destination.delete(RECORD.key)
    assert api.verify(destination.url).compared == 0


def told(found: Verification) -> list[str]:
    shown = Console(file=io.StringIO(), highlight=False, soft_wrap=True)
    print_verification(shown, found)
    assert isinstance(shown.file, io.StringIO)
    return shown.file.getvalue().splitlines()


def test_results_of_several_kinds_of_device_are_told(places: tuple[Store, Store]) -> None:
    source, destination = places
    found = api.verify(destination.url)
    assert found.made == (Made(RECIPE.fingerprint, "cpu", 7),) and found.mixed == () and len(told(found)) == 1
    source.put("new.tar", FILES["box.tar"])
    (shard,) = [shard for shard in find_shards(source) if shard.key == "new.tar"]
    with workshop(source, destination) as shop:
        assert clean_shard(task_of(shard), replace(shop, device="cuda"))
    found = api.verify(destination.url)
    assert found.mixed == (Made(RECIPE.fingerprint, "cpu", 7), Made(RECIPE.fingerprint, "cuda", 1))
    assert found.exit_code == 0, "it is as it was meant to be"
    (line,) = told(found)[:-1]
    assert line.endswith(": shards 7 by cpu, 1 by cuda, which may differ by a few grey levels.")
    assert RECIPE.fingerprint in line


def test_a_commit_that_is_not_published_is_a_problem_until_it_is(places: tuple[Store, Store]) -> None:
    source, destination = places
    source.put("new.tar", FILES["box.tar"])
    (shard,) = [shard for shard in find_shards(source) if shard.key == "new.tar"]
    with workshop(source, destination) as shop, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "publish", lambda *_: None)
        assert clean_shard(task_of(shard), shop)
    assert ("new.tar", "new.tar is missing.") in problems(destination)
    Ledger(destination).roll_forward()
    assert problems(destination) == []
