"""The lines of nginx that the program prints cure what they are printed for: Bytes' calls work through a real nginx."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from migrator.doctor.nginx import nginx_lines
from tests import command, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
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


def lines_for(server: S3Server, buckets: Sequence[str], port: int) -> tuple[str, ...]:
    return nginx_lines(server.endpoint_url, buckets, listen=f"127.0.0.1:{port}")


@pytest.mark.parametrize("kind", ["weed", "rclone"])
def test_bytes_calls_work_through_it_and_only_creating_is_changed(
    kind: str, servers: Servers, fresh_names: FreshNames, port: int, tmp_path: Path
) -> None:
    server = servers.get(kind)
    bucket, other = fresh_names.bucket, f"{fresh_names.prefix}other"
    with nginx_before(server, lines_for(server, [bucket], port), port, tmp_path / "nginx") as through:
        client = through.client()
        for round_number in range(3):
            client.create_bucket(Bucket=bucket)
            client.head_bucket(Bucket=bucket)
            client.put_object(Bucket=bucket, Key=f"acme/{RAW_ID}", Body=b"%d" % round_number)
            assert client.get_object(Bucket=bucket, Key=f"acme/{RAW_ID}")["Body"].read() == b"%d" % round_number
        assert [found["Key"] for found in client.list_objects_v2(Bucket=bucket)["Contents"]] == [f"acme/{RAW_ID}"]
        client.create_bucket(Bucket=other)
        with pytest.raises(ClientError) as refused:  # not one of the buckets that the lines are for
            client.create_bucket(Bucket=other)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409
        if kind == "rclone":  # which refuses this, as S3 does; what it answers is handed through
            with pytest.raises(ClientError) as kept:
                client.delete_bucket(Bucket=bucket)
            assert kept.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409
    assert server.client().get_object(Bucket=bucket, Key=f"acme/{RAW_ID}")["Body"].read() == b"2"


def test_a_migration_to_seaweedfs_starts_through_it(
    weed: S3Server, naming: oracle.Naming, port: int, data: Path, tmp_path: Path
) -> None:
    ends.make_varied_store(data, {"alpha": 12, "b1": 5}, large=1)
    buckets = sorted({ends.bucket_of(naming, organization) for organization in ("alpha", "b1")})
    with nginx_before(weed, lines_for(weed, buckets, port), port, tmp_path / "nginx") as through:
        env = {**through.env(), **ends.settings(naming), "BYTES_DATA_DIR": str(data), "BYTES_MIGRATOR_FORCE": None}
        document = command.run(*ends.MIGRATE, "--to", "s3", env=env).expect(0).json()
    assert ends.findings(document)["bytes-calls"]["status"] == "pass"
    oracle.assert_same_contents(oracle.disk_state(data), oracle.s3_state(weed.client(), naming))
