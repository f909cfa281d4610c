"""Killed at each system call that makes something visible or durable, and at each request: going on always ends where it should.

A sample of the points here; with `scripts/test --slow` every one of them, both ways, on SeaweedFS.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import oracle
from tests.conftest import FreshNames
from tests.servers import S3Server
from tests.soak.places import AtS3
from tests.soak.points import WAYS, Point, Six, can_trace, counted, killed_at, points_of
from tests.soak.stage import stage

SAMPLE = {"forth": ("fdatasync", "sendto", "request before", "request after"), "back": ("renameat2", "syncfs", "write")}


@pytest.fixture(scope="module")
def six(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Six]:
    if not can_trace():
        pytest.skip("strace, which kills at system calls, is not installed or may not trace here")
    with stage(getattr(request, "param", "weed"), at=tmp_path_factory.mktemp("six")) as here:
        yield Six(here)


@pytest.mark.row(1, 2)
@pytest.mark.parametrize("way", WAYS)
def test_some_points(way: str, six: Six, tmp_path: Path) -> None:
    counts = counted(six, way, tmp_path)
    generator = random.Random(way)
    points = [Point(way, kind, generator.randint(1, counts[kind])) for kind in SAMPLE[way]]
    results = {point: killed_at(six, point) for point in points}
    assert [wrong for _, wrongs in results.values() for wrong in wrongs] == []
    assert any(is_met for is_met, _ in results.values())


NARROW = [
    Point("forth", "request after", 2, method="PUT", path=r"/\.bytes-migrator-probe/"),
    Point("forth", "request after", method="POST", path=r"\?uploads"),
    Point("forth", "request after", 2, method="PUT", path="partNumber="),
    Point("forth", "request after", method="POST", path=r"\?uploadId="),
]
"""Between the server's act and this program's knowledge of it: of its probe, a begun upload, a part, a completed upload."""


@pytest.mark.row(1, 2)
@pytest.mark.parametrize("point", NARROW, ids=str)
def test_the_narrow_points(point: Point, six: Six) -> None:
    is_met, wrongs = killed_at(six, point)
    assert is_met
    assert wrongs == []


def test_an_empty_upload_counts_as_left_unless_the_server_dates_it_years_ago(
    moto: S3Server, weed: S3Server, fresh_names: FreshNames
) -> None:
    """The program tells its own lost uploads from others' by the time at which they began, and moto says 2010 of each."""
    found = {}
    for server in (moto, weed):
        client, bucket = server.client(), fresh_names.bucket
        client.create_bucket(Bucket=bucket)
        upload_id = client.create_multipart_upload(Bucket=bucket, Key="alpha/one")["UploadId"]
        end = AtS3(client, oracle.Single(bucket), bucket)
        empty = end.uploads()
        client.upload_part(Bucket=bucket, Key="alpha/one", UploadId=upload_id, PartNumber=1, Body=b"a part")
        found[server.name] = (empty, end.uploads())
    assert found == {"moto": ([], ["alpha/one"]), "weed": (["alpha/one"], ["alpha/one"])}


@pytest.mark.row(1, 2)
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("six", ["weed", "moto", "rclone"], indirect=True)
@pytest.mark.parametrize("way", WAYS)
def test_every_point(way: str, six: Six, tmp_path: Path) -> None:
    results = [killed_at(six, point) for point in points_of(six, way, tmp_path)]
    assert [wrong for _, wrongs in results for wrong in wrongs] == []
    met = sum(is_met for is_met, _ in results)
    print(f"{way}: {met} of {len(results)} points met")  # noqa: T201 shown with -s
    assert met > len(results) / 2
