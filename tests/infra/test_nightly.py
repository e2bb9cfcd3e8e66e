"""The program in the CronJob's pod, against a server that answers as Kubernetes does."""

import importlib.util
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import certifi
import pytest

from tests.manifests import KUBERNETES, one_of, validate, written

BASE = KUBERNETES / "base"
ROOT_URL = "/apis/ray.io/v1/namespaces/archive/rayjobs"
DONE = {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"}


class Api:
    """Holds RayJobs; that of the night goes through `phases`, where a number is an HTTP status."""

    def __init__(self, *phases: dict[str, str] | int) -> None:
        self.jobs: dict[str, Any] = {"pumice": one_of(written(BASE), "RayJob")}
        self.phases = list(phases)
        self.created: list[dict[str, Any]] = []
        self.tokens: set[str] = set()

    def get(self, name: str) -> tuple[int, Any]:
        if name not in self.jobs:
            return 404, {}
        if name == "pumice":
            return 200, self.jobs[name]
        phase = self.phases.pop(0) if len(self.phases) > 1 else self.phases[0]
        return (phase, {}) if isinstance(phase, int) else (200, {**self.jobs[name], "status": phase})

    def post(self, job: dict[str, Any]) -> tuple[int, Any]:
        name = job["metadata"]["name"]
        if name in self.jobs:
            return 409, {}
        self.jobs[name] = job
        self.created.append(job)
        return 201, job


def handler(api: Api) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self, code: int, body: Any) -> None:
            api.tokens.add(self.headers["Authorization"])
            data = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            self.answer(*api.get(self.path.removeprefix(f"{ROOT_URL}/")))

        def do_POST(self) -> None:
            assert self.path == ROOT_URL
            self.answer(*api.post(json.loads(self.rfile.read(int(self.headers["Content-Length"])))))

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@pytest.fixture(scope="module")
def nightly() -> ModuleType:
    spec = importlib.util.spec_from_file_location("nightly", BASE / "nightly.py")
    assert spec and spec.loader
    module = sys.modules["nightly"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def account(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("secret\n")
    shutil.copy(certifi.where(), tmp_path / "ca.crt")
    return tmp_path


@pytest.fixture
def serve() -> Iterator[Any]:
    servers = []

    def start(api: Api) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler(api))
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def run(nightly: ModuleType, url: str, account: Path, patience_s: float = 30) -> None:
    kubernetes = nightly.Kubernetes(url, "archive", account)
    nightly.run(kubernetes, "pumice-29384729", "uid-1", 0.01, patience_s)


def test_a_night_is_a_copy_of_the_pattern_that_runs(nightly: ModuleType, account: Path, serve: Any) -> None:
    api = Api({"jobDeploymentStatus": "Initializing"}, {"jobDeploymentStatus": "Running"}, DONE)
    run(nightly, serve(api), account)
    (job,) = api.created
    pattern = api.jobs["pumice"]
    assert job["spec"] == {**pattern["spec"], "suspend": False} and pattern["spec"]["suspend"]
    assert job["metadata"]["name"] == "pumice-29384729"
    assert job["metadata"]["ownerReferences"][0]["uid"] == "uid-1"
    assert api.tokens == {"Bearer secret"}
    validate(job)


def test_a_pod_that_is_started_again_waits_for_what_was_started(
    nightly: ModuleType, account: Path, serve: Any
) -> None:
    api = Api({"jobDeploymentStatus": "Running"}, DONE)
    api.jobs["pumice-29384729"] = {"metadata": {"name": "pumice-29384729"}}
    run(nightly, serve(api), account)
    assert api.created == []


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"jobDeploymentStatus": "Failed", "jobStatus": "FAILED", "message": "exit code 3"}, "exit code 3"),
        ({"jobDeploymentStatus": "Complete", "jobStatus": "STOPPED"}, "STOPPED"),
        ({"jobDeploymentStatus": "ValidationFailed"}, "ValidationFailed"),
    ],
)
def test_a_night_that_failed_is_not_tried_again(
    nightly: ModuleType, account: Path, serve: Any, status: dict[str, str], said: str
) -> None:
    with pytest.raises(nightly.GiveUp, match=said) as raised:
        run(nightly, serve(Api(status)), account)
    assert raised.value.code == 1


def test_an_api_server_that_is_away_for_a_moment_is_waited_for(
    nightly: ModuleType, account: Path, serve: Any
) -> None:
    api = Api({"jobDeploymentStatus": "Running"}, 503, 429, 500, DONE)
    run(nightly, serve(api), account)
    assert len(api.created) == 1


def test_one_that_stays_away_is_left_to_the_next_pod(nightly: ModuleType, account: Path, serve: Any) -> None:
    with pytest.raises(nightly.GiveUp, match="can't be asked") as raised:
        run(nightly, serve(Api(503)), account, patience_s=0.2)
    assert raised.value.code == 2
    with pytest.raises(nightly.GiveUp, match="can't be asked"):
        run(nightly, "http://127.0.0.1:9", account, patience_s=0.1)


def test_a_right_that_is_missing_or_a_night_that_was_deleted_ends_it(
    nightly: ModuleType, account: Path, serve: Any
) -> None:
    for code in (403, 404):
        with pytest.raises(nightly.GiveUp, match=f"{code}") as raised:
            run(nightly, serve(Api(code)), account)
        assert raised.value.code == 1


def test_it_needs_no_package_beside_python(tmp_path: Path) -> None:
    script = f"import runpy; runpy.run_path({str(BASE / 'nightly.py')!r})"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], cwd=tmp_path, check=False)
    assert done.returncode == 0
