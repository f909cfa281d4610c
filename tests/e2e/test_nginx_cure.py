"""The lines of nginx that the program prints cure what they are printed for: Bytes' calls work through a real nginx."""

from __future__ import annotations

import contextlib
import http.client
import shutil
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from migrator.doctor.nginx_lines import nginx_lines
from tests import command, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.faults.proxy import Rule, answer, error, proxy_before
from tests.nginx import nginx_before
from tests.servers import S3Server, Servers, free_ports

RAW_ID = "0123abcd-1111-4222-8333-444455556666"

pytestmark = pytest.mark.skipif(
    not (shutil.which("nginx") or shutil.which("/usr/sbin/nginx")),
    reason="nginx is not installed (Debian: nginx-light)",
)


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]


def lines_for(server: S3Server, port: int) -> tuple[str, ...]:
    return nginx_lines(server.endpoint_url, listen=f"127.0.0.1:{port}")


def status_of(call: Any, **arguments: Any) -> int:
    """The HTTP status that a client's call is answered with."""
    try:
        answer = call(**arguments)
    except ClientError as error:
        answer = error.response
    return int(answer["ResponseMetadata"]["HTTPStatusCode"])


@pytest.mark.parametrize("kind", ["weed", "rclone"])
def test_bytes_calls_work_in_buckets_that_exist_and_in_new_ones_and_only_creating_is_changed(
    kind: str, servers: Servers, fresh_names: FreshNames, port: int, tmp_path: Path
) -> None:
    server = servers.get(kind)
    there, new = fresh_names.bucket, f"{fresh_names.prefix}made.later"
    server.client().create_bucket(Bucket=there)
    with nginx_before(server, lines_for(server, port), port, tmp_path / "nginx") as through:
        client = through.client()
        for bucket in (there, new):
            key = f"acme/{RAW_ID}"
            for round_number in range(3):
                assert status_of(client.create_bucket, Bucket=bucket) == 200
                client.head_bucket(Bucket=bucket)
                client.put_object(Bucket=bucket, Key=key, Body=b"%d" % round_number)
                assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == b"%d" % round_number
            assert [found["Key"] for found in client.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
        assert new in oracle.buckets(server.client(), fresh_names.prefix)
        unchanged = {  # each of these calls gets the server's own answer: a query, another method, another path
            "put_bucket_versioning": {"Bucket": there, "VersioningConfiguration": {"Status": "Enabled"}},
            "put_bucket_acl": {"Bucket": there, "ACL": "private"},
            "delete_bucket": {"Bucket": there},
            "head_bucket": {"Bucket": f"{fresh_names.prefix}none"},
            "get_object": {"Bucket": there, "Key": "acme/none"},
        }
        if kind == "weed":
            del unchanged["delete_bucket"]  # SeaweedFS removes it with all that is in it; rclone refuses
        for name, arguments in unchanged.items():
            direct = status_of(getattr(server.client(), name), **arguments)
            assert status_of(getattr(client, name), **arguments) == direct, name
    assert server.client().get_object(Bucket=there, Key=f"acme/{RAW_ID}")["Body"].read() == b"2"


@pytest.mark.parametrize("query", ["?versioning", "?x", "?"])
def test_a_409_to_a_put_with_a_query_or_to_an_object_stays_a_409(
    query: str, moto: S3Server, port: int, tmp_path: Path
) -> None:
    refuses_all = Rule(answer(error(409, "OperationAborted")))
    with (
        proxy_before(moto, refuses_all) as proxy,
        nginx_before(proxy.server, lines_for(proxy.server, port), port, tmp_path / "nginx") as through,
    ):
        statuses = {
            target: _put(through.endpoint_url, target)
            for target in ("/a-bucket", "/a-bucket/", f"/a-bucket{query}", "/a-bucket/key", "/")
        }
    expected = {"/a-bucket": 200, "/a-bucket/": 200, "/a-bucket/key": 409, "/": 409}
    assert statuses == {**expected, f"/a-bucket{query}": 409}


def _put(url: str, target: str) -> int:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    with contextlib.closing(connection):
        connection.request("PUT", target, headers={"Content-Length": "0"})
        return connection.getresponse().status


def test_a_key_without_rights_gets_403_through_it(
    weed: S3Server, fresh_names: FreshNames, port: int, tmp_path: Path
) -> None:
    ends.make_bucket(weed.client(), fresh_names.bucket)
    with nginx_before(weed, lines_for(weed, port), port, tmp_path / "nginx") as through:
        stranger = through.as_identity("stranger").client()
        assert status_of(stranger.create_bucket, Bucket=fresh_names.bucket) == 403
        assert status_of(stranger.create_bucket, Bucket=f"{fresh_names.prefix}new") == 403


@pytest.mark.parametrize("is_behind_nginx", [False, True])
def test_a_bucket_of_somebody_else_is_told_from_ones_own(
    is_behind_nginx: bool, moto: S3Server, fresh_names: FreshNames, port: int, data: Path, tmp_path: Path
) -> None:
    ends.make_varied_store(data, {"alpha": 3})
    theirs = Rule(answer(error(409, "BucketAlreadyExists")), method="PUT", path=rf"^/{fresh_names.bucket}$")
    closed = Rule(answer(error(403, "AccessDenied")), path=rf"^/{fresh_names.bucket}")
    with contextlib.ExitStack() as stack:
        through = stack.enter_context(proxy_before(moto, theirs, closed)).server
        if is_behind_nginx:
            through = stack.enter_context(nginx_before(through, lines_for(through, port), port, tmp_path / "nginx"))
        env = {**through.env(), **ends.settings(ends.single(fresh_names)), "BYTES_DATA_DIR": str(data)}
        words = ("doctor", "--to", "s3", "--probe", "--yes", "--json")
        document = command.run(*words, env={**env, "BYTES_MIGRATOR_FORCE": None}).expect(1).json()
    finding = ends.findings(document)["bytes-calls"]
    assert finding["status"] == "error"
    assert "somebody else" in finding["why"]
    assert document["nginx"] is None


def test_a_migration_to_seaweedfs_starts_through_it(
    weed: S3Server, naming: oracle.Naming, port: int, data: Path, tmp_path: Path
) -> None:
    ends.make_varied_store(data, {"alpha": 12, "b1": 5}, large=1)
    with nginx_before(weed, lines_for(weed, port), port, tmp_path / "nginx") as through:
        env = {**through.env(), **ends.settings(naming), "BYTES_DATA_DIR": str(data), "BYTES_MIGRATOR_FORCE": None}
        document = command.run(*ends.MIGRATE, "--to", "s3", env=env).expect(0).json()
    assert ends.findings(document)["bytes-calls"]["status"] == "pass"
    oracle.assert_same_contents(oracle.disk_state(data), oracle.s3_state(weed.client(), naming))
