"""Each command works with its policy, and fails cleanly with any action of it taken away; on moto, which enforces them."""

from __future__ import annotations

import json
import secrets
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests import command, corpus, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.servers import PrivateServer, S3Server

pytestmark = pytest.mark.one_process

Policy = dict[str, Any]


class Enforced:
    """moto's server, where users may do what their policies allow."""

    def __init__(self, server: S3Server) -> None:
        self.server = server

    def enforce(self, yes: bool) -> None:
        body = b"0" if yes else b"inf"
        headers = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{self.server.endpoint_url}/moto-api/reset-auth", body, headers)
        urllib.request.urlopen(request, timeout=10).close()

    def user(self, policy: Policy) -> dict[str, str]:
        """The keys of a new user with this policy; what is set up is not subject to any.

        moto wants s3:HeadBucket for what S3, which has no such action, allows by s3:ListBucket.
        """
        policy = json.loads(json.dumps(policy).replace('"s3:ListBucket"', '"s3:ListBucket", "s3:HeadBucket"'))
        self.enforce(False)
        iam = boto3.client(
            "iam",
            endpoint_url=self.server.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="root",
            aws_secret_access_key="root",
            config=Config(retries={"total_max_attempts": 1}),
        )
        name = f"user-{secrets.token_hex(4)}"
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        self.enforce(True)
        return {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            "AWS_ENDPOINT_URL": self.server.endpoint_url,
            "AWS_DEFAULT_REGION": "us-east-1",
            "BYTES_MIGRATOR_FORCE": "",
        }


@pytest.fixture
def enforced(private_server: Callable[[str], PrivateServer]) -> Enforced:
    return Enforced(private_server("moto").server)


def policy_for(purpose: str, words: tuple[Any, ...], env: dict[str, str]) -> Policy:
    found: Policy = command.run("iam-policy", "--for", purpose, *words, env=env).expect(0).json()
    return found


def without(policy: Policy, action: str) -> Policy:
    statements = [{**one, "Action": [each for each in one["Action"] if each != action]} for one in policy["Statement"]]
    return {**policy, "Statement": [one for one in statements if one["Action"]]}


def actions_of(policy: Policy) -> list[str]:
    return sorted({action for one in policy["Statement"] for action in one["Action"]})


def test_migrate_and_reverse(
    enforced: Enforced, naming: oracle.Naming, data: Path, tmp_path: Path, fresh_names: FreshNames
) -> None:
    corpus.make_store(data, {"alpha": 4, "b1": 2})
    settings = {**ends.settings(naming), "BYTES_DATA_DIR": str(data), **enforced.server.env()}
    policy = policy_for("migrate", ("--to", "s3"), settings)
    for number, action in enumerate(actions_of(policy)):
        lesser = {**settings, **enforced.user(without(policy, action))}
        done = command.run(*ends.MIGRATE, "--to", "s3", "--state-dir", tmp_path / f"s{number}", env=lesser)
        # An action of a large file's parts, or of removing a probe, shows where it is used; the others end it.
        assert done.status in ((0, 1, 3) if action in ("s3:DeleteObject", "s3:AbortMultipartUpload") else (1, 3)), done
    whole = {**settings, **enforced.user(policy)}
    document = command.run(*ends.MIGRATE, "--to", "s3", env=whole).expect(0).json()
    assert ends.files(document)["discovered"] == 6
    oracle.assert_same_contents(oracle.disk_state(data), oracle.s3_state(_unbound(enforced), naming))
    proving = policy_for("verify", ("--to", "s3"), settings)
    command.run("verify", "--json", "--to", "s3", env={**settings, **enforced.user(proving)}).expect(0)
    for action in actions_of(proving):
        lesser = {**settings, **enforced.user(without(proving, action))}
        levels = ("--level", "content")
        done = command.run("verify", "--json", "--to", "s3", *levels, "--patience", "1", env=lesser)
        assert done.status in (1, 3), (action, done)
    back = policy_for("reverse", ("--to", "s3"), settings)
    words = ("--from", "s3", "--to")
    for number, action in enumerate(actions_of(back)):
        lesser = {**settings, **enforced.user(without(back, action))}
        done = command.run(*ends.MIGRATE, *words, tmp_path / f"back{number}", env=lesser)
        assert done.status in (1, 3), (action, done)
    command.run(*ends.MIGRATE, *words, tmp_path / "back", env={**settings, **enforced.user(back)}).expect(0)
    assert oracle.disk_state(tmp_path / "back") == oracle.disk_state(data)


def _unbound(enforced: Enforced) -> Any:
    enforced.enforce(False)
    return enforced.server.client()


def test_bytes(enforced: Enforced, fresh_names: FreshNames, data: Path) -> None:
    naming = ends.single(fresh_names)
    settings = {**ends.settings(naming), "BYTES_DATA_DIR": str(data), **enforced.server.env()}
    policy = policy_for("bytes", ("--to", "s3"), settings)

    def like_bytes(env: dict[str, str]) -> None:
        client = boto3.client(
            "s3",
            endpoint_url=env["AWS_ENDPOINT_URL"],
            aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
        )
        for _ in range(2):
            client.create_bucket(Bucket=fresh_names.bucket)
            client.head_bucket(Bucket=fresh_names.bucket)
            client.put_object(Bucket=fresh_names.bucket, Key="acme/x", Body=b"x")
            client.get_object(Bucket=fresh_names.bucket, Key="acme/x")["Body"].read()

    like_bytes(enforced.user(policy))
    for action in actions_of(policy):
        with pytest.raises(ClientError) as refused:
            like_bytes(enforced.user(without(policy, action)))
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_prune(enforced: Enforced, fresh_names: FreshNames, data: Path, tmp_path: Path) -> None:
    """From a bucket: each right that is missing keeps everything, but those without which only a warning is missing."""
    naming = ends.single(fresh_names)
    corpus.make_store(data, {"alpha": 3})
    enforced.enforce(False)
    settings = {**enforced.server.env(), **ends.settings(naming)}
    command.run(*ends.MIGRATE, "--from", data, "--to", "s3", env=settings).expect(0)
    words = ("--from", ends.template(naming), "--to", data)
    policy = policy_for("prune", words, settings)
    for statement in policy["Statement"]:
        if statement["Sid"] == "DeleteRawFiles":  # moto wants of the bucket what S3 wants of the keys in the list
            statement["Resource"] += [one.removesuffix("/*") for one in statement["Resource"]]
    reads_disk = {"BYTES_DATA_DIR": str(data)}
    prune = ("prune", "--json", *words, "--confirm", "3", "--patience", "1", "--state-dir", tmp_path / "state")
    for number, action in enumerate(actions_of(policy)):
        lesser = enforced.user(without(policy, action))
        done = command.run(*prune[:-1], tmp_path / f"s{number}", env={**reads_disk, **lesser})
        if action.startswith("s3:GetBucket"):
            assert done.status == 0, (action, done.json().get("error"))
            enforced.enforce(False)
            command.run(*ends.MIGRATE, "--from", data, "--to", "s3", env=settings).expect(0)
        else:
            assert done.status == 3, (action, done)
            assert done.json().get("totals", {}).get("deleted", {"files": 0})["files"] == 0
            assert len([key for key in oracle.keys(_unbound(enforced), naming.bucket) if key.startswith("alpha/")]) >= 3
            for key in oracle.keys(_unbound(enforced), naming.bucket):  # marks that could not be removed again
                if ".bytes-migrator-" in key:
                    _unbound(enforced).delete_object(Bucket=naming.bucket, Key=key)
    whole = command.run(*prune, env={**reads_disk, **enforced.user(policy)}).expect(0).json()
    assert ends.files(whole)["deleted"] == 3
    assert oracle.keys(_unbound(enforced), naming.bucket) == []
