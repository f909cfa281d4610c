"""Killed at each system call that makes something visible or durable, and at each request: going on always ends where it should.

A sample of the points here; with `scripts/test --slow` every one of them, both ways, on SeaweedFS.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.soak.points import WAYS, Point, Six, can_trace, counted, killed_at, points_of
from tests.soak.stage import stage

SAMPLE = {"forth": ("fdatasync", "sendto", "request before", "request after"), "back": ("renameat2", "syncfs", "write")}


@pytest.fixture
def six(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Six]:
    if not can_trace():
        pytest.skip("strace, which kills at system calls, is not installed or may not trace here")
    with stage(getattr(request, "param", "weed"), at=tmp_path) as here:
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
