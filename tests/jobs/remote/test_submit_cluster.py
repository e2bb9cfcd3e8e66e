"""Jobs on a real Ray head that asks for a token, from a real S3 server to it, by the command line."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs import api
from jobs.cli.demo import make_archive
from jobs.ledger.runs import last_runs
from jobs.remote.ray_api import JobsApi
from jobs.stores.base import LEDGER
from jobs.stores.open import open_store
from model.network.weights import fingerprint
from model.shipped import CLEANER
from tests.processes import signal_workers
from tests.ray_head import CPUS, TOKEN, Head, serve_head
from tests.s3_server import S3Server
from tests.samples import digests

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not CLEANER.exists(), reason="no shipped weights"),
    pytest.mark.skipif(not importlib.util.find_spec("aiohttp"), reason="no ray[default]: scripts/setup test"),
]
PUMICE = str(Path(sys.executable).parent / "pumice")


@pytest.fixture(scope="module")
def head(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """A head whose Python finds another Pumice, which must never run."""
    image = tmp_path_factory.mktemp("image")
    (image / "jobs").mkdir()
    (image / "jobs" / "__init__.py").write_text("raise RuntimeError('the Pumice of the image')")
    with serve_head(
        PYTHONPATH=os.pathsep.join([str(image), *filter(None, [os.environ.get("PYTHONPATH")])])
    ) as one:
        yield one


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("submit") / "source"
    make_archive(folder, dpi=50)
    return folder


@pytest.fixture
def long_archive(archive: Path, tmp_path: Path) -> Path:
    """More than can be in work at once."""
    source = tmp_path / "source"
    shutil.copytree(archive, source)
    for number in range(12):
        shutil.copy(archive / "letters.tar", source / f"letters-{number}.tar")
    return source


def start(*words: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [PUMICE, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip


def pumice(*words: str, **environment: str) -> tuple[int, str]:
    run = start(*words, **environment)
    told, _ = run.communicate(timeout=600)
    return run.returncode, told


def wait_for(found: Callable[[], object], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(0.2)


def job_of(told: str) -> str:
    found = re.search(r"pumice-[0-9a-f]{12}-[0-9]+", told)
    assert found, told
    return found[0]


def put(folder: Path, url: str) -> None:
    place = open_store(url)
    for path in folder.rglob("*"):
        if path.is_file():
            place.put(path.relative_to(folder).as_posix(), path.read_bytes())


def test_a_night_on_s3_ends_as_the_job_does_and_the_next_finds_nothing_to_do(
    head: Head, archive: Path, s3_url: str, tmp_path: Path
) -> None:
    source, destination = f"{s3_url}/source", f"{s3_url}/cleaned"
    put(archive, source)
    mine = shutil.copy(CLEANER, tmp_path / "mine.safetensors")
    words = ("submit", source, destination, "--cluster", head.url, "--follow", "--model", str(mine))
    code, told = pumice(*words)
    assert code == 3, told  # one page is broken on purpose
    assert "9 pages in 3 shards: 8 cleaned, 0 passed through, 1 failed." in told and "Traceback" not in told
    assert f"{job_of(told)} ended with exit code 3." in told
    assert digests(open_store(destination)).keys() == digests(open_store(source)).keys()
    (record,) = last_runs(open_store(destination), 5)
    assert (record.submission, record.exit_code) == (job_of(told), 3)
    assert record.weights_sha256 == fingerprint(CLEANER)
    assert f"submitted as {record.submission}: exit 3" in pumice("status", destination)[1]
    code, again = pumice(*words)
    assert code == 0 and "Nothing to do: 3 shards are done." in again
    assert job_of(again) == re.sub("1$", "2", record.submission)
    code, listed = pumice("jobs", "--cluster", head.url)
    assert code == 0 and f"{record.submission}  exit 3, since " in listed
    assert f"{source} -> {destination}" in listed


def test_two_who_submit_at_once_share_a_job_that_outlives_them_and_stops_when_it_is_told_to(
    head: Head, long_archive: Path, tmp_path: Path
) -> None:
    destination = tmp_path / "cleaned"
    words = ("submit", str(long_archive), str(destination), "--cluster", head.url)
    racers = [start(*words, "--follow") for _ in range(2)]
    wait_for(lambda: list(destination.glob(f"{LEDGER}/claims/*/*/a*.json")))
    # Both cleaners, or the one that began late does all that is left before the job is told to stop.
    wait_for(lambda: len(signal_workers(head.pid, signal.SIGSTOP)) == CPUS)
    for racer in racers:
        racer.send_signal(signal.SIGINT)
    told = [racer.communicate(timeout=60)[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [130, 130], told
    job_id = job_of(told[0])
    assert all(f"{job_id} goes on. The same command with --follow shows it" in one for one in told)
    assert sorted("Submitted as" in one for one in told) == [False, True]
    code, refused = pumice(*words, "--device", "cpu")
    assert code == 4 and f"{job_id} works on {destination} already" in refused
    follower = start(*words, "--follow")
    assert follower.stdout and job_id in follower.stdout.readline()
    assert pumice("jobs", "--cluster", head.url, "--stop", job_id)[0] == 0
    end, _ = follower.communicate(timeout=120)
    assert follower.returncode == 130 and "Interrupted: the same command goes on" in end, end
    signal_workers(head.pid, signal.SIGCONT)  # Ray ends them
    status = api.status(str(destination))
    assert status.holder is None and not status.in_flight, "it was killed before it released its work"
    assert (status.runs[0].exit_code, status.runs[0].submission) == (130, job_id)
    code, end = pumice(*words, "--follow")
    assert code == 3, end
    assert job_of(end) == re.sub("1$", "2", job_id)
    assert digests(open_store(str(destination))).keys() == digests(open_store(str(long_archive))).keys()


def test_faults_are_sentences_and_leave_no_job(head: Head, archive: Path, tmp_path: Path) -> None:
    destination = str(tmp_path / "cleaned")
    words = ("submit", str(archive), destination, "--cluster", head.url)
    before = len(JobsApi(head.url).jobs())
    for environment, reason in (
        ({"RAY_AUTH_TOKEN": "", "HOME": str(tmp_path)}, "asks for a token, and there is none here"),
        ({"RAY_AUTH_TOKEN": "f" * 64}, "refuses the token of RAY_AUTH_TOKEN"),
    ):
        code, told = pumice(*words, **environment)
        assert code == 2 and reason in told and len(told.splitlines()) == 1, told
    code, told = pumice("submit", "here", destination, "--cluster", head.url)
    assert code == 2 and told.startswith("pumice: here is relative"), told
    assert len(JobsApi(head.url).jobs()) == before
    code, told = pumice(*words, "--follow", "--device", "cuda")
    assert code == 2 and "pumice: --device cuda, but Ray sees no GPU" in told, told
    assert "Traceback" not in told and api.status(destination).holder is None
