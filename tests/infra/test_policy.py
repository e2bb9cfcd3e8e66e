"""The IAM policy at work: a server that enforces it, and an identity that has nothing else."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from jobs.cli.demo import make_archive
from jobs.stores import s3_client
from jobs.stores.open import open_store
from model.shipped import CLEANER
from tests.s3_server import S3Server
from tests.samples import digests

POLICY = Path(__file__).parents[2] / "infra" / "aws" / "policy.json"
SCANS, CLEANED, OTHER = "example-scans", "example-cleaned", "example-other"
SOURCE, DESTINATION = f"s3://{SCANS}/archive", f"s3://{CLEANED}/archive"
REFUSED = {"AccessDenied", "403"}


@pytest.fixture(scope="module")
def identity(s3_server: S3Server) -> Iterator[dict[str, str]]:
    """The environment of somebody who has the policy, in a server with its buckets and one more."""
    for bucket in (SCANS, CLEANED, OTHER):
        s3_client.client().create_bucket(Bucket=bucket)
        s3_client.client().put_object(Bucket=bucket, Key="private/diary.tar", Body=b"not for us")
    iam = boto3.client("iam", region_name="us-east-1", endpoint_url=s3_server.endpoint)
    name = f"nightly-{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    policy = iam.create_policy(PolicyName=name, PolicyDocument=POLICY.read_text())["Policy"]["Arn"]
    iam.attach_user_policy(UserName=name, PolicyArn=policy)
    iam.close()
    secrets = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    yield {**os.environ, **secrets}


@pytest.fixture(scope="module")
def limited(identity: dict[str, str]) -> Iterator[Any]:
    """A client with the policy, once the server knows of it."""
    found = boto3.client(
        "s3",
        aws_access_key_id=identity["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=identity["AWS_SECRET_ACCESS_KEY"],
    )
    deadline = time.monotonic() + 30
    while True:
        try:
            found.put_object(Bucket=CLEANED, Key="archive/ready", Body=b"yes")
        except ClientError:
            assert time.monotonic() < deadline, "the server never took the policy"
            time.sleep(0.1)
        else:
            found.delete_object(Bucket=CLEANED, Key="archive/ready")
            break
    yield found
    found.close()


def refused(call: Callable[[], object]) -> bool:
    try:
        call()
    except ClientError as error:
        return error.response["Error"]["Code"] in REFUSED
    return False


def pumice(identity: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jobs", *arguments]
    return subprocess.run(command, env=identity, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.slow
@pytest.mark.skipif(not CLEANER.exists(), reason="no weights are shipped yet")
def test_it_is_enough_for_a_whole_run_and_for_looking_after_it(
    identity: dict[str, str], limited: Any, tmp_path: Path
) -> None:
    make_archive(tmp_path, dpi=50)
    for path in sorted(path for path in tmp_path.rglob("*") if path.is_file()):
        key = f"archive/{path.relative_to(tmp_path)}"
        s3_client.client().put_object(Bucket=SCANS, Key=key, Body=path.read_bytes())
    before = digests(open_store(SOURCE))
    done = pumice(identity, "clean", SOURCE, DESTINATION)
    assert done.returncode == 3, f"one page is broken on purpose: {done.stdout}{done.stderr}"
    assert set(digests(open_store(DESTINATION))) == set(before)
    assert digests(open_store(SOURCE)) == before
    for command in (["verify"], ["gc", "--delete"]):
        looked = pumice(identity, *command, DESTINATION)
        assert looked.returncode == 0, f"{command}: {looked.stdout}{looked.stderr}"


@pytest.mark.parametrize("key", ["archive/box.tar", "private/diary.tar"])
def test_the_source_can_only_be_read(limited: Any, key: str) -> None:
    where = {"Bucket": SCANS, "Key": key}
    s3_client.client().put_object(**where, Body=b"a scan")
    assert refused(lambda: limited.put_object(**where, Body=b"overwritten"))
    assert refused(lambda: limited.delete_object(**where))
    assert refused(lambda: limited.create_multipart_upload(**where))
    assert refused(lambda: limited.copy_object(**where, CopySource=f"{CLEANED}/{key}"))
    assert refused(lambda: limited.get_object(**where)) == key.startswith("private/")
    assert s3_client.client().get_object(**where)["Body"].read() == b"a scan"
    s3_client.client().delete_object(Bucket=SCANS, Key="archive/box.tar")


@pytest.mark.parametrize("bucket", [SCANS, CLEANED, OTHER])
def test_what_lies_beside_the_prefix_is_out_of_reach(limited: Any, bucket: str) -> None:
    where = {"Bucket": bucket, "Key": "private/diary.tar"}
    assert refused(lambda: limited.get_object(**where))
    assert refused(lambda: limited.head_object(**where))
    assert refused(lambda: limited.put_object(**where, Body=b""))
    assert refused(lambda: limited.delete_object(**where))
    assert refused(lambda: limited.list_objects_v2(Bucket=bucket, Prefix="private/"))
    assert refused(lambda: limited.list_objects_v2(Bucket=bucket))


@pytest.mark.parametrize("bucket", [SCANS, CLEANED])
def test_an_object_that_is_missing_is_missing_and_not_forbidden(limited: Any, bucket: str) -> None:
    """Or the first claim of every shard would fail: S3 says 403 to those who may not list."""
    for call in (limited.get_object, limited.head_object):
        with pytest.raises(ClientError) as raised:
            call(Bucket=bucket, Key="archive/never-was")
        assert raised.value.response["Error"]["Code"] in ("NoSuchKey", "404")


@pytest.mark.parametrize("bucket", [SCANS, CLEANED])
def test_the_buckets_themselves_can_not_be_changed(limited: Any, bucket: str) -> None:
    assert refused(lambda: limited.delete_bucket(Bucket=bucket))
    assert refused(lambda: limited.put_bucket_acl(Bucket=bucket, ACL="public-read"))
    assert refused(lambda: limited.delete_bucket_lifecycle(Bucket=bucket))
    assert refused(lambda: limited.put_bucket_policy(Bucket=bucket, Policy=POLICY.read_text()))
    assert refused(lambda: limited.create_bucket(Bucket=f"{bucket}-2"))
