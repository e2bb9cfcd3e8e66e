"""The command line in processes of its own: what it prints, its exit codes, and kills at random moments."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from jobs import api
from jobs.cli.demo import make_archive
from jobs.stores.base import LEDGER
from jobs.stores.open import open_store
from model.network import registry as networks
from model.network.autoencoder import Autoencoder, AutoencoderConfig
from model.network.weights import save_weights
from model.shipped import CLEANER
from tests.processes import descendants, wait_for_end
from tests.samples import digests

PUMICE = str(Path(sys.executable).parent / "pumice")


def pumice(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PUMICE, *words], capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "source"
    make_archive(folder, dpi=50)
    return folder


def test_clean_then_nothing_to_do(archive: Path, tmp_path: Path) -> None:
    first = pumice("clean", str(archive), str(tmp_path / "cleaned"))
    assert first.returncode == 3, first.stderr  # one page is broken on purpose
    assert "9 pages in 3 shards: 8 cleaned, 0 passed through, 1 failed." in first.stdout
    assert "Traceback" not in first.stderr and "3 shards to clean" in first.stderr
    again = pumice("clean", str(archive), str(tmp_path / "cleaned"))
    assert (again.returncode, again.stdout) == (0, "Nothing to do: 3 shards are done.\n")


def test_plan_lists_shards_and_writes_nothing(archive: Path, tmp_path: Path) -> None:
    told = pumice("clean", str(archive), str(tmp_path / "cleaned"), "--plan")
    assert told.returncode == 0 and "3 shards to clean" in told.stdout and "letters.tar" in told.stdout
    assert not (tmp_path / "cleaned").exists()


def test_demo_says_where_to_look(tmp_path: Path) -> None:
    told = pumice("demo", str(tmp_path / "demo"))
    assert told.returncode == 0, told.stderr
    with Image.open(tmp_path / "demo" / "before-after.png") as sheet:
        assert sheet.width > 1000
    assert list((tmp_path / "demo" / "cleaned" / LEDGER / "reports").glob("run_date=*/*.parquet"))


BAD_WEIGHTS = {
    "missing": None,
    "garbage": b"this is no safetensors file",
    "cut": CLEANER.read_bytes()[:1000] if CLEANER.exists() else b"",
}


@pytest.mark.parametrize("kind", BAD_WEIGHTS)
def test_bad_weights_are_one_sentence(kind: str, archive: Path, tmp_path: Path) -> None:
    weights, content = tmp_path / "w.safetensors", BAD_WEIGHTS[kind]
    if content is not None:
        weights.write_bytes(content)
    is_refused(["clean", str(archive), str(tmp_path / "cleaned"), "--model", str(weights)], "weights")
    assert not (tmp_path / "cleaned").exists()


def test_weights_of_another_architecture(archive: Path, tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    save_weights(Autoencoder(AutoencoderConfig(widths=(4, 4), blocks=(1, 1))), weights)
    data = weights.read_bytes()
    weights.write_bytes(data.replace(networks.PUMICE.encode(), networks.PUMICE.encode()[:-1] + b"0"))
    is_refused(["clean", str(archive), str(tmp_path / "c"), "--model", str(weights)], "architecture")


def is_refused(words: list[str], reason: str, code: int = 2, **environment: str) -> None:
    told = pumice(*words, **environment)
    assert told.returncode == code, told.stderr
    *before, sentence = told.stderr.splitlines()
    assert sentence.startswith("pumice: ") and reason in sentence, told.stderr
    assert all("shards to clean" in line for line in before), told.stderr


def test_wrong_words_are_one_sentence(archive: Path, tmp_path: Path) -> None:
    source, destination = str(archive), str(tmp_path / "cleaned")
    is_refused(["clean", source, destination, "--bogus"], "--bogus")
    is_refused(["clean", source], "dst")
    is_refused(["scrub"], "scrub")
    is_refused(["clean", source, destination, "--device", "tpu"], "tpu")
    is_refused(["clean", source, destination, "--device", "cuda"], "GPU")
    is_refused(["clean", str(tmp_path / "missing"), destination], "no folder")
    is_refused(["clean", source, str(archive / "inside")], "lie in one another")
    is_refused(["clean", source, "gs://bucket/x"], "gs://")
    assert not (archive / "inside").exists()


def test_a_config_file_gives_options_and_is_checked(archive: Path, tmp_path: Path) -> None:
    config = tmp_path / "job.toml"
    config.write_text('device = "cpu"\nmax-attempts = 2\n')
    told = pumice("clean", str(archive), str(tmp_path / "c"), "--plan", "--config", str(config))
    assert told.returncode == 0, told.stderr
    config.write_text("colour = 7\n")
    is_refused(["clean", str(archive), str(tmp_path / "c"), "--config", str(config)], "colour")
    config.write_text("= no toml")
    is_refused(["clean", str(archive), str(tmp_path / "c"), "--config", str(config)], "TOML")


def test_ray_that_does_not_start_is_told_in_a_sentence(archive: Path, tmp_path: Path) -> None:
    told = pumice("clean", str(archive), str(tmp_path / "c"), RAY_TMPDIR=str(tmp_path / ("x" * 120)))
    assert told.returncode == 1 and "Ray doesn't start here" in told.stderr and "AF_UNIX" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_destination_without_permission(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    is_refused(["clean", str(archive), str(tmp_path / "locked" / "cleaned")], "can't be written")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of three megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_one_sentence_and_the_next_run_goes_on(small_disk: Path, tmp_path: Path) -> None:
    make_archive(tmp_path / "source", dpi=100)
    words = ["clean", str(tmp_path / "source"), str(small_disk / "cleaned")]
    told = pumice(*words)
    assert told.returncode == 1, told.stderr
    assert "No space is left" in told.stderr and "Traceback" not in told.stderr
    whole = {"letters.tar", "minutes.zip", "receipt.jpg", "broken.png"}
    shown = {path.name for path in (small_disk / "cleaned").rglob("*") if path.name in whole}
    assert shown < whole
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    assert pumice(*words).returncode in (0, 3)  # the shard with the broken page may have been done before
    assert whole <= {path.name for path in (small_disk / "cleaned").rglob("*")}
    assert not list((small_disk / "cleaned").rglob(".pumice-*"))


def test_s3_faults_are_one_sentence(archive: Path, s3_url: str) -> None:
    is_refused(["clean", "s3://no-such-bucket/x", s3_url], "bucket")
    is_refused(["clean", str(archive), "s3://no-such-bucket/x"], "bucket")
    is_refused(["clean", str(archive), s3_url], "credentials", AWS_SECRET_ACCESS_KEY="wrong")
    is_refused(["clean", str(archive), s3_url], "AWS_ENDPOINT_URL", AWS_ENDPOINT_URL="http://127.0.0.1:9")


def test_an_interrupt_lets_what_is_in_work_end_and_the_next_run_goes_on_at_once(
    archive: Path, tmp_path: Path
) -> None:
    source, destination = tmp_path / "source", tmp_path / "cleaned"
    shutil.copytree(archive, source)
    for number in range(12):  # more than can be in work at once
        shutil.copy(archive / "letters.tar", source / f"letters-{number}.tar")
    run = begin(source, destination)
    wait_for(lambda: list(destination.glob(f"{LEDGER}/claims/*/*/a*.json")))
    run.send_signal(signal.SIGTERM)
    _, told = run.communicate(timeout=120)
    assert run.returncode == 130, told
    assert "Interrupted" in told and "Traceback" not in told
    claims = [path for path in destination.glob(f"{LEDGER}/claims/*/*/*.json")]
    claimed, ended = (
        {p.name.partition(".")[0] for p in claims if ("failed" in p.name) is f} for f in (False, True)
    )
    assert claimed == ended, "an attempt was neither finished nor released"
    status = api.status(str(destination))
    assert status.holder is None and status.runs[0].exit_code == 130
    assert status.runs[0].shards == status.done, "what was done before the end is on record"
    # 3 or 0: the shard with the broken page may have been done before the interrupt.
    assert pumice("clean", str(source), str(destination)).returncode in (0, 3)
    assert digests(open_store(str(destination))).keys() == digests(open_store(str(source))).keys()
    assert pumice("clean", str(source), str(destination)).stdout == "Nothing to do: 15 shards are done.\n"


def test_what_looks_after_a_destination(archive: Path, tmp_path: Path) -> None:
    destination = str(tmp_path / "cleaned")
    is_refused(["resume", destination], "No run was made")
    pumice("clean", str(archive), destination)
    told = pumice("status", destination)
    assert told.returncode == 0 and "3 shards done, 0 left" in told.stdout and "Nobody holds" in told.stdout
    assert pumice("resume", destination).stdout == "Nothing to do: 3 shards are done.\n"
    told = pumice("verify", destination)
    assert told.returncode == 0 and "3 shards with 9 pages" in told.stdout and "0 problems" in told.stdout
    (tmp_path / "cleaned" / "letters.tar").write_bytes(b"")
    told = pumice("verify", destination)
    assert told.returncode == 3 and "letters.tar: letters.tar has 0 bytes" in told.stdout
    (tmp_path / "cleaned" / ".pumice-dead.part").write_bytes(b"half")
    os.utime(tmp_path / "cleaned" / ".pumice-dead.part", (0, 0))
    assert "--delete removes them" in pumice("gc", destination).stdout
    assert "1 objects removed" in pumice("gc", destination, "--delete").stdout
    assert pumice("gc", destination).stdout == "Nothing to remove.\n"


def begin(source: Path, destination: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [PUMICE, "clean", str(source), str(destination)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(found: object, seconds: float = 120) -> None:
    assert callable(found)
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kills_at_random_moments_change_nothing(archive: Path, tmp_path: Path) -> None:
    pumice("clean", str(archive), str(tmp_path / "undisturbed"))
    destination, chance = tmp_path / "cleaned", random.Random(7)
    for _ in range(5):
        run = begin(archive, destination)
        family = []
        end = time.monotonic() + chance.uniform(1, 14)
        while time.monotonic() < end and run.poll() is None:
            family = list(descendants(run.pid))
            time.sleep(0.05)
        run.kill()
        run.communicate()
        wait_for_end(family)
    final = pumice("clean", str(archive), str(destination))
    assert final.returncode in (0, 3), final.stderr
    assert digests(open_store(str(destination))) == digests(open_store(str(tmp_path / "undisturbed")))
    assert not list(destination.rglob(".pumice-*"))
    assert not list((destination / LEDGER / "claims").rglob("*.json"))
    commits = [json.loads(p.read_text()) for p in destination.glob(f"{LEDGER}/done/*/*.json")]
    assert sorted((c["shard"], c["number"]) for c in commits) == [
        ("letters.tar", 1),
        ("loose/*", 1),
        ("minutes.zip", 1),
    ]
