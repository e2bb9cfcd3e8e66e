"""The workers of a run on a cluster that changes: machines join late, are taken away, or die.

A worker is bound to its machine and ends with it; new ones are placed where there is room. So Ray's part
stays simple: it restarts a process that died on the same machine, and moves none to another.
"""

import time
from dataclasses import replace

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from jobs.config import CleanOptions
from jobs.driver.feed import SHARDS_IN_FLIGHT, RemoteWorker
from jobs.driver.job import WorkerSpec
from jobs.driver.placement import Layout, Node, Slot, choose
from jobs.driver.worker import Worker

LOOK_S = 5.0
"""The time between two looks at the cluster's machines."""


class Fleet:
    """Places workers, more of them when machines join, and marks those that have to leave."""

    def __init__(self, options: CleanOptions, spec: WorkerSpec, shards: int) -> None:
        """Look at the cluster; places no worker yet.

        Args:
            options: the options of the run.
            spec: what workers are told; `device` and `threads` are replaced for each.
            shards: the number of shards of the source, done ones included, so that a run that resumes another
                gives a worker the same share of a machine.
        """
        self.workers: list[RemoteWorker] = []
        self._spec = spec
        self._actor = ray.remote(Worker)
        self._layout = Layout.of(_nodes(), options, shards)
        self._taken: dict[Slot, RemoteWorker] = {}
        self._due = 0.0

    def tend(self, waiting: int) -> None:
        """Every LOOK_S seconds, look at the machines and place workers where there is room and work for them.

        Args:
            waiting: the number of shards in the queue: no more workers are placed than would be of use.
        """
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + LOOK_S
        draining = _draining()
        rooms = {node.id: self._layout.slots(node) for node in _nodes() if node.id not in draining}
        somewhere = any(rooms.values())
        for worker in self.workers:
            worker.drained |= worker.node in draining
            # A worker without a machine made an autoscaler add one. The workers of that machine take over.
            worker.leaving = worker.node not in rooms if worker.node else somewhere
        staying = [worker for worker in self.workers if not worker.leaving]
        starting = sum(not worker.up for worker in staying)
        wanted = max(waiting - starting, 0 if staying else 1)
        self._taken = {slot: worker for slot, worker in self._taken.items() if not worker.lost}
        for slot in choose(rooms.values(), self._taken, wanted):
            self._place(slot)
        if not somewhere and not self.workers:
            self._place(self._layout.anywhere)

    def _place(self, slot: Slot) -> None:
        spec = replace(self._spec, device=slot.device, threads=slot.threads)
        actor = self._actor.options(
            num_cpus=slot.cpus,
            num_gpus=slot.gpus,
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=SHARDS_IN_FLIGHT + 1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(slot.node, soft=False) if slot.node else None,
        )
        worker = RemoteWorker(actor.remote(spec), slot.node)
        self.workers.append(worker)
        self._taken[slot] = worker

    def close(self) -> None:
        """End all workers, also those that never found room."""
        for worker in self.workers:
            ray.kill(worker.handle)


def _nodes() -> list[Node]:
    """The machines that are alive."""
    found = []
    for node in ray.nodes():  # type: ignore[no-untyped-call]
        has = node["Resources"]
        if node["Alive"]:
            found.append(Node(node["NodeID"], int(has.get("CPU", 0)), int(has.get("GPU", 0))))
    return found


def _draining() -> set[str]:
    """The ids of machines that will be taken away: spot notices, pods that are told to end."""
    # Ray has no public call for this; Ray Train finds preempted nodes in the same way.
    found: dict[str, int] = ray._private.state.state.get_draining_nodes()
    return set(found)
