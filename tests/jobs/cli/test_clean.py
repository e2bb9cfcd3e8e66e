"""The whole job on a real Ray, between folders and a real S3 server."""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from jobs import api
from jobs.cli.demo import make_archive
from jobs.config import CleanOptions
from jobs.driver.run import Silent
from jobs.errors import InputError, LeaseHeld
from jobs.ledger.lease import acquire
from jobs.ledger.plan import Plan
from jobs.ledger.runs import last_runs
from jobs.stores.base import LEDGER, Store
from jobs.stores.open import open_store
from jobs.upkeep.gc import gc
from model.network.autoencoder import Autoencoder, AutoencoderConfig
from model.network.weights import save_weights
from model.shipped import CLEANER
from tests.processes import signal_workers, wait_for_end
from tests.samples import digests

if not CLEANER.exists():
    pytest.skip("no shipped weights", allow_module_level=True)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive") / "source"
    make_archive(folder, dpi=50)
    (folder / "loose" / "notes.txt").write_text("not a page")
    return folder


@pytest.fixture(scope="module")
def undisturbed(archive: Path, ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The digests of what cleaning the archive gives."""
    destination = tmp_path_factory.mktemp("undisturbed") / "cleaned"
    api.clean(str(archive), str(destination))
    return digests(open_store(str(destination)))


def rows(destination: Path) -> list[dict[str, object]]:
    table = ds.dataset(destination / LEDGER / "reports").to_table()  # type: ignore[no-untyped-call]
    return list(table.to_pylist())


def test_every_page_has_one_output_and_one_row(archive: Path, tmp_path: Path, ray_session: None) -> None:
    summary = api.clean(str(archive), str(tmp_path / "cleaned"))
    found = rows(tmp_path / "cleaned")
    names = sorted((str(row["shard"]), str(row["member"]), row["page_index"]) for row in found)
    assert names == [
        ("letters.tar", "letters/001.png", 0),
        ("letters.tar", "letters/002.png", 0),
        ("letters.tar", "letters/003.png", 0),
        ("letters.tar", "letters/004.png", 0),
        ("loose/*", "broken.png", 0),
        ("loose/*", "receipt.jpg", 0),
        ("minutes.zip", "minutes-1912.tif", 0),
        ("minutes.zip", "minutes-1912.tif", 1),
        ("minutes.zip", "stamped.jpg", 0),
    ]
    assert (summary.pages, summary.cleaned, summary.failed, summary.exit_code) == (9, 8, 1, 3)
    broken = next(row for row in found if row["member"] == "broken.png")
    assert broken["status"] == "failed" and broken["error_code"] == "unreadable"
    same = ("loose/broken.png", "loose/notes.txt")
    before, after = digests(open_store(str(archive))), digests(open_store(str(tmp_path / "cleaned")))
    assert before.keys() == after.keys()
    assert [key for key in before if before[key] == after[key]] == list(same)


def test_a_second_run_does_nothing(archive: Path, tmp_path: Path, ray_session: None) -> None:
    destination = tmp_path / "cleaned"
    first = api.clean(str(archive), str(destination))
    written = {p: p.stat().st_mtime_ns for p in destination.rglob("*") if LEDGER not in p.parts}
    again = api.clean(str(archive), str(destination))
    assert (again.shards, again.done_before, again.exit_code) == (0, first.shards, 0)
    assert written == {p: p.stat().st_mtime_ns for p in destination.rglob("*") if LEDGER not in p.parts}


def test_what_is_new_or_changed_is_done_and_nothing_else(
    archive: Path, tmp_path: Path, ray_session: None
) -> None:
    source, destination = tmp_path / "source", tmp_path / "cleaned"
    make_archive(source, dpi=50)
    api.clean(str(source), str(destination))
    (source / "minutes.zip").unlink()
    (source / "letters.tar").write_bytes((archive / "letters.tar").read_bytes()[:-11_000])
    summary = api.clean(str(source), str(destination))
    assert (summary.shards, summary.damaged, summary.gone) == (1, 1, ("minutes.zip",))
    assert (destination / "minutes.zip").exists()
    assert (destination / "letters.tar").read_bytes() == (source / "letters.tar").read_bytes()


def test_resume_goes_on_with_what_was_recorded(archive: Path, tmp_path: Path, ray_session: None) -> None:
    source, destination, weights = tmp_path / "source", tmp_path / "cleaned", tmp_path / "w.safetensors"
    make_archive(source, dpi=50)
    weights.write_bytes(CLEANER.read_bytes())
    api.clean(str(source), str(destination), CleanOptions(model=weights, max_attempts=2))
    weights.unlink()  # the destination keeps them
    (source / "new.tar").write_bytes((source / "letters.tar").read_bytes())
    summary = api.resume(str(destination))
    assert (summary.shards, summary.done_before) == (1, 3)
    runs = last_runs(open_store(str(destination)), 9)
    assert [run.options["max_attempts"] for run in runs] == [2, 2]
    assert (destination / "new.tar").read_bytes() == (destination / "letters.tar").read_bytes()
    assert api.verify(str(destination)).problems == ()


def test_there_must_be_something_to_resume(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pumice clean SRC"):
        api.resume(str(tmp_path / "cleaned"))
    assert not (tmp_path / "cleaned").exists()


def test_other_weights_redo_nothing_unless_asked(archive: Path, tmp_path: Path, ray_session: None) -> None:
    destination, weights = str(tmp_path / "cleaned"), tmp_path / "w.safetensors"
    api.clean(str(archive), destination)
    save_weights(Autoencoder(AutoencoderConfig()), weights)
    kept = api.clean(str(archive), destination, CleanOptions(model=weights))
    assert (kept.shards, kept.done_before, kept.kept) == (0, 3, 3)
    redo = CleanOptions(model=weights, recipe_changed="redo")
    assert api.plan(str(archive), destination, redo).numbers == {
        "letters.tar": 1,
        "loose/*": 1,
        "minutes.zip": 1,
    }
    assert api.clean(str(archive), destination, redo).shards == 3
    assert [one.shards for one in api.status(destination).recipes] == [3]
    assert api.verify(destination).problems == ()


@pytest.mark.parametrize("way", ["s3-s3", "local-s3", "s3-local"])
def test_places_of_all_kinds_give_the_same_bytes(
    way: str, archive: Path, undisturbed: dict[str, str], s3_url: str, tmp_path: Path, ray_session: None
) -> None:
    from_, to = way.split("-")
    source = str(archive)
    if from_ == "s3":
        source = f"{s3_url}/source"
        copy(archive, open_store(source))
    destination = f"{s3_url}/cleaned" if to == "s3" else str(tmp_path / "cleaned")
    summary = api.clean(source, destination)
    assert summary.pages == 9
    assert digests(open_store(destination)) == undisturbed
    assert api.clean(source, destination).shards == 0


def copy(folder: Path, store: Store) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            store.put(path.relative_to(folder).as_posix(), path.read_bytes())


def test_the_plan_is_told_and_nothing_is_written(archive: Path, tmp_path: Path) -> None:
    plan = api.plan(str(archive), str(tmp_path / "cleaned"))
    assert [shard.key for shard in plan.todo] == ["letters.tar", "loose/*", "minutes.zip"]
    assert not (tmp_path / "cleaned").exists()


def test_a_run_that_is_alive_is_not_joined(archive: Path, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "cleaned"))
    with acquire(store, "other-run"), pytest.raises(LeaseHeld, match="other-run"):
        api.clean(str(archive), str(tmp_path / "cleaned"))


@pytest.mark.parametrize("inner", ["cleaned", "."])
def test_a_destination_in_the_source_is_refused(archive: Path, inner: str) -> None:
    with pytest.raises(InputError, match="lie in one another"):
        api.clean(str(archive), str(archive / inner))
    assert not (archive / LEDGER).exists()


def test_a_link_does_not_hide_that_a_destination_is_in_the_source(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(archive)
    with pytest.raises(InputError, match="lie in one another"):
        api.clean(str(archive), str(tmp_path / "link" / "cleaned"))


def test_a_missing_source_leaves_no_destination(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        api.clean(str(tmp_path / "missing"), str(tmp_path / "cleaned"))
    assert not (tmp_path / "cleaned").exists()


class Striker(Silent):
    """Sends a signal to all cleaners, in the moment in which the first of them has claimed a shard."""

    def __init__(self, destination: Path, number: signal.Signals) -> None:
        self.struck: list[int] = []
        self._claims, self._number = destination / LEDGER / "claims", number
        self._thread = threading.Thread(target=self._strike)

    def planned(self, plan: Plan) -> None:
        self._thread.start()

    def _strike(self) -> None:
        while not list(self._claims.glob("*/*/a*.json")):
            time.sleep(0.002)
        self.struck = signal_workers(os.getpid(), self._number)


def test_a_cleaner_that_dies_costs_one_attempt(
    archive: Path, undisturbed: dict[str, str], tmp_path: Path, ray_session: None
) -> None:
    striker = Striker(tmp_path / "cleaned", signal.SIGKILL)
    summary = api.clean(str(archive), str(tmp_path / "cleaned"), watcher=striker)
    assert striker.struck
    assert summary.shards == 3 and not summary.quarantined
    assert digests(open_store(str(tmp_path / "cleaned"))) == undisturbed
    assert not list((tmp_path / "cleaned").rglob(".pumice-*"))


def test_a_cleaner_that_hangs_is_ended_and_costs_one_attempt(
    archive: Path, undisturbed: dict[str, str], tmp_path: Path, ray_session: None
) -> None:
    striker = Striker(tmp_path / "cleaned", signal.SIGSTOP)
    options = CleanOptions(shard_timeout=20)
    summary = api.clean(str(archive), str(tmp_path / "cleaned"), options, striker)
    assert summary.shards == 3 and not summary.quarantined
    assert digests(open_store(str(tmp_path / "cleaned"))) == undisturbed
    # Frozen, it may not have taken note that Ray ended it; awake, it is a zombie, and then no more.
    assert striker.struck
    for pid in striker.struck:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    wait_for_end([(pid, "") for pid in striker.struck])
    # Ray ends a zombie in the middle of whatever it writes, after the run swept up: what then lies staged
    # is for gc.
    gc(str(tmp_path / "cleaned"), delete=True, min_age_s=0)
    assert digests(open_store(str(tmp_path / "cleaned"))) == undisturbed
    assert not list((tmp_path / "cleaned").rglob(".pumice-*"))
