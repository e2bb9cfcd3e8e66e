"""Who may import whom, read off the source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EDGES = {
    "ray": {"cluster.py", "feed.py", "fleet.py", "metrics.py"},
    "boto3": {"s3_client.py"},
    "botocore": {"s3_client.py", "s3_io.py", "store_s3.py"},
    "typer": {
        "cli.py",
        "cli_evaluate.py",
        "cli_gallery.py",
        "cli_ledger.py",
        "cli_model.py",
        "cli_options.py",
        "cli_review.py",
        "cli_submit.py",
    },
    "requests": {"ray_jobs.py", "ray_token.py"},
}


def imports(path: Path) -> set[str]:
    """The top-level packages that a file imports anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_the_model_knows_nothing_of_jobs() -> None:
    paths = list((ROOT / "model").rglob("*.py"))
    assert paths and not [path.name for path in paths if "jobs" in imports(path)]


@pytest.mark.parametrize("package", EDGES)
def test_heavy_packages_stay_at_the_edges(package: str) -> None:
    users = {path.name for path in (ROOT / "jobs").glob("*.py") if package in imports(path)}
    assert users and users <= EDGES[package]
