"""A Ray head in processes of its own, with its dashboard and a token, apart from every other Ray here."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.processes import descendants

TOKEN = "0123456789abcdef" * 4
CPUS = 2


@dataclass(frozen=True)
class Head:
    """A head that answers."""

    url: str
    pid: int


def _free_ports(count: int) -> list[int]:
    # Below the ports that Ray's workers and the S3 server take; all at once, so that they differ.
    with ExitStack() as held:
        found = []
        for port in range(9999 - os.getpid() % 2000, 7000, -1):
            with suppress(OSError):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
                found.append(port)
            if len(found) == count:
                return found
    raise RuntimeError("no free ports for Ray")


def _command(ports: list[int], home: str) -> list[str]:
    port, dashboard, client, agent = ports
    return [
        str(Path(sys.executable).parent / "ray"), "start", "--head", "--block", f"--port={port}",
        f"--num-cpus={CPUS}", "--num-gpus=0", f"--object-store-memory={80 * 2**20}", f"--temp-dir={home}",
        "--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}",
        f"--ray-client-server-port={client}", f"--dashboard-agent-listen-port={agent}",
    ]  # fmt: skip


def _wait(url: str, head: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 240
    while head.poll() is None and time.monotonic() < deadline:
        with suppress(requests.RequestException):
            if requests.get(
                f"{url}/api/version", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20
            ).ok:
                return
        time.sleep(0.2)
    raise RuntimeError("the head did not start: " + log.read_text()[-3000:])


@contextmanager
def serve_head(**settings: str) -> Iterator[Head]:
    """Run a head of two cores, with `settings` beside this process's environment.

    Raises:
        RuntimeError: it does not answer.
    """
    ports = _free_ports(4)
    url = f"http://127.0.0.1:{ports[1]}"
    # Ray's sockets have names of up to 107 characters: pytest's folders are too deep.
    with tempfile.TemporaryDirectory(prefix="ph", ignore_cleanup_errors=True) as home:
        log = Path(home) / "log"
        bins = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "RAY_TMPDIR": home, "PATH": bins}
        with log.open("wb") as file:
            head = subprocess.Popen(
                _command(ports, home),
                env={**os.environ, **own, **settings},
                stdout=file,
                stderr=file,
                cwd=home,
            )
        try:
            _wait(url, head, log)
            yield Head(url, head.pid)
        finally:
            for pid in [head.pid, *(pid for pid, _ in list(descendants(head.pid)))]:
                with suppress(ProcessLookupError):
                    os.kill(pid, 9)
            head.wait()
