"""Kubernetes manifests as the API server takes them: rendered by kustomize, checked by strict schemas."""

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parent.parent
KUBERNETES = ROOT / "infra" / "kubernetes"
CRDS = ROOT.parent / "shared" / "data" / "kuberay-crds"
VERSION = "1.37"
"""Of Kubernetes."""

Manifest = dict[str, Any]


@cache
def _rendered(folder: Path) -> str:
    for command in (["kubectl", "kustomize"], ["kustomize", "build"]):
        if shutil.which(command[0]):
            done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            return done.stdout
    pytest.skip("neither kubectl nor kustomize is here to render overlays")


def rendered(folder: Path) -> list[Manifest]:
    """What kustomize makes of a base or an overlay; skips the test where there is none."""
    return list(yaml.safe_load_all(_rendered(folder)))


def written(folder: Path) -> list[Manifest]:
    """The manifests as they are written; kustomize's own files are not among them."""
    found = [one for path in sorted(folder.glob("*.yaml")) for one in yaml.safe_load_all(path.read_text())]
    return [one for one in found if one["kind"] != "Kustomization"]


def one_of(manifests: list[Manifest], kind: str, name: str = "") -> Manifest:
    """The manifest of that kind, and name if there are several."""
    (found,) = [m for m in manifests if m["kind"] == kind and name in ("", m["metadata"]["name"])]
    return found


def pod_specs(node: Any) -> Iterator[Manifest]:
    """All pod specs anywhere in a manifest."""
    if isinstance(node, dict):
        if "containers" in node:
            yield node
        for value in node.values():
            yield from pod_specs(value)
    elif isinstance(node, list):
        for value in node:
            yield from pod_specs(value)


def strict(schema: Any) -> Any:
    """A CRD's schema in which an unknown field is an error, as in the API server's strict mode."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    done = {key: strict(value) for key, value in schema.items()}
    # Below `properties` keys are names of fields, one of which may well be "properties": that has no "type".
    known = isinstance(done.get("properties"), dict) and done.get("type") == "object"
    if known and not done.get("x-kubernetes-preserve-unknown-fields"):
        done.setdefault("additionalProperties", False)
    return done


@cache
def crd(plural: str, version: str) -> jsonschema.Draft202012Validator:
    """What checks one of KubeRay's resources; skips the test where the CRDs are not here."""
    path = CRDS / f"ray.io_{plural}.yaml"
    if not path.exists():
        pytest.skip("no ../shared/data/kuberay-crds here")
    versions = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)["spec"]["versions"]
    (found,) = [one for one in versions if one["name"] == version]
    return jsonschema.Draft202012Validator(strict(found["schema"]["openAPIV3Schema"]))


def validate(manifest: Manifest) -> None:
    """Check one manifest; raises jsonschema.ValidationError."""
    group, _, version = manifest["apiVersion"].rpartition("/")
    if group == "ray.io":
        crd(f"{manifest['kind'].lower()}s", version).validate(manifest)
    else:
        kubernetes_validate.validate(manifest, VERSION, strict=True)
