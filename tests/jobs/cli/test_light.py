"""Commands that clean nothing start at once: they load neither torch nor Ray."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from jobs.config import CleanOptions
from jobs.ledger.plan import find_shards
from jobs.ledger.runs import logged
from jobs.shard.attempt import clean_shard
from jobs.stores.local import LocalStore
from tests.samples import RECIPE, Item, archive, fill, png, task_of, workshop

HEAVY = {"torch", "ray", "boto3", "cv2"}
LOADED = """
import sys
from jobs.cli.main import main
try:
    main()
finally:
    sys.stderr.write("\\n" + " ".join(sys.modules))
"""


@pytest.fixture(scope="module")
def destination(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A place with a run, a result, and a shard that is left."""
    folder = tmp_path_factory.mktemp("light")
    source, to = LocalStore(folder / "source"), LocalStore(folder / "cleaned")
    fill(source, {name: archive("tar", [Item("1.png", png(1))]) for name in ("a.tar", "b.tar")})
    with (
        logged(to, "20260101T000000Z-a", 1, source.url, RECIPE, CleanOptions()),
        workshop(source, to) as shop,
    ):
        assert clean_shard(task_of(next(iter(find_shards(source)))), shop)
    return to.url


@pytest.mark.parametrize(
    ("words", "code", "answer"),
    [
        (["--version"], 0, f"pumice {version('pumice')}\n"),
        (["--help"], 0, "Pumice cleans scan archives"),
        (["clean", "--help"], 0, "--on-suspicion"),
        (["status", "DST"], 0, "1 shards done, 1 left"),
        (["gc", "DST"], 0, "Nothing to remove."),
        (["report", "DST"], 0, "1 pages in 1 shards"),
        (["submit", "s3://scans/in", "s3://scans/out", "--cluster", "http://127.0.0.1:9"], 2, ""),
        (["jobs", "--cluster", "http://127.0.0.1:9"], 2, ""),
    ],
)
def test_no_torch_and_no_ray(words: list[str], code: int, answer: str, destination: str) -> None:
    command = [sys.executable, "-c", LOADED, *(destination if word == "DST" else word for word in words)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert told.returncode == code and answer in told.stdout, told.stderr
    *_, loaded = told.stderr.splitlines()
    assert "jobs.cli.main" in loaded and not HEAVY & set(loaded.split())


def test_the_installed_command_names_its_version() -> None:
    told = subprocess.run(
        [str(Path(sys.executable).parent / "pumice"), "--version"], capture_output=True, check=True
    )
    assert told.stdout.decode() == f"pumice {version('pumice')}\n"
