"""What Prometheus gets: scraped off a real Ray, and held against what the run said of itself."""

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.cli.demo import make_archive
from jobs.driver.job import RunSummary
from jobs.driver.metrics import COUNTERS, GAUGES, HISTOGRAM
from model.shipped import CLEANER
from tests.samples import Item, archive, png

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
Series = dict[tuple[str, str], float]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.fixture
def cluster() -> Iterator[tuple[str, int]]:
    """A Ray that serves metrics: its address, and the port."""
    pytest.importorskip("opentelemetry.exporter.prometheus", reason="scripts/setup cluster brings it")
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    port = free_port()
    one = cluster_utils.Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False,
            "metrics_export_port": port, "_system_config": {"metrics_report_interval_ms": 500},
        },
    )  # fmt: skip
    yield one.address, port
    one.shutdown()


def scraped(port: int) -> tuple[Series, dict[str, str]]:
    """Samples of Pumice's metrics, by name and labels; the types of these metrics."""
    from prometheus_client.parser import text_string_to_metric_families

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    series, types = Series(), dict[str, str]()
    for family in text_string_to_metric_families(text):
        if family.name.startswith("ray_pumice_"):
            types[family.name] = family.type
            for sample in family.samples:
                ours = ("outcome", "code", "end", "stage", "le")
                name = sample.name, "/".join(sample.labels[one] for one in ours if one in sample.labels)
                assert name not in series, "one series a run"
                series[name] = sample.value
    return series, types


def settled(port: int, name: tuple[str, str], value: float) -> tuple[Series, dict[str, str]]:
    """What is scraped once a figure has come through: Ray's processes hand them on now and then."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):  # the agent may not be up yet
            found = scraped(port)
            if found[0].get(name, 0) >= value:
                return found
        time.sleep(0.2)
    raise TimeoutError(f"{name} never came to {value}")


def cleaned(source: Path, destination: Path, address: str) -> RunSummary:
    """Run the job in a process of its own: this one may be at another Ray."""
    code = (
        "import json, sys; from dataclasses import asdict; from jobs import api\n"
        "from jobs.config import CleanOptions\n"
        "options = CleanOptions(address=sys.argv[3], max_attempts=2)\n"
        "print(json.dumps(asdict(api.clean(*sys.argv[1:3], options))))"
    )
    words = [sys.executable, "-c", code, str(source), str(destination), address]
    told = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, timeout=300)
    return RunSummary(**json.loads(told.stdout.splitlines()[-1]))


@pytest.mark.skipif(not CLEANER.exists(), reason="no weights are shipped yet")
def test_what_is_scraped_is_what_the_run_says(cluster: tuple[str, int], tmp_path: Path) -> None:
    source, (address, port) = tmp_path / "source", cluster
    make_archive(source, dpi=50)
    whole = (source / "letters.tar").read_bytes()
    (source / "cut.tar").write_bytes(whole[: len(whole) * 3 // 4])
    (source / "bad.tar").write_bytes(archive("tar", [Item(f"{n}.png", png(n)[:60]) for n in range(10)]))
    summary = cleaned(source, tmp_path / "cleaned", address)
    assert (summary.shards, summary.damaged, len(summary.quarantined)) == (4, 1, 1), summary

    series, types = settled(port, ("ray_pumice_attempts_total", "done"), summary.shards)
    of = {name: {label: n for (one, label), n in series.items() if one == name} for name, _ in series}
    pages = Counter[str]()
    for label, count in of["ray_pumice_pages_total"].items():
        pages[label.partition("/")[0]] += round(count)
    assert pages["cleaned"] == summary.cleaned and pages["passed_through"] == summary.passed_through
    failed = {
        code: n for code, n in of["ray_pumice_pages_total"].items() if code.startswith("failed") and n >= 1
    }
    assert failed == {"failed/unreadable": summary.failed - 1, "failed/archive_truncated": 1}
    assert of["ray_pumice_read_bytes_total"] == {"": summary.bytes_in}
    assert of["ray_pumice_written_bytes_total"] == {"": summary.bytes_out}
    ends = {end: n for end, n in of["ray_pumice_attempts_total"].items() if n >= 1}
    assert ends == {"done": summary.shards, "failed": 2}
    assert of["ray_pumice_retries_total"] == of["ray_pumice_quarantined_shards_total"] == {"": 1}
    assert of[f"ray_{HISTOGRAM}_count"] == {"": summary.shards}
    assert (
        of["ray_pumice_network_pixels_total"][""] > 0 and of["ray_pumice_network_busy_seconds_total"][""] > 0
    )
    assert set(of["ray_pumice_pages_waiting"]) == {"network", "encode"}
    assert types == {
        **{f"ray_{name.removesuffix('_total')}": "counter" for name in COUNTERS},
        **{f"ray_{name}": "gauge" for name in GAUGES},
        f"ray_{HISTOGRAM}": "histogram",
    }
