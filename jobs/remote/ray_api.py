"""Ray's Jobs API over HTTP. Ray's own client has no timeouts, and needs more than the base package of Ray."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

import requests
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from jobs.errors import InputError, RayError
from jobs.text import one_line

CONNECT_S = 10.0
ANSWER_S = 60.0
"""A head may take this long for its next byte; one that starts a job is slow."""

OK, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, SERVER_ERROR = 200, 401, 403, 404, 500


class RayJob(BaseModel):
    """A submitted job, as the cluster describes it.

    Attributes:
        job_id: the id under which it was submitted.
        status: PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED.
        exit_code: of its entrypoint; None if that did not end by itself.
        message: what Ray says about its status; for failed jobs the end of their log.
        started: by the cluster's clock, UTC; 1970 if it is unknown.
        metadata: what was submitted with it.
    """

    model_config = ConfigDict(frozen=True, coerce_numbers_to_str=True, val_temporal_unit="milliseconds")
    RUNNING: ClassVar[frozenset[str]] = frozenset({"PENDING", "RUNNING"})

    job_id: str = Field(validation_alias="submission_id")
    status: str
    exit_code: int | None = Field(default=None, validation_alias="driver_exit_code")
    message: str = ""
    started: datetime = Field(default=datetime.fromtimestamp(0, UTC), validation_alias="start_time")
    metadata: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, found: Any) -> Any:
        """Ray sends null for what it does not know yet."""
        if not isinstance(found, dict):
            return found
        return {name: value for name, value in found.items() if value is not None}

    @property
    def ended(self) -> bool:
        """Whether its status is final."""
        return self.status not in self.RUNNING


class JobsApi:
    """The jobs of one cluster.

    Every method raises InputError if the cluster can't be reached or refuses this user, and RayError if it
    fails.
    """

    def __init__(self, url: str) -> None:
        """Check the address; the cluster is not asked.

        Raises:
            InputError: it is no address of a head, or the token can't be read.
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
        """All submitted jobs that Ray still knows, in no order."""
        found = self._get("/api/jobs/", list)
        submitted = [one for one in found if isinstance(one, dict) and one.get("submission_id")]
        return [self._job(one) for one in submitted]

    def job(self, job_id: str) -> RayJob | None:
        """One job; None if the cluster does not know it."""
        answer = self._ask("GET", _path(job_id), none_at=NOT_FOUND)
        return None if answer is None else self._job(_decoded(answer, self.url))

    def log(self, job_id: str) -> str:
        """What a job has printed so far; empty before it begins."""
        return str(self._get(f"{_path(job_id)}/logs", dict).get("logs", ""))

    def submit(self, request: Mapping[str, Any]) -> None:
        """Make a job of Ray's `JobSubmitRequest`; raises RayError also if the id was used before."""
        self._ask("POST", "/api/jobs/", json=request)

    def stop(self, job_id: str) -> None:
        """Tell a job to stop; returns before it has."""
        self._ask("POST", f"{_path(job_id)}/stop")

    def upload(self, name: str, data: bytes) -> str:
        """Put a package on the cluster if it is not there; returns the address that Ray knows it by."""
        path = f"/api/packages/gcs/{name}"
        if self._ask("GET", path, none_at=NOT_FOUND) is None:
            self._ask("PUT", path, data=data)
        return f"gcs://{name}"

    def _job(self, found: Any) -> RayJob:
        try:
            return RayJob.model_validate(found)
        except ValidationError as error:
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
    """The address of a head, without a slash at its end."""
    whole = (url if "://" in url else f"http://{url}").rstrip("/")
    try:
        parts = urlsplit(whole)
        good = parts.scheme in ("http", "https") and parts.hostname and not parts.username
        good = good and parts.hostname != "auto" and (parts.port is None or parts.port > 0)
    except ValueError:  # as for a port that is no number
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
    """The last line of Ray's traceback, which names the cause."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return one_line(lines[-1])[:300] if lines else "it doesn't say why"


_TOKEN = "put the one that `ray get-auth-token` prints on the head into ~/.ray/auth_token or RAY_AUTH_TOKEN"


class Token(requests.auth.AuthBase):
    """Puts the token for Ray's clusters into requests, if there is one."""

    def __init__(self) -> None:
        self._token, self._place = _find_token()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token to a request."""
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def refused(self, status: int, url: str) -> str:
        """The sentence for a cluster that refuses a request without this token, or with it."""
        if self._token and status == FORBIDDEN:
            return f"The cluster at {url} refuses the token of {self._place}: {_TOKEN}."
        return f"The cluster at {url} asks for a token, and there is none here: {_TOKEN}."


def _find_token() -> tuple[str, str]:
    """The token and where it was found, in the places of Ray's own clients; both empty if there is none.

    Raises:
        InputError: what was found is no token, or can't be read.
    """
    if os.environ.get("RAY_AUTH_MODE", "").lower() == "disabled":
        return "", ""
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else Path.home() / ".ray" / "auth_token"
    token, place = os.environ.get("RAY_AUTH_TOKEN", ""), "RAY_AUTH_TOKEN"
    if not token:
        if not named and not path.exists():
            return "", ""
        place = "RAY_AUTH_TOKEN_PATH" if named else "~/.ray/auth_token"
        try:
            token = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise InputError(f"The token's file {path} can't be read: {reason}.") from error
    token = token.strip()
    if not (token.isascii() and token.isprintable()):
        raise InputError(f"{place} holds no token: put in what `ray get-auth-token` prints on the head.")
    return token, place
