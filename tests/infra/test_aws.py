"""The AWS files: Ray's launcher takes the cluster, S3 the lifecycle rule; none may do more than it must."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from botocore.exceptions import ParamValidationError
from ray.autoscaler._private.util import prepare_config, validate_config

from jobs.stores.s3_client import client
from tests.s3_server import BUCKET, S3Server

ROOT = Path(__file__).parents[2]
AWS = ROOT / "infra" / "aws"

READ = {"s3:ListBucket", "s3:GetObject"}
NEEDS = {
    "list_objects_v2": "s3:ListBucket",
    "head_object": "s3:GetObject",
    "get_object": "s3:GetObject",
    "put_object": "s3:PutObject",
    "create_multipart_upload": "s3:PutObject",
    "upload_part": "s3:PutObject",
    "complete_multipart_upload": "s3:PutObject",
    "delete_object": "s3:DeleteObject",
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "list_multipart_uploads": "s3:ListBucketMultipartUploads",
}
"""What AWS asks for each call of the client."""


def cluster() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((AWS / "cluster.yaml").read_text())
    return copy.deepcopy(found)  # its aliases are one object


def statements(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((AWS / name).read_text())["Statement"]
    return found


def test_the_launcher_takes_the_cluster() -> None:
    validate_config(prepare_config(cluster()))


@pytest.mark.parametrize(
    ("path", "typo"),
    [((), "idle_timeout_minute"), (("available_node_types", "worker"), "max_worker"), (("auth",), "user")],
)
def test_a_misspelt_field_of_the_cluster_is_found(path: tuple[str, ...], typo: str) -> None:
    config = prepare_config(cluster())
    node = config
    for step in path:
        node = node[step]
    node[typo] = 1
    with pytest.raises(jsonschema.ValidationError, match=typo):
        validate_config(config)


def test_workers_are_spot_machines_that_come_and_go_and_the_head_stays() -> None:
    types = cluster()["available_node_types"]
    head, worker = types["head"], types["worker"]
    assert (worker["min_workers"], worker["max_workers"]) == (0, cluster()["max_workers"])
    assert worker["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
    assert "InstanceMarketOptions" not in head["node_config"] and head["resources"] == {"CPU": 0}


def test_no_machine_gets_the_profile_that_ray_would_make_up() -> None:
    types = cluster()["available_node_types"].values()
    assert [one["node_config"]["IamInstanceProfile"]["Name"] for one in types] == [
        "pumice-head",
        "pumice-worker",
    ]
    assert all(one["node_config"]["MetadataOptions"] == {"HttpTokens": "required"} for one in types)


def test_ray_asks_for_a_token_and_runs_from_the_pinned_environment() -> None:
    config = cluster()
    assert "~/.ray/auth_token" in config["file_mounts"]
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        stop, start = config[key]
        assert stop == "~/pumice/.venv/bin/ray stop"
        region = f"AWS_DEFAULT_REGION={config['provider']['region']}"
        assert f"RAY_AUTH_MODE=token {region} ~/pumice/.venv/bin/ray start" in start
    assert "PATH=~/pumice/.venv/bin:$PATH RAY_AUTH_MODE" in config["head_start_ray_commands"][1], (
        "no `python`"
    )
    assert any("~/pumice/scripts/setup cluster" in command for command in config["setup_commands"])


def test_the_policy_allows_what_the_code_calls_and_no_more() -> None:
    text = "".join(path.read_text() for path in sorted((ROOT / "jobs").rglob("*.py")) if "s3" in path.name)
    called = re.findall(r"client\(\)\.(?!get_paginator|exceptions)(\w+)\(", text)
    called += re.findall(r"get_paginator\(\"(\w+)\"\)", text)
    assert set(called) == set(NEEDS), "a call came or went: the policy has to follow"
    allowed: dict[str, set[str]] = {}
    for one in statements("policy.json"):
        for resource in one["Resource"]:
            bucket = resource.removeprefix("arn:aws:s3:::").partition("/")[0]
            allowed.setdefault(bucket, set()).update(one["Action"])
    assert allowed == {"example-scans": READ, "example-cleaned": set(NEEDS.values())}


def test_the_policy_ends_at_the_two_prefixes() -> None:
    for one in statements("policy.json"):
        assert one["Effect"] == "Allow" and not any("*" in action for action in one["Action"])
        for resource in one["Resource"]:
            bucket, slash, key = resource.removeprefix("arn:aws:s3:::").partition("/")
            assert bucket in ("example-scans", "example-cleaned")
            assert (slash, key) in (("", ""), ("/", "archive/*"))
        if one["Action"] == ["s3:ListBucket"]:
            assert one["Condition"] == {"StringLike": {"s3:prefix": ["archive/*"]}}


def test_the_head_may_start_and_end_workers_of_its_own_cluster() -> None:
    found = statements("head-policy.json")
    assert not any("*" in action for one in found for action in one["Action"])
    # Describing is the one thing that AWS can't narrow down to resources.
    everywhere = {action for one in found if "*" in one["Resource"] for action in one["Action"]}
    assert everywhere and all(action.startswith("ec2:Describe") for action in everywhere)
    (end,) = [one for one in found if "ec2:TerminateInstances" in one["Action"]]
    assert end["Condition"] == {
        "StringEquals": {"aws:ResourceTag/ray-cluster-name": cluster()["cluster_name"]}
    }
    (hand_over,) = [one for one in found if one["Action"] == ["iam:PassRole"]]
    assert hand_over["Resource"] == ["arn:aws:iam::111122223333:role/pumice-worker"]


def test_s3_takes_the_lifecycle_rule(s3_server: S3Server) -> None:
    rules = json.loads((AWS / "lifecycle.json").read_text())
    client().put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration=rules)
    (found,) = client().get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    client().delete_bucket_lifecycle(Bucket=BUCKET)
    assert found["Filter"] == {"Prefix": "archive/"} and found["Status"] == "Enabled"
    # Long enough that a run which was interrupted after its commits can still publish them.
    assert found["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] >= 7
    assert not any("Expiration" in key for key in rules["Rules"][0]), "it never removes an object"
    rules["Rules"][0]["AbortIncompleteMultipartUploads"] = {}
    with pytest.raises(ParamValidationError):
        client().put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration=rules)
