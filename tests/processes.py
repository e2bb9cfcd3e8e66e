"""Finding and ending processes that a test started itself, by pid."""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path


def descendants(pid: int) -> Iterator[tuple[int, str]]:
    """All processes below `pid`: (pid, command line), parents first."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name in parentheses may hold anything; the parent is the second field behind it.
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it ended meanwhile
        parents.setdefault(parent, []).append(int(path.parent.name))
    line = [pid]
    while line:
        for child in parents.get(line.pop(), []):
            line.append(child)
            try:
                command = Path(f"/proc/{child}/cmdline").read_bytes()
            except OSError:
                continue
            yield child, command.replace(b"\0", b" ").decode(errors="replace").strip()


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits for its parent to notice does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for_end(family: list[tuple[int, str]], seconds: float = 120) -> None:
    """Wait until what could still work for a killed driver has ended; Ray's agents linger for a minute.

    Raises:
        TimeoutError: something goes on.
    """
    end = time.monotonic() + seconds
    left = [pid for pid, command in family if not re.search("DashboardAgent|RuntimeEnvAgent", command)]
    while left := [pid for pid in left if is_alive(pid)]:
        if time.monotonic() > end:
            raise TimeoutError(f"still running: {left}")
        time.sleep(0.1)


def signal_workers(pid: int, number: signal.Signals) -> list[int]:
    """Send a signal to all workers below a process; their pids."""
    workers = [child for child, command in descendants(pid) if command.startswith("ray::Worker")]
    for worker in workers:
        os.kill(worker, number)
    return workers
