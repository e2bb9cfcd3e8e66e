"""Machines that come late, are taken away or die, and of several kinds: real raylets, GPUs in name only.

Source and destination are on the S3 server. Whatever happens to the machines, the end is byte for byte the
same as that of a run on which nobody laid a hand.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ray._raylet import GcsClient
from ray.core.generated import autoscaler_pb2

from jobs import api
from jobs.cli.demo import make_archive
from jobs.config import CleanOptions
from jobs.ledger.ledger import Ledger
from jobs.stores.open import open_store
from model.shipped import CLEANER
from tests.logical_gpus import DRAINING, GO, START_S, Seen, seen
from tests.processes import descendants
from tests.s3_server import S3Server
from tests.samples import Item, archive, digests, fill, members

cluster_utils = pytest.importorskip("ray.cluster_utils")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not CLEANER.exists(), reason="no weights are shipped yet"),
]
NODE = {"object_store_memory": 80 * 2**20}
BOXES = 10
PATIENCE_S = 300


class Machines:
    """A cluster whose head cleans nothing, and one run on it."""

    def __init__(self, cluster: "cluster_utils.Cluster", folder: Path) -> None:
        self._cluster, self.folder = cluster, folder
        self._run: subprocess.Popen[str] | None = None

    def add(self, cpus: int, gpus: int = 0) -> "cluster_utils.Node":
        return self._cluster.add_node(num_cpus=cpus, num_gpus=gpus, **NODE)

    def clean(self, source: str, destination: str, *options: str) -> None:
        command = [sys.executable, "-m", "tests.logical_gpus", str(self.folder), "clean", source, destination]
        self._run = subprocess.Popen(
            [*command, "--address", self._cluster.address, *options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def until(self, what: Callable[[list[Seen]], object]) -> list[Seen]:
        """Wait until the workers' notes say so."""
        deadline = time.monotonic() + PATIENCE_S
        while not what(found := seen(self.folder)):
            assert time.monotonic() < deadline, found
            assert self._run and self._run.poll() is None, self._run and self._run.communicate()[0]
            time.sleep(0.1)
        return found

    def go(self) -> None:
        (self.folder / GO).touch()

    def ended(self) -> tuple[int, str]:
        """The exit code, and all that was told."""
        assert self._run
        told, _ = self._run.communicate(timeout=600)
        print(told)
        return self._run.returncode, told

    def drain(self, node: "cluster_utils.Node") -> None:
        """Announce that the machine goes in ten minutes, and wait until the run has heard of it."""
        reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
        deadline_ms = int((time.time() + 600) * 1000)
        client = GcsClient(address=self._cluster.address)
        assert client.drain_node(node.node_id, reason, "spot", deadline_ms) == (True, "")
        self.until(lambda _: (self.folder / DRAINING).exists())

    def kill(self, node: "cluster_utils.Node") -> None:
        """End a machine at once, raylet, workers and all."""
        raylet = node.all_processes["raylet"][0].process.pid
        for pid in [raylet, *[pid for pid, _ in descendants(raylet)]]:
            os.kill(pid, signal.SIGKILL)

    def actors(self) -> Counter[str]:
        """How many actors the cluster knows of, by state."""
        table = self._cluster.global_state.actor_table(None)
        return Counter(one["State"] for one in table.values())

    def close(self) -> None:
        if self._run and self._run.poll() is None:
            self._run.kill()
            self._run.communicate()
        self._cluster.shutdown()


@pytest.fixture
def machines(s3_server: S3Server, tmp_path: Path) -> Iterator[Machines]:
    head = {**NODE, "num_cpus": 0, "include_dashboard": False}
    one = Machines(cluster_utils.Cluster(initialize_head=True, head_node_args=head), tmp_path / "seen")
    one.folder.mkdir()
    yield one
    one.close()


@pytest.fixture(scope="module")
def source(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Ten small tars and a zip, without a broken page."""
    make_archive(drawn := tmp_path_factory.mktemp("drawn"), dpi=50)
    pages = members("tar", (drawn / "letters.tar").read_bytes())
    url = f"s3://pumice-tests/{drawn.parent.name}-machines"
    boxes = {f"box-{n}.tar": archive("tar", [Item(f"{n}.png", pages[n % 4].data)]) for n in range(BOXES)}
    fill(open_store(url), {**boxes, "minutes.zip": (drawn / "minutes.zip").read_bytes()})
    return url


@pytest.fixture(scope="module")
def undisturbed(source: str) -> dict[str, str]:
    """What a run on this machine alone leaves."""
    command = [sys.executable, "-m", "jobs", "clean", source, f"{source}-undisturbed"]
    subprocess.run(command, check=True, timeout=600)
    return digests(open_store(f"{source}-undisturbed"))


def attempts(destination: str) -> dict[str, int]:
    return {commit.shard: commit.attempt for commit in Ledger(open_store(destination)).each_commit()}


def busy(node: "cluster_utils.Node", shards: int) -> Callable[[list[Seen]], bool]:
    """Whether workers of this machine have this many shards in work."""
    return lambda notes: len(handed(notes, node)) >= shards


def handed(notes: list[Seen], node: "cluster_utils.Node") -> set[str]:
    return {one.shard for one in notes if one.node == node.node_id and one.shard}


def one_of_two_at_work(
    machines: Machines, source: str, destination: str, *options: str
) -> "tuple[cluster_utils.Node, set[str]]":
    """One of two machines with a GPU that both have all that they take at once; what that one has."""
    stays, other = machines.add(cpus=1, gpus=1), machines.add(cpus=1, gpus=1)
    machines.clean(source, destination, "--device", "cuda", *options)
    notes = machines.until(lambda notes: busy(stays, 2)(notes) and busy(other, 2)(notes))
    return other, handed(notes, other)


def is_whole(destination: str, undisturbed: dict[str, str]) -> None:
    assert digests(open_store(destination)) == undisturbed
    assert api.verify(destination).problems == ()


def test_each_cleaner_sees_its_own_gpu_and_those_that_share_one_see_the_same(
    machines: Machines, source: str, undisturbed: dict[str, str], s3_url: str
) -> None:
    pair, single = machines.add(cpus=2, gpus=2), machines.add(cpus=1, gpus=1)
    machines.go()
    machines.clean(source, s3_url, "--device", "cuda")
    assert machines.ended()[0] == 0
    places = [one for one in seen(machines.folder) if not one.shard]
    shown = sorted((one.node == single.node_id, one.visible, one.device, one.threads) for one in places)
    assert shown == [(False, "0", "cuda", 1), (False, "1", "cuda", 1), (True, "0", "cuda", 1)]
    assert {one.node for one in places} == {pair.node_id, single.node_id}
    is_whole(s3_url, undisturbed)


def test_half_a_gpu_each_puts_two_cleaners_on_one(machines: Machines, source: str, s3_url: str) -> None:
    machines.add(cpus=2, gpus=1)
    machines.go()
    machines.clean(source, s3_url, "--gpus-per-actor", "0.5")
    assert machines.ended()[0] == 0
    places = [one for one in seen(machines.folder) if not one.shard]
    assert [(one.visible, one.device) for one in places] == [("0", "cuda")] * 2
    assert len({one.pid for one in places}) == 2


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_a_machine_that_comes_late_takes_its_share(
    machines: Machines, source: str, undisturbed: dict[str, str], s3_url: str, device: str
) -> None:
    gpus = 1 if device == "cuda" else 0
    first = machines.add(cpus=1, gpus=gpus)
    machines.clean(source, s3_url, "--device", device)
    machines.until(busy(first, 2))
    late = machines.add(cpus=2 - gpus, gpus=gpus)
    machines.until(busy(late, 4 - 2 * gpus))
    machines.go()
    assert machines.ended()[0] == 0
    places = Counter((one.node, one.device, one.threads) for one in seen(machines.folder) if not one.shard)
    assert places == {(first.node_id, device, 1): 1, (late.node_id, device, 1): 2 - gpus}
    assert set(attempts(s3_url).values()) == {1}
    is_whole(s3_url, undisturbed)


def test_a_run_that_finds_no_machine_begins_when_one_comes(
    machines: Machines, source: str, undisturbed: dict[str, str], s3_url: str
) -> None:
    machines.clean(source, s3_url, "--device", "cpu")
    machines.until(lambda _: machines.actors()["PENDING_CREATION"])  # an autoscaler would see that it waits
    machines.add(cpus=2)
    machines.go()
    assert machines.ended()[0] == 0
    is_whole(s3_url, undisturbed)


def test_what_a_killed_machine_had_in_work_is_done_by_the_others(
    machines: Machines, source: str, undisturbed: dict[str, str], s3_url: str
) -> None:
    dies, held = one_of_two_at_work(machines, source, s3_url)
    machines.kill(dies)
    machines.go()
    assert machines.ended()[0] == 0
    tried = attempts(s3_url)
    assert len(tried) == BOXES + 1 and tried == {shard: 1 + (shard in held) for shard in tried}
    is_whole(s3_url, undisturbed)


def test_a_machine_that_is_drained_ends_what_it_has_and_gets_nothing_more(
    machines: Machines, source: str, undisturbed: dict[str, str], s3_url: str
) -> None:
    leaves, held = one_of_two_at_work(machines, source, s3_url)
    machines.drain(leaves)
    machines.go()
    assert machines.ended()[0] == 0
    assert handed(seen(machines.folder), leaves) == held
    assert set(attempts(s3_url).values()) == {1}
    assert leaves.all_processes["raylet"][0].process.wait(60) == 0, "it had nothing more to wait for"
    is_whole(s3_url, undisturbed)


def test_what_a_machine_had_in_work_when_it_was_taken_away_is_not_held_against_it(
    machines: Machines, source: str, undisturbed: dict[str, str], s3_url: str
) -> None:
    goes, held = one_of_two_at_work(machines, source, s3_url, "--max-attempts", "1")
    machines.drain(goes)
    machines.kill(goes)
    machines.go()
    assert machines.ended()[0] == 0, "one attempt was all they had, and none is quarantined"
    tried = attempts(s3_url)
    assert tried == {shard: 1 + (shard in held) for shard in tried}
    is_whole(s3_url, undisturbed)


def test_cores_help_gpus_where_they_are_asked_to(
    machines: Machines, source: str, undisturbed: dict[str, str], s3_url: str
) -> None:
    fast, slow = machines.add(cpus=1, gpus=1), machines.add(cpus=2)
    machines.clean(source, s3_url, "--also-cpu")
    machines.until(lambda notes: busy(fast, 2)(notes) and busy(slow, 4)(notes))
    machines.go()
    assert machines.ended()[0] == 0
    places = Counter((one.node, one.device, one.visible) for one in seen(machines.folder) if not one.shard)
    assert {name[:2]: count for name, count in places.items()} == {
        (fast.node_id, "cuda"): 1,
        (slow.node_id, "cpu"): 2,
    }
    is_whole(s3_url, undisturbed)
    found = api.verify(s3_url)
    assert {one.device: one.shards > 1 for one in found.mixed} == {"cpu": True, "cuda": True}
    assert sum(one.shards for one in found.made) == BOXES + 1
    left = api.plan(source, s3_url, CleanOptions())
    assert (left.todo, left.kept) == ((), BOXES + 1), "a later run of one kind of device keeps them"


def test_where_no_machine_ever_comes_it_is_told_and_nothing_is_left_behind(
    machines: Machines, source: str, s3_url: str
) -> None:
    (machines.folder / START_S).write_text("10")
    machines.clean(source, s3_url, "--device", "cpu")
    code, told = machines.ended()
    assert code == 1 and "Traceback" not in told
    assert "pumice: No worker could be placed within 10 s: the cluster has no room" in told
    assert machines.actors() == {"DEAD": 1}
    state = api.status(s3_url)
    assert state.holder is None and state.in_flight == () and state.runs[0].exit_code == 1


def test_cuda_is_refused_where_there_is_none(machines: Machines, source: str, s3_url: str) -> None:
    machines.add(cpus=1)
    machines.clean(source, s3_url, "--device", "cuda")
    code, told = machines.ended()
    assert code == 2 and "Ray sees no GPU" in told and not machines.actors()
    assert api.status(s3_url).holder is None
