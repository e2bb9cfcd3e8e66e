"""Runs a command while Ray's autoscaler holds GPUs ready: python infra/aws/grow.py 8 pumice clean ...

`pumice clean` asks an autoscaler for one machine at most, so the others have to be asked for. They are asked
for until the command ends: spot machines that are lost meanwhile are replaced, and afterwards all go after
the cluster's idle timeout.

Exits as the command does; 1 where no GPU came at all; 2 for wrong arguments.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

import ray
from ray.autoscaler.sdk import request_resources

PATIENCE_S = 1200.0
"""A machine has to be found, to boot and to be set up; then the run goes on with those that came."""
POLL_S = 5.0
USAGE = "Say how many GPUs and what to run: grow.py 8 pumice clean SRC DST --address auto"


def _gpus() -> int:
    return int(ray.cluster_resources().get("GPU", 0))  # type: ignore[no-untyped-call]


def wait_for_gpus(wanted: int) -> int:
    """Wait until the cluster has so many GPUs, for PATIENCE_S seconds at most; how many it has then."""
    end = time.monotonic() + PATIENCE_S
    while (there := _gpus()) < wanted and time.monotonic() < end:
        time.sleep(POLL_S)
    return there


def run(command: Sequence[str]) -> int:
    """Run a command, and tell it to stop where this process is told to.

    Returns:
        Its exit code; 128 + the signal's number where one ended it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the command as well
    with subprocess.Popen(command) as process:
        try:
            code = process.wait()
        finally:
            process.terminate()
    return code if code >= 0 else 128 - code


def _stop(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)


def main(arguments: Sequence[str]) -> int:
    """Grow, run, let go; the exit code."""
    if not arguments[1:] or not arguments[0].isdecimal():
        print(USAGE, file=sys.stderr)
        return 2
    ray.init("auto", log_to_driver=False)
    # Also where the SSH connection breaks: a request that nobody takes back keeps its machines for ever.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    request_resources(bundles=[{"GPU": 1}] * int(arguments[0]))
    try:
        there = wait_for_gpus(int(arguments[0]))
        if not there:
            print("No GPU came: `ray status` on the head says why.", file=sys.stderr)
            return 1
        print(f"{there} of {arguments[0]} GPUs are there.", flush=True)
        return run(arguments[1:])
    finally:
        request_resources(bundles=[])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
