"""A store that can break at every step: the process is killed or frozen there, or the step fails."""

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from jobs.stores.base import Store

CHANGES = frozenset(
    {"create", "put", "delete", "stage", "publish", "discard", "discard_attempt", "write", "finish", "abort"}
)
"""The methods that change a store or an upload; between two of them every crash leaves the same behind."""

Act = Callable[[str, bool], None]
"""Called with the name of a step, before it (False) and after it (True)."""


class Breaking:
    """Passes all calls on to a store, and calls `act` before and after each change, of its uploads too."""

    def __init__(self, inner: Any, act: Act) -> None:
        self._inner, self._act = inner, act

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name not in CHANGES:
            return method

        def change(*arguments: Any) -> Any:
            self._act(name, False)
            result = method(*arguments)
            self._act(name, True)
            return Breaking(result, self._act) if name == "stage" else result

        return change


class Countdown:
    """Does something at the n-th moment, once; a moment is before or after a change."""

    def __init__(self, moments: int, what: Callable[[], object]) -> None:
        self._left, self._what, self._lock = moments, what, threading.Lock()

    def __call__(self, name: str, after: bool) -> None:
        with self._lock:
            self._left -= 1
            now = self._left == -1
        if now:
            self._what()


def kill_at(store: Store, moment: int) -> Store:
    """SIGKILL for this process at a moment, which nothing survives."""
    return Breaking(store, Countdown(moment, lambda: os.kill(os.getpid(), signal.SIGKILL)))  # type: ignore[return-value]


def freeze_at(store: Store, moment: int) -> Store:
    """SIGSTOP for this process at a moment: another process has to wake it."""
    return Breaking(store, Countdown(moment, lambda: os.kill(os.getpid(), signal.SIGSTOP)))  # type: ignore[return-value]


def in_child(work: Callable[[], object]) -> int:
    """Fork, and do it there; the child's pid. It exits 0 if all went well, else 1.

    Forking, not starting anew: imports take a hundred times longer than the work.
    """
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def outcome_of(pid: int) -> int:
    """Wait for a child's end: its exit code, or minus the signal that ended or stopped it."""
    _, status = os.waitpid(pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        return -os.WSTOPSIG(status)
    return os.waitstatus_to_exitcode(status)
