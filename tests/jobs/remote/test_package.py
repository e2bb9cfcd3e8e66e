"""What travels to a cluster: enough to run from, small, and nothing else."""

import io
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from jobs.errors import InputError
from jobs.remote import package
from jobs.remote.package import make_package
from model.shipped import CLEANER

if not CLEANER.exists():
    pytest.skip("no shipped weights", allow_module_level=True)

ROOT = Path(__file__).parents[3]
VERSION = "from importlib.metadata import version; print(version('pumice'))"


def names(data: bytes) -> set[str]:
    with ZipFile(io.BytesIO(data)) as archive:
        return set(archive.namelist())


def test_it_is_small_always_the_same_and_has_only_code_and_weights() -> None:
    one = make_package(CLEANER)
    assert one.name == make_package(CLEANER).name and one.name.endswith(".zip")
    assert len(one.data) < 8 * 2**20, "it travels with each submit of a changed Pumice"
    tracked = subprocess.run(["git", "ls-files", "jobs", "model"], cwd=ROOT, capture_output=True, check=False)
    code = {
        name for name in tracked.stdout.decode().split() if name.endswith((".py", ".safetensors", ".json"))
    }
    assert {"jobs/cli/main.py", f"model/shipped/{CLEANER.name}"} <= names(one.data)
    if code:  # not where the tests came without a repository
        assert code <= names(one.data)
    assert not [n for n in names(one.data) if n.startswith(("tests", "runs", ".")) or "__pycache__" in n]


def test_a_package_runs_by_itself_before_another_pumice_that_is_there(tmp_path: Path) -> None:
    older = tmp_path / "older"
    (older / "jobs").mkdir(parents=True)
    (older / "jobs" / "__init__.py").write_text("raise ImportError('the one of the image')")
    (older / "pumice-0.0.1.dist-info").mkdir()
    (older / "pumice-0.0.1.dist-info" / "METADATA").write_text("Name: pumice\nVersion: 0.0.1\n")
    unpacked = tmp_path / "unpacked"
    with ZipFile(io.BytesIO(make_package(CLEANER).data)) as archive:
        archive.extractall(unpacked)
    for words in (["-m", "jobs", "status", "nowhere"], ["-c", VERSION]):
        told = subprocess.run(
            [sys.executable, *words], cwd=unpacked, capture_output=True, text=True, check=False,
            env={"PYTHONPATH": f"{unpacked}:{older}", "PATH": "/usr/bin"},
        )  # fmt: skip
        assert told.returncode == 0, told.stderr
    here = subprocess.run([sys.executable, "-c", VERSION], capture_output=True, text=True, check=True)
    assert told.stdout == here.stdout != "0.0.1\n"


def test_given_weights_change_its_name_and_too_large_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(b"weights")
    with ZipFile(io.BytesIO(make_package(mine).data)) as archive:
        assert archive.read("submitted.safetensors") == b"weights"
    assert make_package(mine).name != make_package(CLEANER).name
    monkeypatch.setattr(package, "CAP_BYTES", 2**20)
    with pytest.raises(InputError, match="mine.safetensors make a package of 4 MiB, and Ray takes 1 MiB"):
        make_package(mine)
