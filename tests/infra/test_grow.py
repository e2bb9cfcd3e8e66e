"""infra/aws/grow.py on Ray's own autoscaler, whose machines are processes here."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import ray
import yaml

from tests.processes import descendants

GROW = Path(__file__).parents[2] / "infra" / "aws" / "grow.py"
EMPTY = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
SEEN = "import ray; ray.init('auto'); print('seen:', ray.cluster_resources()['GPU']); raise SystemExit(3)"


def grow(*arguments: str, address: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "RAY_ADDRESS": address, "RAY_AUTH_MODE": "disabled"}
    command = [sys.executable, str(GROW), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)


def autoscaler(address: str) -> dict[str, object]:
    """What `ray up` would leave on a head whose workers are spot machines with one GPU."""
    worker = {"resources": {"CPU": 1, "GPU": 1, "object_store_memory": 80_000_000}, "node_config": {}}
    head = {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}
    provider = {"type": "fake_multinode", "use_internal_ips": True, "gcs_address": address}
    quiet = {
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
        "foreground_node_launch": True,
    }
    return {
        "cluster_name": "grow",
        "max_workers": 2,
        "idle_timeout_minutes": 5,
        "upscaling_speed": 10,
        "provider": provider | quiet,
        "auth": {"ssh_user": "nobody"},
        "available_node_types": {
            "ray.head.default": head,
            "worker": worker | {"min_workers": 0, "max_workers": 2},
        },
        "head_node_type": "ray.head.default",
        "file_mounts": {},
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        **{f"{name}_commands": [] for name in EMPTY},
    }


@pytest.fixture
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A head without a worker, apart from every other Ray of this machine."""
    folder = tmp_path_factory.mktemp("r")
    with socket.socket() as probe:
        probe.bind(("", 0))
        port = probe.getsockname()[1]
    where = f"{ray.util.get_node_ip_address()}:{port}"
    (folder / "autoscaler.yaml").write_text(yaml.safe_dump(autoscaler(where)))
    settings = {"RAY_TMPDIR": str(folder), "RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
    command = [
        str(Path(sys.executable).parent / "ray"), "start", "--head", "--block", f"--port={port}",
        "--num-cpus=0", "--object-store-memory=80000000", "--include-dashboard=false",
        f"--autoscaling-config={folder / 'autoscaler.yaml'}",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        head = subprocess.Popen(
            command,
            env={**os.environ, **settings, "RAY_AUTH_MODE": "disabled"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 60
        while b"block forever" not in (folder / "log").read_bytes():
            assert head.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.1)
        yield where
    finally:
        for pid in [head.pid, *(pid for pid, _ in descendants(head.pid))]:
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        head.wait()


@pytest.mark.parametrize("arguments", [[], ["8"], ["many", "true"], ["-1", "true"]])
def test_wrong_arguments_are_refused_before_any_machine_is_asked_for(arguments: list[str]) -> None:
    done = grow(*arguments)
    assert done.returncode == 2 and "Say how many GPUs" in done.stderr


@pytest.mark.slow
def test_machines_come_before_the_command_begins_and_are_let_go_after_it(address: str) -> None:
    done = grow("2", sys.executable, "-c", SEEN, address=address)
    assert done.returncode == 3, done.stderr
    assert "2 of 2 GPUs are there." in done.stdout and "seen: 2.0" in done.stdout
    deadline = time.monotonic() + 60
    status = [str(Path(sys.executable).parent / "ray"), "status", f"--address={address}"]
    while True:
        told = subprocess.run(status, capture_output=True, text=True, check=True).stdout
        asked = told.partition("From request_resources:")[2].partition("Pending Demands")[0].split()
        if asked == ["(none)"]:
            break
        assert time.monotonic() < deadline, told
        time.sleep(1)
