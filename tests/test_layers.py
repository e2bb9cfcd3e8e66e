"""Which room may import which, and which packages stay at the edges, read off the source of every module."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LEVELS = {
    "jobs": (
        {"__main__"}, {"cli"}, {"api"}, {"review"}, {"remote", "upkeep"}, {"driver"}, {"shard"}, {"report"},
        {"ledger"}, {"stores", "codecs", "archives"}, {"config", "logs"}, {"errors", "text"},
    ),
    "model": (
        {"gallery"}, {"training"}, {"scoring", "guard"}, {"judging", "cleaning"}, {"network", "drawing"},
        {"squares"}, {"cells", "device", "images", "markdown", "shipped"}, {"page", "tile"},
    ),
}  # fmt: skip
"""The rooms of each wing. A room imports only rooms of the levels after its own."""

EDGES = {
    "ray": {"jobs/driver/"},
    "boto3": {"jobs/stores/s3_client.py"},
    "botocore": {"jobs/stores/s3.py", "jobs/stores/s3_client.py", "jobs/stores/s3_streams.py"},
    "typer": {"jobs/cli/"},
    "requests": {"jobs/remote/"},
    "torch": {"jobs/cli/", "jobs/driver/", "jobs/remote/"},
}
"""The only places in jobs/ that import a heavy package."""

MODULES = [path for wing in LEVELS for path in sorted((ROOT / wing).rglob("*.py"))]


def imported(path: Path) -> Iterator[str]:
    """The dotted names of all modules that a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{path}: imports are absolute"
            inner = node.module in LEVELS  # `from jobs import api` names a module below
            yield from (f"{node.module}.{alias.name}" if inner else node.module for alias in node.names)


def test_every_module_is_in_a_known_room() -> None:
    rooms = {wing: {path.relative_to(ROOT / wing).parts[0].removesuffix(".py") for path in MODULES
                    if path.is_relative_to(ROOT / wing)} for wing in LEVELS}  # fmt: skip
    for wing, levels in LEVELS.items():
        assert rooms[wing] - {"__init__"} == set().union(*levels), wing
        assert sum(map(len, levels)) == len(set().union(*levels)), "a room is on one level"


@pytest.mark.parametrize("wing", LEVELS)
def test_imports_run_one_way(wing: str) -> None:
    level = {room: number for number, rooms in enumerate(LEVELS[wing]) for room in rooms}
    wrong = []
    for path in (ROOT / wing).rglob("*.py"):
        room = path.relative_to(ROOT / wing).parts[0].removesuffix(".py")
        for name in imported(path):
            top, _, rest = name.partition(".")
            other = rest.partition(".")[0]
            if top == wing and other not in ("", room) and level[other] <= level[room]:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong


def test_the_model_knows_nothing_of_jobs() -> None:
    names = [name for path in (ROOT / "model").rglob("*.py") for name in imported(path)]
    assert names and not [name for name in names if name.partition(".")[0] in ("jobs", "scripts", "tests")]


@pytest.mark.parametrize("package", EDGES)
def test_heavy_packages_stay_at_the_edges(package: str) -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "jobs").rglob("*.py")
        if package in {name.partition(".")[0] for name in imported(path)}
    }
    assert users or package == "torch"
    assert not [user for user in users if not user.startswith(tuple(EDGES[package]))]
