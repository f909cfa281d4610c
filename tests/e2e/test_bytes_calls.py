"""Whether Bytes itself will work at the target is known before anything is moved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests import command, oracle
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.faults.proxy import proxy_before
from tests.servers import S3Server, Servers

pytestmark = pytest.mark.one_process

UNFORCED = {"BYTES_MIGRATOR_FORCE": None}


def settings_of(server: S3Server, naming: oracle.Naming, data: Path) -> Mapping[str, str | None]:
    return {**server.env(), **ends.settings(naming), "BYTES_DATA_DIR": str(data), **UNFORCED}


def everything(server: S3Server, names: FreshNames) -> object:
    client = server.client()
    return oracle.buckets(client, names.bucket), oracle.s3_snapshot(client, names.bucket, names.prefix)


@pytest.mark.parametrize("kind", ["weed", "rclone"])
@pytest.mark.parametrize("is_there", [False, True], ids=["missing", "there"])
def test_a_server_that_refuses_a_second_create_is_refused_and_no_bucket_is_made(
    kind: str, is_there: bool, servers: Servers, naming: oracle.Naming, fresh_names: FreshNames, data: Path
) -> None:
    server = servers.get(kind)
    ends.make_varied_store(data, {"alpha": 6, "b1": 3})
    if is_there:
        ends.make_bucket(server.client(), ends.bucket_of(naming, "alpha"))
    env = settings_of(server, naming, data)
    before = everything(server, fresh_names)
    error = command.run(*ends.MIGRATE, "--to", "s3", env=env).expect(3).json()["error"]
    assert error["name"] == "bytes-calls"
    assert "409" in error["what"]
    assert ends.bucket_of(naming, "alpha") in error["what"]
    assert "nginx" in error["cure"]
    assert "--force bytes-calls" in error["cure"]
    assert everything(server, fresh_names) == before
    document = command.run(*ends.MIGRATE, "--to", "s3", "--force", "bytes-calls", env=env).expect(0).json()
    assert ends.files(document) == {"discovered": 9, "copied": 9}
    finding = ends.findings(document)["bytes-calls"]
    assert (finding["status"], finding["forced"]) == ("error", True)
    assert "409" in finding["seen"]
    assert document["next_steps"] == []
    again = command.run("migrate", "--yes", "--to", "s3", "--force", "bytes-calls", env=env).expect(0)
    assert "copied, and Bytes cannot read it there until" in again.stdout
    assert again.stdout.splitlines()[-1] == "Do not give Bytes the new settings before that."


def test_a_server_that_answers_200_passes_and_keeps_nothing_of_the_probe(
    moto: S3Server, naming: oracle.Naming, data: Path
) -> None:
    ends.make_varied_store(data, {"alpha": 6, "b1": 3})
    env = settings_of(moto, naming, data)
    document = command.run(*ends.MIGRATE, "--to", "s3", env=env).expect(0).json()
    assert ends.findings(document)["bytes-calls"]["status"] == "pass"
    oracle.assert_same_contents(oracle.disk_state(data), oracle.s3_state(moto.client(), naming))
    for bucket in {ends.bucket_of(naming, organization) for organization in ("alpha", "b1")}:
        keys = [found["Key"] for found in moto.client().list_objects_v2(Bucket=bucket)["Contents"]]
        assert not [key for key in keys if "probe" in key]


def test_what_worked_is_not_tried_again_for_a_day(moto: S3Server, fresh_names: FreshNames, data: Path) -> None:
    ends.make_varied_store(data, {"alpha": 6})
    with proxy_before(moto) as proxy:
        env = settings_of(proxy.server, ends.single(fresh_names), data)
        command.run(*ends.MIGRATE, "--to", "s3", env=env).expect(0)
        made = [target for method, target, _ in proxy.seen.log if method == "PUT" and target.count("/") == 1]
        assert len(made) >= 2
        proxy.seen.log.clear()
        command.run(*ends.MIGRATE, "--to", "s3", env=env).expect(0)
        assert not [one for one in proxy.seen.log if one[0] == "PUT"]


def test_a_key_that_may_not_create_buckets_is_told_before_anything_is_written(
    weed: S3Server, fresh_names: FreshNames, data: Path
) -> None:
    ends.make_varied_store(data, {"alpha": 6})
    ends.make_bucket(weed.client(), fresh_names.bucket)
    env = settings_of(weed.as_identity("mover"), ends.single(fresh_names), data)
    before = everything(weed, fresh_names)
    error = command.run(*ends.MIGRATE, "--to", "s3", env=env).expect(3).json()["error"]
    assert error["name"] == "bytes-calls"
    assert "403" in error["what"]
    assert "s3:CreateBucket" in error["cure"]
    assert everything(weed, fresh_names) == before


def test_going_back_to_disk_makes_no_calls_of_bytes(weed: S3Server, fresh_names: FreshNames, data: Path) -> None:
    naming = ends.single(fresh_names)
    ends.put(weed.client(), naming, "alpha", "0123abcd-1111-4222-8333-444455556666", b"content")
    document = command.run(*ends.MIGRATE, "--to", "disk", env=settings_of(weed, naming, data)).expect(0).json()
    assert "bytes-calls" not in ends.findings(document)
