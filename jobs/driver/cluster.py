"""Starts or joins Ray, and works off a queue on it.

Ray restarts actors for ever and retries no call: the ledger counts attempts. The driver holds only keys and
counters, so nothing is lost if it is killed.
"""

import logging
import os
import signal
import threading

import ray

from jobs.config import CleanOptions
from jobs.driver.dispatch import Dispatch
from jobs.driver.feed import Feed, Watch
from jobs.driver.fleet import Fleet
from jobs.driver.job import WorkerSpec
from jobs.driver.stop import stop_on_signals
from jobs.errors import InputError, RayError
from jobs.shard.meter import Progress

OBJECT_STORE_BYTES = 100 * 2**20
"""Only keys travel through Ray."""


class Cluster:
    """A Ray cluster that this run joined or started; a context manager."""

    def __init__(self, options: CleanOptions) -> None:
        """Connect.

        Raises:
            InputError: the cluster can't be reached, or has no GPU although `--device cuda` asks for one.
        """
        self._options = options
        self._mine = not ray.is_initialized()
        if self._mine:
            terminate = signal.getsignal(signal.SIGTERM)
            _connect(options.address)
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, terminate)  # Ray's own handler would exit with code 15
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        if options.device == "cuda" and not resources.get("GPU"):
            self.close()
            raise InputError(
                "--device cuda, but Ray sees no GPU: bring machines with one, or use --device auto or cpu."
            )

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the cluster, or end it if it was started here."""
        if self._mine:
            ray.shutdown()

    def run(self, dispatch: Dispatch, spec: WorkerSpec, shards: int, watch: Watch) -> None:
        """Work off the queue.

        Args:
            dispatch: the queue; it is told how attempts end.
            spec: what workers are told; `device` and `threads` are replaced for each.
            shards: the number of shards of the source, done ones included.
            watch: called with the progress about twice a second; an error that it raises ends the work.

        Raises:
            Interrupted: by SIGINT or SIGTERM; attempts in work got GRACE_S seconds to end.
            PumiceError: no worker could be started; and whatever `dispatch` raises.
        """
        with stop_on_signals() as stop:
            fleet = Fleet(self._options, spec, shards)

            def tend(progress: Progress) -> None:
                if not stop.asked:
                    fleet.tend(dispatch.waiting)
                watch(progress)

            try:
                fleet.tend(dispatch.waiting)
                Feed(fleet.workers, dispatch, tend, stop, self._options.shard_timeout).run()
            finally:
                fleet.close()


def _connect(address: str | None) -> None:
    # Pumice sends nothing to places that the user did not name.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address is None:
        _start_here()
        return
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"can't join the Ray cluster at {address}: {reason}; check --address") from error


def _start_here() -> None:
    try:
        ray.init(
            "local", include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES,
            log_to_driver=False, logging_level=logging.ERROR,
        )  # fmt: skip
    except Exception as error:  # if its processes don't start in time, Ray raises no narrower one
        ray.shutdown()
        reason = str(error).strip().partition(". ")[0].rstrip(".")
        raise RayError(
            f"Ray doesn't start here ({reason}): mend that, or end other work if this machine is too busy, "
            "then run the same command again."
        ) from error
