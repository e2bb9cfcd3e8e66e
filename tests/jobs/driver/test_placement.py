"""Which workers a machine gets, on paper."""

import pytest

from jobs.config import CleanOptions
from jobs.driver.placement import Layout, Node, Slot, choose


def layout(*nodes: Node, shards: int = 100, **options: object) -> Layout:
    return Layout.of(nodes, CleanOptions(**options), shards)  # type: ignore[arg-type]


def room(node: Node, *others: Node, shards: int = 100, **options: object) -> list[tuple[str, int, float]]:
    """Device, threads and GPU share of each of a machine's workers."""
    slots = layout(node, *others, shards=shards, **options).slots(node)
    assert all(slot.node == node.id for slot in slots)
    # Ray must have room for all of them at once.
    assert sum(slot.cpus for slot in slots) <= node.cpus and sum(slot.gpus for slot in slots) <= node.gpus
    return [(slot.device, slot.threads, slot.gpus) for slot in slots]


CORES, GPUS, BOTH = Node("cores", 4, 0), Node("gpus", 9, 2), Node("both", 3, 1)


def test_a_cleaner_for_each_core() -> None:
    assert room(CORES) == [("cpu", 1, 0)] * 4
    assert room(GPUS, device="cpu") == [("cpu", 1, 0)] * 9


@pytest.mark.parametrize(("shards", "threads"), [(4, [1] * 4), (3, [1] * 4), (2, [2, 2]), (1, [4]), (0, [4])])
def test_few_shards_share_all_cores(shards: int, threads: list[int]) -> None:
    assert room(CORES, shards=shards) == [("cpu", each, 0) for each in threads]


def test_a_cleaner_never_needs_more_cores_than_a_machine_has() -> None:
    assert room(Node("small", 1, 0), Node("large", 16, 0), shards=1) == [("cpu", 1, 0)]
    assert room(Node("large", 16, 0), Node("small", 1, 0), shards=1) == [("cpu", 16, 0)]
    assert room(Node("head", 0, 0), CORES) == []


def test_a_cleaner_for_each_gpu_with_its_part_of_the_machines_own_cores() -> None:
    assert room(GPUS, CORES) == [("cuda", 4, 1)] * 2
    assert room(CORES, GPUS) == [], "cores alone are left alone"


@pytest.mark.parametrize(
    ("share", "each"), [(1, 1), (0.7, 1), (0.5, 2), (0.4, 2), (1 / 3, 3), (0.1, 10), (1 / 49, 49)]
)
def test_shares_never_span_two_gpus(share: float, each: int) -> None:
    slots = layout(GPUS, gpus_per_actor=share).slots(Node("n", 1000, 2))
    assert len(slots) == 2 * each and {slot.threads for slot in slots} == {1000 // (2 * each)}


def test_more_cleaners_than_cores_reserve_none() -> None:
    slots = layout(BOTH, gpus_per_actor=0.25).slots(BOTH)
    assert slots == [Slot("both", place, "cuda", 1, 0, 0.25) for place in range(4)]


def test_cores_beside_gpus_only_where_they_are_asked_for() -> None:
    assert room(BOTH, CORES) == [("cuda", 3, 1)]
    assert room(BOTH, CORES, also_cpu=True) == [("cuda", 3, 1)]
    assert room(CORES, BOTH, also_cpu=True) == [("cpu", 1, 0)] * 4
    assert room(GPUS, also_cpu=True) == [("cuda", 4, 1)] * 2 + [("cpu", 1, 0)], "the core that was left"
    assert room(BOTH, also_cpu=True, gpus_per_actor=0.25) == [("cuda", 1, 0.25)] * 4


def test_a_first_cleaner_waits_for_a_machine_of_its_kind() -> None:
    assert layout().anywhere == layout(also_cpu=True).anywhere == Slot(None, 0, "cpu", 1, 1, 0)
    assert layout(GPUS, gpus_per_actor=0.5).anywhere == Slot(None, 0, "cuda", 1, 1, 0.5)


def test_gpus_come_first_and_machines_take_turns() -> None:
    rules = layout(GPUS, CORES, also_cpu=True)
    rooms = [rules.slots(node) for node in (CORES, GPUS, BOTH)]
    taken = {rooms[1][0], *rooms[0][:3]}
    chosen = choose(rooms, taken, 9)
    assert [(slot.device, slot.node) for slot in chosen] == [
        ("cuda", "both"),
        ("cuda", "gpus"),
        ("cpu", "gpus"),
        ("cpu", "cores"),
    ]
    assert choose(rooms, taken, 2) == chosen[:2]
    assert choose(rooms, set(), 0) == []
