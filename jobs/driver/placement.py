"""Which workers a machine gets: one for each device, with its share of the cores; knows nothing of Ray.

The rule is fixed at the start of a run, so that a machine that joins later gets the same as the others.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from jobs.config import CleanOptions


@dataclass(frozen=True)
class Node:
    """A machine of the cluster: Ray's id for it, and the numbers of cores and GPUs that it offers."""

    id: str
    cpus: int
    gpus: int


@dataclass(frozen=True)
class Slot:
    """Room for one worker.

    Attributes:
        node: the machine's id; None for any machine that has the room.
        place: the slot's number on its machine, from 0.
        device: where the network runs.
        threads: for codecs, and for the network on a CPU.
        cpus: the cores that Ray reserves; fewer than `threads` if workers outnumber the cores.
        gpus: the share of a GPU that Ray reserves.
    """

    node: str | None
    place: int
    device: Literal["cpu", "cuda"]
    threads: int
    cpus: int
    gpus: float


@dataclass(frozen=True)
class Layout:
    """How workers are placed on any machine.

    Attributes:
        gpu_share: the share of a GPU for each worker on one; 0 places none on GPUs.
        threads: the threads of a worker on cores; 0 places none on cores.
    """

    gpu_share: float
    threads: int

    @staticmethod
    def of(nodes: Collection[Node], options: CleanOptions, shards: int) -> "Layout":
        """Decide the layout of a run.

        Args:
            nodes: the machines at its start.
            options: its options.
            shards: the number of shards of the source; if fewer than cores, a worker gets several cores.
        """
        gpu = options.device != "cpu" and (options.also_cpu or any(node.gpus for node in nodes))
        share = options.gpus_per_actor if gpu else 0.0
        if options.also_cpu:
            return Layout(share, 1)
        cpus = sum(node.cpus for node in nodes)
        # On CPUs one thread a worker costs least: with several, each operation waits for the slowest.
        return Layout(share, 0 if gpu else max(1, cpus // max(1, min(cpus, shards))))

    @property
    def anywhere(self) -> Slot:
        """Room for a first worker on a machine that is not there yet."""
        if self.gpu_share and not self.threads:
            return Slot(None, 0, "cuda", 1, 1, self.gpu_share)
        return Slot(None, 0, "cpu", self.threads, self.threads, 0)

    def slots(self, node: Node) -> list[Slot]:
        """All slots of a machine, those on GPUs first; workers on cores get the cores that these leave."""
        # Counted for each GPU: a worker can't use parts of two. Rounding must not lose a worker at 1/49, say.
        count = node.gpus * int(1 / self.gpu_share + 1e-9) if self.gpu_share else 0
        each = node.cpus // count if count else 0
        left = max(0, node.cpus - count * max(1, each))
        threads = min(self.threads, left)
        more = left // threads if threads else 0
        return [
            *(Slot(node.id, place, "cuda", max(1, each), each, self.gpu_share) for place in range(count)),
            *(Slot(node.id, count + place, "cpu", threads, threads, 0) for place in range(more)),
        ]


def choose(rooms: Iterable[list[Slot]], taken: Collection[Slot], count: int) -> list[Slot]:
    """Choose up to `count` free slots, those on GPUs first, spread evenly over the machines.

    Args:
        rooms: all slots of each machine.
        taken: the slots in use.
        count: the number of workers that would be of use.
    """
    free = [slot for room in rooms for slot in room if slot not in taken]
    return sorted(free, key=lambda slot: (slot.device != "cuda", slot.place))[:count]
