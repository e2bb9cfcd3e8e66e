"""Places of both kinds, a real S3 server and a real Ray for the session."""

import contextlib
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.stores.base import Store
from jobs.stores.open import open_store
from tests.s3_server import BUCKET, NoServer, S3Server, serve_s3

# A shell's `pytest &` ignores SIGINT, which commands that tests start would inherit: no Ctrl-C reaches them.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """SeaweedFS, with the session's AWS_* set to it."""
    try:
        with serve_s3(tmp_path_factory.mktemp("s3")) as server:
            yield server
    except NoServer as error:
        pytest.skip(str(error))


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


@pytest.fixture
def s3_url(s3_server: S3Server) -> str:
    """The address of an empty place on the S3 server."""
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def ray_session(request: pytest.FixtureRequest) -> Iterator[None]:
    """One Ray for all tests; the S3 server comes first, because workers inherit the environment."""
    import ray

    with contextlib.suppress(pytest.skip.Exception):
        request.getfixturevalue("s3_server")
    ray.init(
        "local", num_cpus=2, include_dashboard=False, object_store_memory=80 * 2**20, log_to_driver=False
    )
    yield
    ray.shutdown()
