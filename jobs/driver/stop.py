"""Being told to stop: once, and what is in work may end; twice, or for too long, and it is given up."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

GRACE_S = 20.0
"""What is in work may take so long to end: less than the 30 s that Kubernetes gives a pod."""


class Stop:
    """Notes that the run was told to stop."""

    def __init__(self) -> None:
        self._times = 0
        self._since = 0.0

    def ask(self) -> None:
        """Tell it to stop."""
        self._times += 1
        self._since = self._since or time.monotonic()

    @property
    def asked(self) -> bool:
        """Whether nothing new may be begun."""
        return self._times > 0

    @property
    def due(self) -> bool:
        """Whether what is in work may be waited for no longer."""
        return self._times > 1 or (self.asked and time.monotonic() - self._since > GRACE_S)


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Note SIGINT and SIGTERM instead of raising: an exception within Ray's compiled calls breaks them."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread gets signals
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, lambda *_: stop.ask()) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
