import errno
import io
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import astuple, fields, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.archives.open import kind_of
from jobs.config import Limits
from jobs.errors import DestinationFull, PumiceError, SourceChanged, StoreError, TooManyFailed
from jobs.ledger.ledger import Ledger
from jobs.ledger.plan import find_shards
from jobs.ledger.records import ROWS, Claim, rows_key
from jobs.shard.attempt import MANY, clean_shard
from jobs.stores.base import LEDGER, Staged, Store, Upload
from jobs.stores.local import LocalStore
from jobs.stores.open import open_store
from model.judging.condition import at_scale, condition
from model.judging.figures import Condition
from tests.samples import (
    Inverter,
    Item,
    archive,
    encoded,
    endless_tar,
    fill,
    frames,
    is_cleaned,
    members,
    pixels,
    png,
    report_rows,
    task_of,
    the_shard,
    tiff,
    workshop,
)

FOUR = [Item(f"{n}.png", png(n)) for n in range(4)]
SIDECAR = Item("large.xml", random.Random(1).randbytes(5 << 20))


class Telling(Inverter):
    """Calls back at its first page."""

    def __init__(self, tell: Callable[[], object]) -> None:
        super().__init__()
        self._tell = tell

    def clean(self, pages):  # type: ignore[no-untyped-def]
        if not self.calls:
            self._tell()
        return super().clean(pages)


@pytest.fixture
def source(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "source")


@pytest.fixture
def destination(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "destination")


def everything(store: LocalStore) -> list[str]:
    """All files there are, also those that no listing shows, but for the ledger's claims."""
    root = Path(store.url)
    found = (str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    return sorted(name for name in found if not name.startswith(f"{LEDGER}/claims/"))


def data_of(store: Store, key: str) -> bytes:
    data = store.get(key)
    assert data is not None
    return data


def test_a_shard_from_end_to_end_on_both_kinds_of_place(place_url: str) -> None:
    items = [*FOUR, Item("notes.xml", b"<x/>"), Item("in.zip", archive("zip", FOUR[:2]))]
    data = archive("tar.gz", items)
    source, destination = open_store(f"{place_url}/from"), open_store(f"{place_url}/to")
    fill(source, {"2024/box.tar.gz": data})
    shard = the_shard(source)
    with workshop(source, destination) as shop:
        commit = clean_shard(task_of(shard), shop)
        assert shop.bench.meter.now.pages == 6 and shop.bench.meter.now.bytes_read >= len(data)
    assert commit and Ledger(destination).commits() == {shard.key: commit}
    after = members("tar.gz", data_of(destination, "2024/box.tar.gz"))
    assert [item.name for item in after] == [item.name for item in items]
    assert all(is_cleaned(old.data, new.data) for old, new in zip(FOUR, after[:4], strict=True))
    assert after[4].data == b"<x/>"
    rows = report_rows(destination, shard)
    assert [row["member"] for row in rows][4:] == ["in.zip!/0.png", "in.zip!/1.png"]
    assert {row["run_id"] for row in rows} == {"run-1"} and {row["device"] for row in rows} == {"cpu"}
    facts = (commit.members, commit.pages, commit.cleaned, commit.passed_through, commit.failed)
    assert facts == (8, 6, 6, 0, 0)
    assert (commit.pixels, commit.bytes_in, commit.damaged) == (6 * 12 * 8, len(data), None)
    assert commit.bytes_out == len(data_of(destination, "2024/box.tar.gz"))
    assert Ledger(destination).claims() == {}


def test_cleaned_pages_are_measured_before_and_after(source: LocalStore, destination: LocalStore) -> None:
    fax = encoded(Image.fromarray(pixels(2) > 127), "TIFF", compression="group4", dpi=(300, 300))
    files = {"broken.png": png(1)[:-20], "fax.tif": fax, "grey.png": png(3, 90, 80)}
    fill(source, files)
    shard = the_shard(source)
    with workshop(source, destination) as shop:
        assert clean_shard(task_of(shard), shop)
    rows = {row["member"]: row for row in report_rows(destination, shard)}
    for name, data in files.items():
        for when, file in (("before", data), ("after", data_of(destination, name))):
            told = [rows[name][f"{measure.name}_{when}"] for measure in fields(Condition)]
            if name == "broken.png":
                assert told == [None] * 7
            else:  # as Pillow alone reads the files
                grey = np.asarray(frames(file)[0], np.uint8) * (255 if name == "fax.tif" else 1)
                figures = astuple(condition(*at_scale(grey, (300, 300))))
                assert told == pytest.approx(list(figures), abs=1e-6)


def test_loose_files_keep_their_tree(source: LocalStore, destination: LocalStore) -> None:
    files = {
        "a.png": png(1),
        "deep/b.tif": tiff([2, 3]),
        "deep/c.txt": b"words",
        "deep/d.pdf": b"%PDF-1.7",
        "deep/e.png": b"",
        "deep/\udce9.png": png(4),
        "deep/f.xml": SIDECAR.data,
    }
    fill(source, files)
    rows = []
    for shard in find_shards(source):
        with workshop(source, destination) as shop:
            assert clean_shard(task_of(shard), shop)
        rows += report_rows(destination, shard)
    assert [info.key for info in destination.list()] == [info.key for info in source.list()]
    for key, before in files.items():
        after = data_of(destination, key)
        cleaned = key.endswith((".png", ".tif")) and before
        assert is_cleaned(before, after) if cleaned else after == before
    assert sorted((str(row["member"]), row["status"], row["error_code"]) for row in rows) == [
        ("\\xe9.png", "cleaned", None),
        ("a.png", "cleaned", None),
        ("b.tif", "cleaned", None),
        ("b.tif", "cleaned", None),
        ("d.pdf", "passed_through", "unsupported_format"),
        ("e.png", "failed", "unreadable"),
    ]


@pytest.mark.parametrize(("name", "code"), [("a.tar", "archive_truncated"), ("a.zip", "archive_truncated")])
def test_a_damaged_archive_is_mirrored_as_it_is(
    name: str, code: str, source: LocalStore, destination: LocalStore
) -> None:
    data = endless_tar(FOUR) if kind_of(name) == "tar" else archive("zip", FOUR)[:-30]
    fill(source, {name: data})
    with workshop(source, destination) as shop:
        commit = clean_shard(task_of(the_shard(source)), shop)
    assert commit and commit.damaged == code and commit.cleaned == 0 and commit.failed == 1
    assert data_of(destination, name) == data
    statuses = [row["status"] for row in report_rows(destination, the_shard(source))]
    assert statuses == ["passed_through"] * (4 if name == "a.tar" else 0) + ["failed"]
    assert len(everything(destination)) == 4  # the mirror, the report, the commit, the journal's entry


def test_the_same_bytes_whatever_the_threads(source: LocalStore, tmp_path: Path) -> None:
    items = [*FOUR, Item("b.tif", tiff(range(5))), *FOUR, Item("in.tar", archive("tar", FOUR))]
    fill(source, {"a.zip": archive("zip", items)})
    found = []
    for threads, pause_s in ((1, 0.005), (4, 0)):
        destination = LocalStore(tmp_path / str(threads))
        cleaner, limits = Inverter(pause_s), Limits(window_bytes=20_000)
        with workshop(source, destination, cleaner, threads, 300, limits) as shop:
            assert clean_shard(task_of(the_shard(source)), shop)
        found.append(data_of(destination, "a.zip"))
    assert found[0] == found[1]


def test_an_attempt_that_somebody_has_is_left_to_them(source: LocalStore, destination: LocalStore) -> None:
    fill(source, {"a.tar": archive("tar", FOUR)})
    task = task_of(the_shard(source))
    Ledger(destination).claim(Claim(task.shard.key, task.number, task.work, task.attempt, "other"))
    cleaner = Inverter()
    with workshop(source, destination, cleaner) as shop:
        assert clean_shard(task, shop) is None
    assert (cleaner.calls, everything(destination)) == (0, [])


def test_what_another_run_did_since_the_planning_is_not_done_again(
    source: LocalStore, destination: LocalStore
) -> None:
    fill(source, {"a.tar": archive("tar", FOUR)})
    task = task_of(the_shard(source))
    with workshop(source, destination) as other:
        assert clean_shard(task_of(the_shard(source), run_id="other"), other)
    cleaner = Inverter()
    with workshop(source, destination, cleaner) as shop:
        assert clean_shard(task, shop) is None
    assert cleaner.calls == 0 and Ledger(destination).claims() == {}


def test_a_lost_race_leaves_the_winner_alone(source: LocalStore, destination: LocalStore) -> None:
    fill(source, {"a.tar": archive("tar", FOUR)})
    shard = the_shard(source)

    def overtake() -> None:
        with workshop(source, destination) as other:
            assert clean_shard(task_of(shard, attempt=2, run_id="run-2"), other)

    with workshop(source, destination, Telling(overtake)) as shop:
        assert clean_shard(task_of(shard), shop) is None
    assert Ledger(destination).commits()[shard.key].run_id == "run-2"
    assert {row["run_id"] for row in report_rows(destination, shard)} == {"run-2"}
    assert len(everything(destination)) == 4
    assert Ledger(destination).claims() == {}


def assert_nothing_left(destination: Store) -> None:
    if isinstance(destination, LocalStore):
        assert everything(destination) == []
        return
    from jobs.stores.s3_client import client
    from tests.s3_server import BUCKET

    assert list(destination.list()) == list(destination.list(ROWS)) == []
    uploads = client().list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    assert [one["Key"] for one in uploads if destination.url.endswith(one["Key"].split("/")[0])] == []


@pytest.mark.parametrize("files", [False, True])
def test_a_broken_network_leaves_nothing(files: bool, place: Store, source: LocalStore) -> None:
    loose = {item.name: item.data for item in FOUR}
    fill(source, loose if files else {"a.tar": archive("tar", FOUR)})
    limits = Limits(window_bytes=1)
    with (
        workshop(source, place, Inverter(fail_at=2), limits=limits) as shop,
        pytest.raises(RuntimeError, match="broke"),
    ):
        clean_shard(task_of(the_shard(source)), shop)
    assert_nothing_left(place)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("tar", "rewritten"),  # removed while it is open, it stays readable: nothing is lost
        ("zip", "rewritten"),
        ("damaged", "rewritten"),
        ("damaged", "removed"),
        ("files", "rewritten"),
        ("files", "removed"),
    ],
)
def test_a_source_that_changes_leaves_nothing(
    kind: str, change: str, source: LocalStore, destination: LocalStore
) -> None:
    last = Item("z.png", png(5))
    if kind == "files":
        fill(source, {item.name: item.data for item in (*FOUR, last)})
        victim = "z.png"
    else:
        victim = "a.zip" if kind == "zip" else "a.tar"
        items = [*FOUR, SIDECAR, last]
        fill(source, {victim: archive("zip", items) if kind == "zip" else archive("tar", items)})
        if kind == "damaged":
            fill(source, {victim: endless_tar(FOUR)})
    path = Path(source.url) / victim

    def act() -> None:
        if change == "rewritten":
            path.write_bytes(b"something else")
        else:
            path.unlink()

    shard = the_shard(source)
    limits = Limits(window_bytes=1)
    with workshop(source, destination, Telling(act), limits=limits) as shop, pytest.raises(SourceChanged):
        clean_shard(task_of(shard), shop)
    assert everything(destination) == []


def test_a_source_that_is_gone_leaves_nothing(source: LocalStore, destination: LocalStore) -> None:
    fill(source, {"a.tar": archive("tar", FOUR)})
    shard = the_shard(source)
    source.delete("a.tar")
    with workshop(source, destination) as shop, pytest.raises(SourceChanged):
        clean_shard(task_of(shard), shop)
    assert everything(destination) == []


def test_a_shard_of_which_most_pages_fail_is_an_attempt_that_failed(
    source: LocalStore, destination: LocalStore
) -> None:
    broken = [Item(f"{n}.jpg", b"no image") for n in range(MANY)]
    fill(source, {"a.tar": archive("tar", [*FOUR, *broken])})
    with workshop(source, destination) as shop:
        with pytest.raises(TooManyFailed, match=r"10 of 14 pages failed.*--max-failed-pages"):
            clean_shard(task_of(the_shard(source)), replace(shop, max_failed=0.5))
        assert everything(destination) == []
        assert clean_shard(task_of(the_shard(source), attempt=2), replace(shop, max_failed=10 / 14))


@pytest.mark.parametrize("name", ["few.tar", "cut.tar"])
def test_pages_that_are_few_or_of_a_damaged_archive_are_not_held_against_the_storage(
    name: str, source: LocalStore, destination: LocalStore
) -> None:
    broken = [Item(f"{n}.jpg", b"no image") for n in range(MANY - 1 if name == "few.tar" else MANY)]
    fill(source, {name: archive("tar", broken) if name == "few.tar" else endless_tar(broken)})
    with workshop(source, destination) as shop:
        assert clean_shard(task_of(the_shard(source)), replace(shop, max_failed=0))


class _Filling:
    """An upload onto a disk that fills up."""

    def __init__(self, upload: Upload, room: int, abort_breaks: bool) -> None:
        self._upload, self._room, self._abort_breaks = upload, room, abort_breaks

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        self._room -= len(data)
        if self._room < 0:
            raise DestinationFull("No space is left.")
        return self._upload.write(data)

    def finish(self) -> Staged:
        return self._upload.finish()

    def abort(self) -> None:
        self._upload.abort()
        if self._abort_breaks:
            raise StoreError("The disk is gone altogether.")


class FullStore(LocalStore):
    """A folder on a disk that fills up at an object."""

    def __init__(self, root: Path, key: str, *, broken: bool = False) -> None:
        super().__init__(root)
        self._key, self._broken = key, broken

    def stage(self, key: str, attempt: str) -> Upload:  # type: ignore[override]
        upload = super().stage(key, attempt)
        return _Filling(upload, 100 if key == self._key else 10**9, self._broken)

    def discard(self, staged: Staged) -> None:
        super().discard(staged)
        if self._broken:
            raise StoreError("The disk is gone altogether.")


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("key", ["a.tar", "2.png", "report"])
def test_a_full_destination_leaves_nothing(
    key: str, broken: bool, source: LocalStore, tmp_path: Path
) -> None:
    loose = {item.name: item.data for item in FOUR}
    fill(source, loose if key != "a.tar" else {key: archive("tar", FOUR)})
    shard = the_shard(source)
    at = rows_key(shard.key) if key == "report" else key
    destination = FullStore(tmp_path / "destination", at, broken=broken)
    with workshop(source, destination) as shop, pytest.raises(DestinationFull):
        clean_shard(task_of(shard), shop)
    assert everything(destination) == []


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, DestinationFull), (errno.EIO, StoreError), (errno.ENOENT, StoreError)]
)
@pytest.mark.parametrize("name", ["a.tar", "a.zip"])
def test_a_temporary_folder_that_is_full_or_gone_is_named(
    name: str,
    number: int,
    kind: type[PumiceError],
    source: LocalStore,
    destination: LocalStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(**_: object) -> None:
        raise OSError(number, "as it is")

    monkeypatch.setattr("tempfile.TemporaryFile", broken)
    monkeypatch.setattr("tempfile.tempdir", "/some/where")
    monkeypatch.setattr("jobs.stores.spool.IN_MEMORY", 10)
    inner = archive("tar", FOUR)
    fill(source, {name: archive("zip" if name == "a.zip" else "tar", [Item("in.tar", inner)])})
    with (
        workshop(source, destination) as shop,
        pytest.raises(kind, match=r"The temporary folder /some/where .*TMPDIR") as caught,
    ):
        clean_shard(task_of(the_shard(source)), shop)
    assert type(caught.value) is kind
    assert everything(destination) == []


MEASURE = """
import io, resource, sys
from pathlib import Path
from jobs.config import Limits
from jobs.shard.attempt import clean_shard
from jobs.stores.local import LocalStore
from tests.samples import Inverter, task_of, the_shard, workshop

def peak(name):
    source, destination = LocalStore(Path(sys.argv[1]) / name), LocalStore(Path(sys.argv[1]) / "out" / name)
    limits = Limits(window_bytes=40 << 20)
    with workshop(source, destination, limits=limits) as shop:
        commit = clean_shard(task_of(the_shard(source)), shop)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10, commit.pages

before, _ = peak("small")
after, pages = peak("large")
print(after - before, pages)
"""


def write_tar(path: Path, page: bytes, pages: int, others: int) -> None:
    import tarfile

    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w") as tar:
        for number in range(pages):
            info = tarfile.TarInfo(f"{number}.bmp")
            info.size = len(page)
            tar.addfile(info, io.BytesIO(page))
        for number in range(others):
            for type_ in (tarfile.DIRTYPE, tarfile.SYMTYPE):
                info = tarfile.TarInfo(f"folder/{number}")
                info.type, info.linkname = type_, "elsewhere"
                tar.addfile(info)
        info = tarfile.TarInfo("large.xml")
        info.size = 60 << 20
        tar.addfile(info, io.BytesIO(bytes(info.size)))


def test_memory_is_bounded_whatever_the_size(tmp_path: Path) -> None:
    from PIL import Image

    from tests.samples import encoded, pixels

    page = encoded(Image.fromarray(pixels(1, 2400, 3400)), "BMP")
    write_tar(tmp_path / "small" / "a.tar", page, 4, 10)
    write_tar(tmp_path / "large" / "a.tar", page, 30, 10_000)
    assert (tmp_path / "large" / "a.tar").stat().st_size > 300 << 20
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)],
        cwd=Path(__file__).parents[3], check=True, capture_output=True, text=True,
    )  # fmt: skip
    growth, pages = map(int, run.stdout.split())
    assert pages == 30 + 10_000
    assert growth < 60
