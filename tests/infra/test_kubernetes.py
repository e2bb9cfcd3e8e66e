"""The Kubernetes manifests: valid for Kubernetes and KubeRay, and as careful as they claim."""

import copy
import re
import shlex
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from jobs.cli.main import app
from tests.manifests import KUBERNETES, ROOT, Manifest, one_of, pod_specs, rendered, validate, written

BASE, EXAMPLE = KUBERNETES / "base", KUBERNETES / "example"
KINDS = ["ConfigMap", "CronJob", "Namespace", "PodDisruptionBudget", "RayJob", "Role", "RoleBinding"]
GIB = {"Gi": 1.0, "Mi": 1 / 1024}


def gib(quantity: str) -> float:
    return float(quantity[:-2]) * GIB[quantity[-2:]]


def without_anchors(folder: Path) -> list[Manifest]:
    return [copy.deepcopy(manifest) for manifest in written(folder)]


def groups(job: Manifest) -> tuple[Manifest, Manifest]:
    """The pod specs of head and workers."""
    cluster = job["spec"]["rayClusterSpec"]
    (workers,) = cluster["workerGroupSpecs"]
    return cluster["headGroupSpec"]["template"]["spec"], workers["template"]["spec"]


def test_what_is_written_is_valid() -> None:
    manifests = written(BASE)
    assert sorted({one["kind"] for one in manifests}) == sorted({*KINDS, "ServiceAccount"} - {"ConfigMap"})
    for manifest in manifests:
        validate(manifest)


@pytest.mark.parametrize("folder", [BASE, EXAMPLE], ids=["base", "example"])
def test_what_kustomize_makes_of_it_is_valid_and_all_in_one_namespace(folder: Path) -> None:
    manifests = rendered(folder)
    assert sorted(one["kind"] for one in manifests) == sorted([*KINDS, "ServiceAccount", "ServiceAccount"])
    for manifest in manifests:
        validate(manifest)
    spaces = {one["metadata"].get("namespace") for one in manifests if one["kind"] != "Namespace"}
    assert spaces == {one_of(manifests, "Namespace")["metadata"]["name"]}


@pytest.mark.parametrize(
    ("kind", "path", "typo"),
    [
        ("RayJob", (), "shutdownAfterJobFinish"),
        ("RayJob", ("rayClusterSpec",), "autoscalerOption"),
        ("RayJob", ("rayClusterSpec", "workerGroupSpecs", 0), "maxReplica"),
        ("RayJob", ("rayClusterSpec", "headGroupSpec", "template", "spec"), "serviceAccount_name"),
        ("CronJob", (), "concurencyPolicy"),
        ("CronJob", ("jobTemplate", "spec", "template", "spec"), "restartpolicy"),
        ("PodDisruptionBudget", (), "minAvailible"),
    ],
)
def test_a_misspelt_field_is_found(kind: str, path: tuple[str | int, ...], typo: str) -> None:
    manifest = one_of(without_anchors(BASE), kind)
    node = manifest["spec"]
    for step in path:
        node = node[step]
    node[typo] = 1
    with pytest.raises(jsonschema.ValidationError, match=typo):
        validate(manifest)


@pytest.mark.parametrize(
    ("kind", "key", "wrong"),
    [("RayJob", "suspend", "no"), ("RayJob", "backoffLimit", "none"), ("CronJob", "concurrencyPolicy", 5)],
)
def test_a_wrong_value_is_found(kind: str, key: str, wrong: object) -> None:
    manifest = one_of(without_anchors(BASE), kind)
    manifest["spec"][key] = wrong
    with pytest.raises(jsonschema.ValidationError):
        validate(manifest)


def test_no_pod_runs_as_root_or_may_become_it() -> None:
    specs = [spec for manifest in written(BASE) for spec in pod_specs(manifest)]
    assert len(specs) == 4, "head, workers, submitter, nightly"
    for spec in specs:
        security = spec["securityContext"]
        assert security["runAsNonRoot"] and security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert set(container["resources"]["limits"]) >= {"cpu", "memory"}


def test_every_image_has_the_version_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for folder in (BASE, EXAMPLE):
        images = {
            container["image"]
            for manifest in rendered(folder)
            for spec in pod_specs(manifest)
            for container in spec["containers"]
        }
        assert [image.rpartition(":")[2] for image in images] == [version]


def test_ray_has_the_version_of_the_image() -> None:
    pins = (ROOT / "infra" / "constraints.txt").read_text()
    cluster = one_of(written(BASE), "RayJob")["spec"]["rayClusterSpec"]
    assert f"\nray=={cluster['rayVersion']}\n" in pins
    assert cluster["authOptions"] == {"mode": "token"}


def test_only_one_night_at_a_time_and_only_the_cronjob_starts_one() -> None:
    manifests = written(BASE)
    cron, job = one_of(manifests, "CronJob")["spec"], one_of(manifests, "RayJob")["spec"]
    assert cron["concurrencyPolicy"] == "Forbid"
    assert job["suspend"], "the pattern itself never runs"
    assert job["backoffLimit"] == 0 and job["shutdownAfterJobFinishes"]


def test_whoever_starts_the_night_may_do_nothing_else() -> None:
    manifests = written(BASE)
    account = one_of(manifests, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    binding, role = one_of(manifests, "RoleBinding"), one_of(manifests, "Role")
    assert [one["name"] for one in binding["subjects"]] == [account["serviceAccountName"]]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert role["rules"] == [{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["create", "get"]}]
    others = [spec for spec in pod_specs(one_of(manifests, "RayJob"))]
    assert {spec["serviceAccountName"] for spec in others} == {"pumice"}
    assert not any(spec["automountServiceAccountToken"] for spec in others)


def test_a_worker_has_one_gpu_and_room_for_its_spool() -> None:
    head, worker = groups(one_of(written(BASE), "RayJob"))
    (container,) = worker["containers"]
    limits = container["resources"]["limits"]
    assert (
        limits["nvidia.com/gpu"] == 1 and "nvidia.com/gpu" not in head["containers"][0]["resources"]["limits"]
    )
    (volume,) = worker["volumes"]
    assert container["volumeMounts"] == [{"name": volume["name"], "mountPath": "/tmp"}]
    assert gib(volume["emptyDir"]["sizeLimit"]) < gib(limits["ephemeral-storage"])


def test_the_budget_guards_the_head_alone() -> None:
    manifests = written(BASE)
    wanted = one_of(manifests, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"]
    head = one_of(manifests, "RayJob")["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]
    assert wanted == {**head["metadata"]["labels"], "ray.io/node-type": "head"}


@pytest.mark.parametrize("folder", [BASE, EXAMPLE], ids=["base", "example"])
def test_the_entrypoint_is_a_command_line_that_pumice_takes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr("jobs.api.plan", lambda src, dst, options: asked.append((src, dst, options.address)))
    monkeypatch.setattr("jobs.cli.main.print_plan", lambda *_: None)
    program, *arguments = shlex.split(one_of(rendered(folder), "RayJob")["spec"]["entrypoint"])
    result = CliRunner().invoke(app, [*arguments, "--plan"])
    assert program == "pumice" and result.exit_code == 0, result.output
    ((source, destination, address),) = asked
    assert source.startswith("s3://") and destination.startswith("s3://") and address == "auto"


def test_the_example_has_a_role_spot_workers_and_no_placeholder_left() -> None:
    manifests = rendered(EXAMPLE)
    account = one_of(manifests, "ServiceAccount", "pumice")
    assert re.fullmatch(
        r"arn:aws:iam::\d{12}:role/\w+", account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"]
    )
    job = one_of(manifests, "RayJob")
    head, worker = groups(job)
    preferred = worker["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert preferred[0]["preference"]["matchExpressions"][0]["values"] == ["SPOT"]
    assert head["nodeSelector"] == {"eks.amazonaws.com/capacityType": "ON_DEMAND"}
    (workers,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert workers["replicas"] == workers["minReplicas"] == workers["maxReplicas"] == 8
    assert "SOURCE" not in yaml.safe_dump(manifests) and "DESTINATION" not in yaml.safe_dump(manifests)


def test_the_program_of_the_night_travels_with_the_manifests() -> None:
    manifests = rendered(BASE)
    program = one_of(manifests, "ConfigMap")
    pod = one_of(manifests, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["volumes"][0]["configMap"]["name"] == program["metadata"]["name"]
    assert pod["containers"][0]["command"][-1] == "/etc/pumice/" + next(iter(program["data"]))
    assert program["data"]["nightly.py"] == (BASE / "nightly.py").read_text()
