"""The cleaners of a run on a cluster that changes: machines come late, are taken away, or die.

A cleaner belongs to its machine and goes with it, others are placed where there is room for them. So what
Ray does with it stays simple: it restarts a process that died on the same machine, and moves nothing.
"""

import time
from dataclasses import replace

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from jobs.config import CleanOptions
from jobs.driver.feed import SHARDS_IN_FLIGHT, Cleaner
from jobs.driver.placement import Layout, Node, Slot, choose
from jobs.driver.worker import Worker, WorkerSpec

LOOK_S = 5.0
"""Between two looks at the cluster's machines."""


class Fleet:
    """Places cleaners, more of them when machines come, and says which are to leave."""

    def __init__(self, options: CleanOptions, spec: WorkerSpec, shards: int) -> None:
        """Look at the cluster, and place none yet.

        Args:
            options: what the user wants.
            spec: what workers are told; device and threads are filled in here.
            shards: how many the source has, done ones too, so that what a cleaner gets of a machine is the
                same in a run that goes on where another stopped.
        """
        self.cleaners: list[Cleaner] = []
        self._spec = spec
        self._actor = ray.remote(Worker)
        self._layout = Layout.of(_nodes(), options, shards)
        self._taken: dict[Slot, Cleaner] = {}
        self._due = 0.0

    def tend(self, waiting: int) -> None:
        """Look at the machines now and then, and place cleaners where there is room and work for them.

        Args:
            waiting: how many shards wait: no more cleaners are placed than are of use.
        """
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + LOOK_S
        draining = _draining()
        rooms = {node.id: self._layout.slots(node) for node in _nodes() if node.id not in draining}
        somewhere = any(rooms.values())
        for cleaner in self.cleaners:
            cleaner.drained |= cleaner.node in draining
            # One without a machine of its own made an autoscaler bring one, whose cleaners take over.
            cleaner.leaving = cleaner.node not in rooms if cleaner.node else somewhere
        staying = [cleaner for cleaner in self.cleaners if not cleaner.leaving]
        starting = sum(not cleaner.up for cleaner in staying)
        wanted = max(waiting - starting, 0 if staying else 1)
        self._taken = {slot: cleaner for slot, cleaner in self._taken.items() if not cleaner.lost}
        for slot in choose(rooms.values(), self._taken, wanted):
            self._place(slot)
        if not somewhere and not self.cleaners:
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
        cleaner = Cleaner(actor.remote(spec), slot.node)
        self.cleaners.append(cleaner)
        self._taken[slot] = cleaner

    def close(self) -> None:
        """End all cleaners, those too that never found room."""
        for cleaner in self.cleaners:
            ray.kill(cleaner.handle)


def _nodes() -> list[Node]:
    """The machines that live."""
    found = []
    for node in ray.nodes():  # type: ignore[no-untyped-call]
        has = node["Resources"]
        if node["Alive"]:
            found.append(Node(node["NodeID"], int(has.get("CPU", 0)), int(has.get("GPU", 0))))
    return found


def _draining() -> set[str]:
    """The machines that are about to be taken away: spot notices, pods that are told to end."""
    # There is no public way to ask; Ray Train looks for preempted nodes here too.
    found: dict[str, int] = ray._private.state.state.get_draining_nodes()
    return set(found)
