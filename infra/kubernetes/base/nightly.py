"""The pod of the CronJob: starts the night's RayJob and waits for its end.

The RayJob `pumice` is a suspended pattern; the night's is a copy of it, named after the CronJob's Job. So a
pod that is started again finds what the one before it started and goes on waiting, and a Job that is deleted,
or falls out of the CronJob's history, takes its RayJob along.

Runs in the Pumice image with nothing but the standard library. Exit codes: 0 all is clean; 1 the RayJob did
not succeed, and no other pod shall try; 2 Kubernetes could not be asked: the Job's next pod may.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POLL_S = 15.0
PATIENCE_S = 600.0
"""How long Kubernetes may not answer, as while its control plane is upgraded."""
PATTERN = "pumice"
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class GiveUp(Exception):
    """The sentence to end with; `code` is the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Kubernetes:
    """The RayJobs of one namespace, over the API server's REST interface.

    Attributes:
        url: the API server.
        namespace: the namespace.
        account: the folder with the service account's token, which is renewed meanwhile, and its `ca.crt`.
    """

    url: str
    namespace: str
    account: Path

    def get(self, name: str) -> dict[str, Any]:
        """A RayJob; raises GiveUp, and OSError where there is no answer."""
        return self._ask("GET", f"/{name}")

    def create(self, job: dict[str, Any]) -> None:
        """Create a RayJob; one of that name that is there already is fine."""
        self._ask("POST", "", job)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        token = (self.account / "token").read_text().strip()
        request = urllib.request.Request(
            f"{self.url}/apis/ray.io/v1/namespaces/{self.namespace}/rayjobs{path}",
            method=method,
            data=json.dumps(body).encode() if body else None,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        trust = ssl.create_default_context(cafile=str(self.account / "ca.crt"))
        try:
            with urllib.request.urlopen(request, timeout=30, context=trust) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            error.close()  # it has a connection of its own
            if method == "POST" and error.code == 409:  # noqa: PLR2004 - a pod before this one made it
                return {}
            if error.code in (429, 500, 502, 503, 504):
                raise OSError(f"the API server answers {error.code}") from error
            raise GiveUp(f"{method} {request.full_url}: {error.code} {error.reason}.", 1) from error


def night_of(pattern: dict[str, Any], name: str, uid: str) -> dict[str, Any]:
    """The RayJob of one night: the pattern's copy, not suspended, owned by the Job `name`."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid}
    return {
        "apiVersion": pattern["apiVersion"],
        "kind": pattern["kind"],
        "metadata": {"name": name, "ownerReferences": [owner]},
        "spec": {**pattern["spec"], "suspend": False},
    }


def result(job: dict[str, Any]) -> str | None:
    """None while it runs, an empty text where it succeeded, else what went wrong."""
    status = job.get("status", {})
    phase, outcome = status.get("jobDeploymentStatus"), status.get("jobStatus")
    if phase == "Complete" and outcome == "SUCCEEDED":
        return ""
    if phase in ("Complete", "Failed", "ValidationFailed"):
        reasons = (outcome, status.get("reason"), status.get("message"))
        return " ".join(str(one) for one in reasons if one) or str(phase)
    return None


def run(kubernetes: Kubernetes, name: str, uid: str, poll_s: float, patience_s: float) -> None:
    """Start the night's RayJob unless it is there, and wait for its end; raises GiveUp."""
    created = False
    heard = time.monotonic()
    while True:
        try:
            if not created:
                kubernetes.create(night_of(kubernetes.get(PATTERN), name, uid))
                print(f"RayJob {name} is on its way: kubectl describe rayjob {name}", flush=True)
                created = True
            ended = result(kubernetes.get(name))
            heard = time.monotonic()
        except OSError as error:
            if time.monotonic() - heard > patience_s:
                raise GiveUp(f"Kubernetes can't be asked: {error}.", 2) from error
            ended = None
        if ended == "":
            return
        if ended is not None:
            raise GiveUp(f"RayJob {name} did not succeed: {ended}", 1)
        time.sleep(poll_s)


def main() -> int:
    """Run in the pod that cronjob.yaml describes; the exit code."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    host = f"[{host}]" if ":" in host else host
    kubernetes = Kubernetes(f"https://{host}:{port}", os.environ["NAMESPACE"], ACCOUNT)
    try:
        run(kubernetes, os.environ["JOB_NAME"], os.environ["JOB_UID"], POLL_S, PATIENCE_S)
    except GiveUp as error:
        print(f"pumice: {error}", file=sys.stderr)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
