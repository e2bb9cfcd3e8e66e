"""A stand-in for the HTTP side of a Ray head: it keeps jobs and packages, and runs nothing."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from typing import Any


@dataclass
class FakeRay:
    """What it knows, and what it is to answer.

    Attributes:
        ray_version: what it says that it runs.
        token: what it asks for; empty for nothing.
        answers: by method and path, what it answers instead: a status and a text.
        after_list: called after each list of jobs was drawn up, before it is sent.
        lose_submits: jobs are made, and nobody hears of it.
    """

    url: str = ""
    ray_version: str = version("ray")
    token: str = ""
    answers: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    packages: dict[str, bytes] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    after_list: Any = None
    lose_submits: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, path: str, body: bytes, given: str) -> tuple[int, str]:
        """The status and the text for a request."""
        self.seen.append(f"{method} {path} {body.decode(errors='replace')}")
        if self.token and given != f"Bearer {self.token}":
            return (403, "Forbidden: Invalid authentication token") if given else (401, "Unauthorized")
        return self.answers.get((method, path)) or self._answer(method, path, body)

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, str]:
        match path.strip("/").split("/"):
            case ["api", "version"]:
                return 200, json.dumps({"ray_version": self.ray_version})
            case ["api", "packages", "gcs", name]:
                return self._package(method, name, body)
            case ["api", "jobs"]:
                return self._make(json.loads(body)) if method == "POST" else self._list()
            case ["api", "jobs", job_id, *what] if job_id in self.jobs:
                return self._job(job_id, *what)
        return 404, "404: Not Found"

    def _package(self, method: str, name: str, body: bytes) -> tuple[int, str]:
        if method == "PUT":
            self.packages[name] = body
        return (200, "") if name in self.packages else (404, "does not exist")

    def _list(self) -> tuple[int, str]:
        listed = json.dumps(list(self.jobs.values()))
        if self.after_list:
            self.after_list()
        return 200, listed

    def _make(self, request: dict[str, Any]) -> tuple[int, str]:
        with self._lock:
            if request["submission_id"] in self.jobs:
                return 500, "Traceback ...\nValueError: Job with that submission_id already exists."
            self.jobs[request["submission_id"]] = {"status": "PENDING", "start_time": 1000, **request}
        return (500, "lost") if self.lose_submits else (200, json.dumps(request))

    def _job(self, job_id: str, what: str = "") -> tuple[int, str]:
        if what == "logs":
            return 200, json.dumps({"logs": self.logs.get(job_id, "")})
        if what == "stop":
            self.jobs[job_id]["status"] = "STOPPED"
        return 200, json.dumps(self.jobs[job_id])


@contextmanager
def serve_fake_ray() -> Iterator[FakeRay]:
    """Run one on a free port of this machine."""
    fake = FakeRay()

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, text = fake.answer(self.command, self.path, body, self.headers.get("Authorization", ""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PUT = _do  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        fake.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()
