"""Which workers a run places and lets go as machines come and go; Ray is played here.

The real one stands behind tests/jobs/driver/test_cluster_nodes.py; here every order of events can be had.
"""

from types import SimpleNamespace

import pytest

from jobs.config import CleanOptions, Recipe
from jobs.driver import fleet
from jobs.driver.fleet import Fleet
from jobs.driver.placement import Node
from jobs.driver.worker import WorkerSpec

SPEC = WorkerSpec("/from", "/to", Recipe("w"), "auto", 1, 0.5)


def node(number: int, cpus: int = 2, gpus: int = 0) -> Node:
    return Node(f"{number:056x}", cpus, gpus)


class Table:
    """The cluster that the fleet sees, and the actors that it asked for."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.nodes: list[Node] = []
        self.draining: set[str] = set()
        self.asked: list[dict[str, object]] = []
        self.killed: list[object] = []
        ray = SimpleNamespace(
            remote=lambda _: SimpleNamespace(options=self._options), kill=self.killed.append
        )
        patch.setattr(fleet, "ray", ray)
        patch.setattr(fleet, "_nodes", lambda: self.nodes)
        patch.setattr(fleet, "_draining", lambda: self.draining)
        patch.setattr(fleet, "LOOK_S", 0)

    def _options(self, **options: object) -> SimpleNamespace:
        return SimpleNamespace(remote=lambda spec: self._actor(options | {"spec": spec}))

    def _actor(self, asked: dict[str, object]) -> SimpleNamespace:
        self.asked.append(asked)
        return SimpleNamespace(look=SimpleNamespace(remote=lambda: None))


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Table:
    return Table(monkeypatch)


def begun(shards: int = 100, **options: object) -> Fleet:
    return Fleet(CleanOptions(**options), SPEC, shards)  # type: ignore[arg-type]


def places(crew: Fleet) -> list[int | None]:
    """The machines of those who stay, in the order in which they were placed."""
    return [int(one.node, 16) if one.node else None for one in crew.workers if not one.leaving]


def test_cleaners_are_bound_to_their_machine_and_told_what_they_get(table: Table) -> None:
    table.nodes = [node(1, 4, 1)]
    crew = begun()
    crew.tend(9)
    (asked,) = table.asked
    assert (asked["num_cpus"], asked["num_gpus"], asked["max_restarts"], asked["max_task_retries"]) == (
        4, 1.0, -1, 0,
    )  # fmt: skip
    strategy, spec = asked["scheduling_strategy"], asked["spec"]
    assert (strategy.node_id, strategy.soft) == (node(1).id, False)  # type: ignore[attr-defined]
    assert (spec.device, spec.threads, spec.recipe) == ("cuda", 4, SPEC.recipe)  # type: ignore[attr-defined]


def test_no_more_are_placed_than_are_of_use(table: Table) -> None:
    table.nodes = [node(1), node(2)]
    crew = begun()
    crew.tend(3)
    assert places(crew) == [1, 2, 1]
    crew.tend(3)
    assert len(crew.workers) == 3, "each that starts will take one of those that wait"
    for worker in crew.workers:
        worker.up = True
    table.nodes.append(node(3))
    crew.tend(0)
    assert len(crew.workers) == 3
    crew.tend(2)
    assert places(crew) == [1, 2, 1, 3, 2]
    crew.tend(9)
    assert places(crew) == [1, 2, 1, 3, 2, 3]


def test_it_looks_only_now_and_then(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "LOOK_S", 1000)
    table.nodes = [node(1)]
    crew = begun()
    crew.tend(1)
    table.nodes.append(node(2))
    crew.tend(9)
    assert places(crew) == [1]


@pytest.mark.parametrize("how", ["drained", "dead"])
def test_those_of_a_machine_that_goes_are_to_leave(table: Table, how: str) -> None:
    table.nodes = [node(1), node(2)]
    crew = begun()
    crew.tend(2)
    if how == "drained":
        table.draining = {node(1).id}
    else:
        table.nodes = [node(2)]
    crew.tend(5)
    assert [(one.leaving, one.drained) for one in crew.workers] == [
        (True, how == "drained"), (False, False), (False, False),
    ]  # fmt: skip
    assert places(crew) == [2, 2], "what room there is elsewhere is taken"
    table.nodes = []
    crew.tend(5)
    assert [one.drained for one in crew.workers] == [how == "drained", False, False]


def test_the_last_shard_finds_a_cleaner_although_none_waits_in_the_queue(table: Table) -> None:
    table.nodes = [node(1, 1), node(2, 1)]
    crew = begun()
    crew.tend(1)
    table.nodes = [node(2, 1)]
    crew.tend(0)  # the loop holds one in its hand
    assert places(crew) == [2]


def test_without_room_one_cleaner_waits_for_a_machine_and_makes_way_then(table: Table) -> None:
    table.nodes = [node(1, 0)]
    crew = begun(device="cpu")
    crew.tend(5)
    crew.tend(5)
    assert places(crew) == [None] and table.asked[0]["scheduling_strategy"] is None
    table.nodes.append(node(2))
    crew.tend(5)
    assert places(crew) == [2, 2]


def test_a_machine_that_was_not_known_everywhere_yet_is_tried_again(table: Table) -> None:
    table.nodes = [node(1)]
    crew = begun()
    crew.tend(2)
    refused, broken = crew.workers
    crew.workers.clear()
    refused.lost = True
    crew.tend(9)
    assert places(crew) == [1], "what can't start there is not tried again"
    assert broken not in crew.workers


def test_all_are_ended_in_the_end(table: Table) -> None:
    table.nodes = [node(1)]
    crew = begun()
    crew.tend(2)
    crew.close()
    assert table.killed == [one.handle for one in crew.workers] and len(table.killed) == 2
