"""Whether a process lives, and whether it is one that this process can look up."""

from pathlib import Path


def boot_id() -> str:
    """The id of the set of processes whose pids this process can look up; empty where there is no /proc.

    The pid namespace is part of it: two containers of one host may have all the rest in common.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def pid_start(pid: int) -> str:
    """When a process started, in ticks since boot, which tells it from a later one of the same pid.

    Empty if the process is dead.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The name of the command may hold spaces and brackets, so fields are counted from its closing bracket.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
