"""The job on a Ray of several nodes, one of which is killed in the middle: raylet, workers and all."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from jobs import api
from jobs.cli.demo import make_archive
from jobs.ledger.ledger import Ledger
from jobs.stores.base import LEDGER
from jobs.stores.open import open_store
from model.shipped import CLEANER
from tests.processes import descendants
from tests.samples import digests

cluster_utils = pytest.importorskip("ray.cluster_utils")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


@pytest.fixture
def cluster() -> Iterator["cluster_utils.Cluster"]:
    one = cluster_utils.Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    yield one
    one.shutdown()


def begin(cluster: "cluster_utils.Cluster", source: Path, destination: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "jobs", "clean", str(source), str(destination)]
    return subprocess.Popen([*command, "--address", cluster.address], stderr=subprocess.PIPE)


def ended(run: "subprocess.Popen[bytes]") -> int:
    """The exit code; what was told on the way shows where a test fails."""
    _, told = run.communicate(timeout=600)
    print(told.decode(errors="replace"))
    return run.returncode


def claims_of(destination: Path, worker: int) -> list[str]:
    """The shards that this process has claimed."""
    found = []
    for path in (destination / LEDGER / "claims").glob("*/*/a*.json"):
        with suppress(FileNotFoundError):
            claim = json.loads(path.read_bytes())
            found += [claim["shard"]] if claim["pid"] == worker else []
    return found


def frozen_at_work(raylet: int, destination: Path) -> tuple[int, list[str]]:
    """Freeze a worker of this node while it has claims: its pid, and what it will never finish."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        for worker, command in list(descendants(raylet)):
            if command.startswith("ray::Worker") and claims_of(destination, worker):
                os.kill(worker, signal.SIGSTOP)
                if held := claims_of(destination, worker):
                    return worker, held
                os.kill(worker, signal.SIGCONT)
        time.sleep(0.02)
    raise TimeoutError("no worker of this node claimed a shard")


@pytest.mark.skipif(not CLEANER.exists(), reason="no weights are shipped yet")
def test_what_a_killed_node_had_in_work_is_done_elsewhere(
    cluster: "cluster_utils.Cluster", tmp_path: Path
) -> None:
    source, plain, destination = (tmp_path / name for name in ("source", "plain", "cleaned"))
    make_archive(source, dpi=100)
    assert ended(begin(cluster, source, plain)) == 3, "one page is broken on purpose"
    node = cluster.add_node(**NODE)
    raylet = node.all_processes["raylet"][0].process.pid
    run = begin(cluster, source, destination)
    worker, held = frozen_at_work(raylet, destination)
    os.kill(raylet, signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)
    assert ended(run) == 3
    assert digests(open_store(str(destination))) == digests(open_store(str(plain)))
    assert api.verify(str(destination)).problems == ()
    attempts = {commit.shard: commit.attempt for commit in Ledger(open_store(str(destination))).each_commit()}
    assert {attempts[shard] for shard in held} == {2} and set(attempts.values()) <= {1, 2}
