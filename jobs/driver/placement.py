"""Which cleaners a machine gets: one a device, with the cores that are its due; knows nothing of Ray.

What every machine gets is decided once, at the start, so that one that comes late is treated as the others.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from jobs.config import CleanOptions


@dataclass(frozen=True)
class Node:
    """A machine of the cluster: Ray's id for it, and how many cores and GPUs it offers."""

    id: str
    cpus: int
    gpus: int


@dataclass(frozen=True)
class Slot:
    """Room for one cleaner.

    Attributes:
        node: the machine's id; None for any that has the room.
        place: tells a machine's slots apart.
        device: what the network runs on there.
        threads: for its codecs, and for the network on a CPU.
        cpus: the cores that Ray is to reserve; fewer than `threads` where cleaners outnumber the cores.
        gpus: the share of a GPU, alike.
    """

    node: str | None
    place: int
    device: Literal["cpu", "cuda"]
    threads: int
    cpus: int
    gpus: float


@dataclass(frozen=True)
class Layout:
    """How cleaners are laid out on any machine.

    Attributes:
        gpu_share: of a GPU, for each cleaner on one; 0 leaves GPUs alone.
        threads: of a cleaner on cores; 0 places none there.
    """

    gpu_share: float
    threads: int

    @staticmethod
    def of(nodes: Collection[Node], options: CleanOptions, shards: int) -> "Layout":
        """Decide it.

        Args:
            nodes: the machines that are there.
            options: what the user wants.
            shards: how many the source has: where they are fewer than the cores, each gets several.
        """
        gpu = options.device != "cpu" and (options.also_cpu or any(node.gpus for node in nodes))
        share = options.gpus_per_actor if gpu else 0.0
        if options.also_cpu:
            return Layout(share, 1)
        cpus = sum(node.cpus for node in nodes)
        # On CPUs one thread each costs least: every operation of several waits for the slowest of them.
        return Layout(share, 0 if gpu else max(1, cpus // max(1, min(cpus, shards))))

    @property
    def anywhere(self) -> Slot:
        """Room for a first cleaner on a machine that isn't there yet."""
        if self.gpu_share and not self.threads:
            return Slot(None, 0, "cuda", 1, 1, self.gpu_share)
        return Slot(None, 0, "cpu", self.threads, self.threads, 0)

    def slots(self, node: Node) -> list[Slot]:
        """All room of a machine, that on GPUs first; cleaners on cores take what those on GPUs leave."""
        # By the GPU: a cleaner can't have parts of two. A share like 1/49 must not lose one to rounding.
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
    """Choose up to `count` slots that are free, those on GPUs first, over all machines alike.

    Args:
        rooms: all slots of each machine.
        taken: those that are taken.
        count: how many cleaners are of use.
    """
    free = [slot for room in rooms for slot in room if slot not in taken]
    return sorted(free, key=lambda slot: (slot.device != "cuda", slot.place))[:count]
