"""The units of one machine, as systemd itself reads them."""

import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "infra" / "systemd"
INSTALLED = Path("/lib/systemd/system")
PROGRAM = "opt/pumice/.venv/bin/pumice"

if shutil.which("systemd-analyze") is None or not INSTALLED.is_dir():
    pytest.skip("no systemd here", allow_module_level=True)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A root folder with systemd's own units, Pumice's and its program."""
    shutil.copytree(INSTALLED, tmp_path / "usr" / "lib" / "systemd" / "system", symlinks=True)
    shutil.copytree(UNITS, tmp_path / "etc" / "systemd" / "system")
    program = tmp_path / PROGRAM
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return tmp_path


def complaints(machine: Path) -> list[str]:
    command = ["systemd-analyze", "verify", f"--root={machine}", "pumice.service", "pumice.timer"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [line for line in done.stderr.splitlines() if "pumice" in line]


def test_systemd_has_nothing_to_say(machine: Path) -> None:
    assert complaints(machine) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("KillMode=mixed", "KilMode=mixed"), ("/opt/pumice/.venv", "/opt/elsewhere"), ("=oneshot", "=once")],
)
def test_a_mistake_is_found(machine: Path, right: str, wrong: str) -> None:
    unit = machine / "etc" / "systemd" / "system" / "pumice.service"
    assert right in unit.read_text()
    unit.write_text(unit.read_text().replace(right, wrong))
    assert complaints(machine)


def test_it_is_no_root_and_runs_every_night() -> None:
    service, timer = ((UNITS / f"pumice.{kind}").read_text().splitlines() for kind in ("service", "timer"))
    assert "User=pumice" in service and "NoNewPrivileges=yes" in service
    (when,) = [line.partition("=")[2] for line in timer if line.startswith("OnCalendar=")]
    command = ["systemd-analyze", "calendar", "--iterations=3", "--base-time=2026-11-23", when]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [told.count(f"{day} 01:00:00") >= 1 for day in ("2026-11-23", "2026-11-24", "2026-11-25")] == [
        True
    ] * 3
