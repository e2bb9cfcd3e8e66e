"""Submitting to a cluster that is a stand-in: who attaches, what travels, and what is told when it fails."""

import json
import os
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import api
from jobs.config import CleanOptions
from jobs.errors import InputError, LeaseHeld, RayError
from jobs.ledger.runs import last_runs, logged
from jobs.remote import ray_api, submit
from jobs.remote.package import Package, make_package
from jobs.stores.open import open_store
from model.network.autoencoder import Autoencoder, AutoencoderConfig
from model.network.weights import save_weights
from tests.fake_ray import FakeRay, serve_fake_ray

SRC, DST = "s3://scans/in", "s3://scans/out"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeRay]:
    for name in [name for name in os.environ if name.startswith(("RAY_", "AWS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(submit, "POLL_S", 0.01)
    monkeypatch.setattr(
        submit, "make_package", lambda weights: Package(b"a zip")
    )  # a real one takes a second
    with serve_fake_ray() as one:
        yield one


def test_the_same_work_submitted_twice_is_one_job_until_that_has_ended(fake: FakeRay) -> None:
    first = api.submit(SRC, DST, fake.url)
    assert not first.attached and first.job_id.endswith("-1")
    for status in ("PENDING", "RUNNING"):
        fake.jobs[first.job_id]["status"] = status
        assert api.submit(f"{SRC}/", DST, fake.url) == submit.Submitted(first.job_id, attached=True)
    for number, status in enumerate(("SUCCEEDED", "FAILED", "STOPPED"), start=2):
        fake.jobs[first.job_id]["status"] = status
        first = api.submit(SRC, DST, fake.url)
        assert not first.attached and first.job_id.endswith(f"-{number}")
    assert len([one for one in fake.seen if one.startswith("PUT")]) == 1, "the package was there already"


def test_of_two_who_submit_at_once_one_attaches(fake: FakeRay) -> None:
    both = threading.Barrier(2, timeout=60)
    fake.after_list = lambda: fake.jobs or both.wait()
    found: list[submit.Submitted] = []
    racers = [threading.Thread(target=lambda: found.append(api.submit(SRC, DST, fake.url))) for _ in range(2)]
    for one in racers:
        one.start()
    for one in racers:
        one.join()
    assert len(fake.jobs) == 1 and {one.job_id for one in found} == set(fake.jobs)
    assert sorted(one.attached for one in found) == [False, True]


def test_a_submit_whose_answer_was_lost_is_known_as_ones_own(fake: FakeRay) -> None:
    fake.lose_submits = True
    assert not api.submit(SRC, DST, fake.url).attached
    assert len(fake.jobs) == 1


def test_other_work_on_the_same_destination_is_refused_and_elsewhere_it_is_not(fake: FakeRay) -> None:
    first = api.submit(SRC, DST, fake.url)
    for source, options in ((f"{SRC}/2024", CleanOptions()), (SRC, CleanOptions(device="cpu"))):
        with pytest.raises(LeaseHeld, match=f"{first.job_id} works on {DST} already") as told:
            api.submit(source, DST, fake.url, options)
        assert told.value.exit_code == 4
    assert not api.submit(SRC, f"{DST}-2", fake.url).attached


def test_what_is_asked_for_arrives_word_by_word_and_no_secret_does(
    fake: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://minio.example")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "much-too-secret")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "also-secret")
    options = CleanOptions(device="cuda", gpus_per_actor=0.5, also_cpu=True, address="ray-of-the-config:6379")
    source = "/mnt/it's $HOME; `reboot`"
    job = fake.jobs[api.submit(source, DST, fake.url, options, join=True).job_id]
    words = shlex.split(job["entrypoint"])
    assert words[:7] == ["python", "-m", "jobs", "clean", source, DST, "--address"]
    assert words[7:] == ["auto", "--device", "cuda", "--gpus-per-actor", "0.5", "--also-cpu", "--join"]
    shell = subprocess.run(f"printf '%s\\n' {job['entrypoint']}", shell=True, capture_output=True, check=True)
    assert shell.stdout.decode().splitlines()[4] == source
    environment = job["runtime_env"]["env_vars"]
    assert environment.pop("AWS_ENDPOINT_URL") == "https://minio.example"
    assert environment == {"RAY_JOB_STOP_WAIT_TIME_S": "30"}, "Ray would kill it while it releases its work"
    assert not [one for one in fake.seen if "secret" in one]


def test_weights_travel_and_are_part_of_what_the_work_is(
    fake: FakeRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit, "make_package", make_package)
    weights = tmp_path / "mine.safetensors"
    save_weights(Autoencoder(AutoencoderConfig(widths=(4, 4), blocks=(1, 1))), weights)
    job = api.submit(SRC, DST, fake.url, CleanOptions(model=weights))
    assert shlex.split(fake.jobs[job.job_id]["entrypoint"])[-2:] == ["--model", "submitted.safetensors"]
    (package,) = fake.packages.values()
    assert fake.jobs[job.job_id]["runtime_env"]["working_dir"] == f"gcs://{next(iter(fake.packages))}"
    assert b"submitted.safetensors" in package
    with pytest.raises(LeaseHeld):
        api.submit(SRC, DST, fake.url)
    with pytest.raises(InputError, match="weights"):
        api.submit(SRC, DST, fake.url, CleanOptions(model=tmp_path / "none.safetensors"))


@pytest.mark.parametrize("place", ["scans", "./scans", "~/scans"])
def test_a_path_of_this_machine_is_refused(fake: FakeRay, place: str) -> None:
    with pytest.raises(InputError, match="relative to a folder of this machine"):
        api.submit(place, DST, fake.url)
    with pytest.raises(InputError, match="relative to a folder of this machine"):
        api.submit(SRC, place, fake.url)
    assert not fake.seen


def test_another_ray_is_refused_before_anything_is_uploaded(fake: FakeRay) -> None:
    fake.ray_version = "2.48.0"
    with pytest.raises(InputError, match=r"runs Ray 2\.48\.0, and this Pumice works with Ray 2\.6"):
        api.submit(SRC, DST, fake.url)
    assert not fake.packages and not fake.jobs
    fake.ray_version = ".".join([*FakeRay().ray_version.split(".")[:2], "99"])
    assert api.submit(SRC, DST, fake.url).job_id


@pytest.mark.parametrize("kind", ["variable", "path", "home"])
def test_a_token_is_found_where_ray_looks_for_it(
    fake: FakeRay, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.token = "a" * 64
    with pytest.raises(InputError, match=r"asks for a token, and there is none here: .*ray get-auth-token"):
        api.submitted(fake.url)
    put_token(kind, "b" * 64, tmp_path, monkeypatch)
    with pytest.raises(InputError, match=r"refuses the token of .*: .*ray get-auth-token"):
        api.submitted(fake.url)
    put_token(kind, f"{'a' * 64}\n", tmp_path, monkeypatch)
    assert api.submitted(fake.url) == []
    put_token(kind, "two\nlines", tmp_path, monkeypatch)
    with pytest.raises(InputError, match="holds no token"):
        api.submitted(fake.url)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(InputError, match="there is none here"):
        api.submitted(fake.url)


def put_token(kind: str, token: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home / (".ray/auth_token" if kind == "home" else "token")
    path.parent.mkdir(exist_ok=True)
    path.write_text(token)
    if kind == "variable":
        monkeypatch.setenv("RAY_AUTH_TOKEN", token)
    if kind == "path":
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))


def test_a_token_that_cannot_be_read_is_a_sentence(fake: FakeRay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/no/such/file")
    with pytest.raises(InputError, match="token's file /no/such/file can't be read"):
        api.submitted(fake.url)


def test_a_server_that_never_answers_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_api, "ANSWER_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        with pytest.raises(InputError, match="doesn't answer: check --cluster"):
            api.submit(SRC, DST, f"127.0.0.1:{mute.getsockname()[1]}")
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
    with pytest.raises(InputError, match="can't be reached: check --cluster"):
        api.submit(SRC, DST, url)


@pytest.mark.parametrize("url", ["auto", "ray://head:10001", "http://", "http://h:port", "http://u:p@h", ""])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="give http://HEAD:8265"):
        api.submit(SRC, DST, url)


@pytest.mark.parametrize(
    "answer", [(200, "<html>"), (200, "[]"), (200, "null"), (301, ""), (404, "no"), (400, "{")]
)
def test_what_is_no_head_is_called_so(fake: FakeRay, answer: tuple[int, str]) -> None:
    fake.answers["GET", "/api/version"] = answer
    with pytest.raises(InputError, match="is no Ray head"):
        api.submit(SRC, DST, fake.url)


@pytest.mark.parametrize("broken", [{"metadata": 7}, {"start_time": 1e300}, {"driver_exit_code": "one"}])
def test_jobs_that_make_no_sense_are_no_traceback(fake: FakeRay, broken: dict[str, object]) -> None:
    job = {"submission_id": "x", "status": "RUNNING"}
    fake.answers["GET", "/api/jobs/"] = (200, json.dumps([7, {"driver": "not submitted"}, job]))
    assert api.submitted(fake.url) == [], "jobs of others"
    fake.answers["GET", "/api/jobs/"] = (200, json.dumps([job | broken]))
    with pytest.raises(InputError, match="is no Ray head"):
        api.submitted(fake.url)


def test_a_head_that_fails_is_named_and_no_job_is_left(fake: FakeRay) -> None:
    fake.answers["POST", "/api/jobs/"] = (500, "Traceback ...\n  line\nTimeoutError: no \x1b[31m agent\n")
    with pytest.raises(RayError, match=r"fails: TimeoutError: no  \[31m agent"):
        api.submit(SRC, DST, fake.url)
    del fake.answers["POST", "/api/jobs/"]
    fake.packages.clear()
    upload = next(one.split()[1] for one in fake.seen if one.startswith("PUT"))
    fake.answers["PUT", upload] = (500, "RuntimeError: Failed to store package in the GCS.")
    with pytest.raises(RayError, match="Failed to store package"):
        api.submit(SRC, DST, fake.url)
    assert not fake.jobs


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        ("SUCCEEDED", 0, 0),
        ("FAILED", 3, 3),
        ("FAILED", -9, 137),
        ("FAILED", 127, 127),
        ("STOPPED", None, 130),
        ("FAILED", None, 1),
    ],
)
def test_following_ends_as_the_job_did(fake: FakeRay, status: str, code: int | None, expected: int) -> None:
    job_id = api.submit(SRC, DST, fake.url).job_id
    fake.jobs[job_id] |= {"status": "RUNNING", "message": "it\nfailed"}
    fake.logs[job_id] = "one\ntw"
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        if line == "one":
            fake.logs[job_id] += "o\nthree"
        fake.jobs[job_id] |= {"status": status, "driver_exit_code": code}

    assert api.follow(fake.url, job_id, tell) == expected
    reasons = {None: ["it", "failed"], 127: ["The head has no `python`: start Ray there with its "]}
    said = reasons.get(code, []) if status == "FAILED" else []
    assert told[:3] == ["one", "two", "three"] and len(told) == 3 + len(said)
    assert all(line.startswith(reason) for line, reason in zip(told[3:], said, strict=True))


def test_a_head_that_is_away_for_a_while_is_waited_for(
    fake: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = api.submit(SRC, DST, fake.url).job_id
    path = ("GET", f"/api/jobs/{job_id}")
    fake.answers[path] = (500, "no agent")
    fake.jobs[job_id] |= {"status": "SUCCEEDED", "driver_exit_code": 0}
    threading.Timer(0.3, fake.answers.clear).start()
    assert api.follow(fake.url, job_id, print) == 0
    fake.answers[path] = (500, "no agent")
    monkeypatch.setattr(submit, "PATIENCE_S", 0.1)
    with pytest.raises(RayError, match="no agent The job may go on"):
        api.follow(fake.url, job_id, print)
    fake.answers.clear()
    fake.jobs.clear()
    with pytest.raises(RayError, match=f"no longer knows {job_id}"):
        api.follow(fake.url, job_id, print)


def test_jobs_are_listed_with_what_they_say_and_stopped(fake: FakeRay) -> None:
    job_id = api.submit(SRC, DST, fake.url).job_id
    fake.jobs[job_id]["status"] = "RUNNING"
    fake.jobs["others"] = {"submission_id": "others", "status": "RUNNING", "entrypoint": "true"}
    fake.logs[job_id] = "10%  7 pages\n20%  14 pages\n\n"
    (listed,) = api.submitted(fake.url)
    assert (listed.job.job_id, listed.work.source, listed.work.destination) == (job_id, SRC, DST)
    assert listed.says == "20%  14 pages"
    for wrong in ("others", "none", "../version"):
        with pytest.raises(InputError, match="no job of Pumice"):
            api.stop_submitted(fake.url, wrong)
    api.stop_submitted(fake.url, job_id)
    assert fake.jobs[job_id]["status"] == "STOPPED"
    with pytest.raises(InputError, match="has ended already: stopped"):
        api.stop_submitted(fake.url, job_id)


def test_a_run_notes_what_it_was_submitted_as(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, recipe = open_store(str(tmp_path)), CleanOptions().recipe("0" * 64)
    for number, told in enumerate(
        ("{}", '{"metadata": {"job_submission_id": "pumice-1"}, "runtime_env": {}}')
    ):
        monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", told)
        with logged(store, f"run-{number}", number, SRC, recipe, CleanOptions()):
            pass
    assert [one.submission for one in last_runs(store, 2)] == ["pumice-1", ""]


def test_a_python_that_is_too_old_or_lacks_modules_says_so() -> None:
    old = "import sys, runpy; sys.version = '3.9.2 (old)'; sys.version_info = (3, 9, 2); "
    old += "runpy.run_module('jobs', run_name='__main__')"
    for words, reason in ((["-c", old], "Python 3.9.2 runs here"), (["-S", "-m", "jobs"], "has no module")):
        told = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
        assert told.returncode == 2 and reason in told.stderr, told.stderr
        assert len(told.stderr.splitlines()) == 1
