"""Ray's Jobs API over HTTP. Ray's own client waits for ever, and needs more than the base of Ray."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

import requests

from jobs.errors import InputError, RayError
from jobs.remote.ray_token import FORBIDDEN, UNAUTHORIZED, Token
from jobs.text import one_line

CONNECT_S = 10.0
ANSWER_S = 60.0
"""A head may take so long for its next byte; one that is busy starting a job takes some."""

OK, NOT_FOUND, SERVER_ERROR = 200, 404, 500


@dataclass(frozen=True)
class RayJob:
    """A submitted job, as the cluster tells of it.

    Attributes:
        job_id: what it was submitted as.
        status: PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED.
        exit_code: of its entrypoint; None where that did not end by itself.
        message: what Ray says of its status; for failed ones the end of their log.
        started: by the cluster's clock, UTC.
        metadata: what was submitted with it.
    """

    RUNNING: ClassVar[frozenset[str]] = frozenset({"PENDING", "RUNNING"})

    job_id: str
    status: str
    exit_code: int | None
    message: str
    started: datetime
    metadata: Mapping[str, str]

    @property
    def ended(self) -> bool:
        """Whether its status will change no more."""
        return self.status not in self.RUNNING

    @staticmethod
    def from_json(found: Mapping[str, Any]) -> "RayJob":
        """Read what the cluster answers; raises KeyError, ValueError and the like where it is no job."""
        code = found.get("driver_exit_code")
        return RayJob(
            str(found["submission_id"]),
            str(found["status"]),
            None if code is None else int(code),
            str(found.get("message") or ""),
            datetime.fromtimestamp(float(found.get("start_time") or 0) / 1000, UTC),
            {str(name): str(value) for name, value in (found.get("metadata") or {}).items()},
        )


class JobsApi:
    """The jobs of one cluster.

    Every method raises InputError where the cluster can't be reached or doesn't let this user in, and
    RayError where it fails.
    """

    def __init__(self, url: str) -> None:
        """Look at the address, not at the cluster.

        Raises:
            InputError: it is none of a head, or the token that there is to send can't be read.
        """
        self.url = _base(url)
        self._token = Token()

    def check_version(self) -> None:
        """Compare the cluster's Ray with the one here.

        Raises:
            InputError: their versions differ in more than the patch level.
        """
        theirs = one_line(str(self._get("/api/version", dict).get("ray_version")))[:40]
        ours = version("ray")
        if theirs.split(".")[:2] != ours.split(".")[:2]:
            raise InputError(
                f"The cluster at {self.url} runs Ray {theirs}, and this Pumice works with Ray {ours}: start "
                "the cluster with that version, or submit with a Pumice made for the cluster's."
            )

    def jobs(self) -> list[RayJob]:
        """All jobs that were submitted, in no order; those that Ray still knows."""
        found = self._get("/api/jobs/", list)
        submitted = [one for one in found if isinstance(one, dict) and one.get("submission_id")]
        return [self._job(one) for one in submitted]

    def job(self, job_id: str) -> RayJob | None:
        """One job; None if the cluster doesn't know it."""
        answer = self._ask("GET", _path(job_id), none_at=NOT_FOUND)
        return None if answer is None else self._job(_decoded(answer, self.url))

    def log(self, job_id: str) -> str:
        """What a job has printed so far; empty before it has begun."""
        return str(self._get(f"{_path(job_id)}/logs", dict).get("logs", ""))

    def submit(self, request: Mapping[str, Any]) -> None:
        """Make a job of Ray's `JobSubmitRequest`; an id that was used before is a RayError too."""
        self._ask("POST", "/api/jobs/", json=request)

    def stop(self, job_id: str) -> None:
        """Tell a job to stop; comes back before it has."""
        self._ask("POST", f"{_path(job_id)}/stop")

    def upload(self, name: str, data: bytes) -> str:
        """Leave a package on the cluster if it is not there; the address that Ray knows it by."""
        path = f"/api/packages/gcs/{name}"
        if self._ask("GET", path, none_at=NOT_FOUND) is None:
            self._ask("PUT", path, data=data)
        return f"gcs://{name}"

    def _job(self, found: Any) -> RayJob:
        try:
            return RayJob.from_json(found)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise _no_head(self.url) from error

    def _get(self, path: str, kind: type) -> Any:
        answer = self._ask("GET", path)
        assert answer is not None  # only none_at gives None
        found = _decoded(answer, self.url)
        if not isinstance(found, kind):
            raise _no_head(self.url)
        return found

    def _ask(
        self, method: str, path: str, *, none_at: int = 0, json: Any = None, data: bytes | None = None
    ) -> requests.Response | None:
        try:
            answer = requests.request(
                method, self.url + path, json=json, data=data, auth=self._token,
                timeout=(CONNECT_S, ANSWER_S), allow_redirects=False,
            )  # fmt: skip
        except requests.Timeout as error:
            raise InputError(f"The cluster at {self.url} doesn't answer: {_REACH}.") from error
        except requests.RequestException as error:
            raise InputError(f"The cluster at {self.url} can't be reached: {_REACH}.") from error
        if answer.status_code == none_at:
            return None
        if answer.status_code in (UNAUTHORIZED, FORBIDDEN):
            raise InputError(self._token.refused(answer.status_code, self.url))
        if answer.status_code >= SERVER_ERROR or (answer.status_code != OK and method == "POST"):
            raise RayError(f"The cluster at {self.url} fails: {_last_line(answer.text)}")
        if answer.status_code != OK:
            raise _no_head(self.url)
        return answer


_REACH = (
    "check --cluster, and that the port of Ray's dashboard (8265) is open from here or forwarded by "
    "kubectl port-forward, ssh -L or ray dashboard"
)


def _base(url: str) -> str:
    """The address of a head without a slash at its end."""
    whole = (url if "://" in url else f"http://{url}").rstrip("/")
    try:
        parts = urlsplit(whole)
        good = parts.scheme in ("http", "https") and parts.hostname and not parts.username
        good = good and parts.hostname != "auto" and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number, say
        good = False
    if not good or parts.query or parts.fragment:
        raise InputError(f"--cluster {url} is no address of a head's dashboard: give http://HEAD:8265.")
    return whole


def _path(job_id: str) -> str:
    return f"/api/jobs/{quote(job_id, safe='')}"


def _decoded(answer: requests.Response, url: str) -> Any:
    try:
        return answer.json()
    except requests.JSONDecodeError as error:
        raise _no_head(url) from error


def _no_head(url: str) -> InputError:
    return InputError(f"What answers at {url} is no Ray head: check --cluster, which is http://HEAD:8265.")


def _last_line(text: str) -> str:
    """The telling line of Ray's tracebacks."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return one_line(lines[-1])[:300] if lines else "it doesn't say why"
