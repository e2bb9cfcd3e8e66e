"""Stopping a run: after one signal attempts in work may end; after a second one, or GRACE_S, they may not."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

GRACE_S = 20.0
"""Attempts in work get this much time to end: less than the 30 s that Kubernetes gives a pod."""


class Stop:
    """Whether and when a run was told to stop."""

    def __init__(self) -> None:
        self._times = 0
        self._since = 0.0

    def ask(self) -> None:
        """Tell the run to stop."""
        self._times += 1
        self._since = self._since or time.monotonic()

    @property
    def asked(self) -> bool:
        """Whether the run was told to stop: it may begin nothing new."""
        return self._times > 0

    @property
    def due(self) -> bool:
        """Whether the run must no longer wait for attempts in work."""
        return self._times > 1 or (self.asked and time.monotonic() - self._since > GRACE_S)


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Note SIGINT and SIGTERM instead of raising: an exception inside Ray's compiled calls breaks them."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread receives signals
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, lambda *_: stop.ask()) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
