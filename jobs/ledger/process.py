"""Whether a process is alive, and whether it is one of those that can be looked up here."""

from pathlib import Path


def boot_id() -> str:
    """Names the set of processes whose pids we can look up; empty where there is no /proc.

    The pid namespace is part of it: two containers of one host may share everything else.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def pid_start(pid: int) -> str:
    """When a process started, in ticks since boot: a reused pid has another; empty if it is dead."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The command's name may hold spaces and brackets: fields are counted from its closing one.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
