"""Each dialect of S3 in the table: what the program makes of it, on both lanes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from migrator.stores.s3.http import curl
from tests.dialects.rows import ALL, Lane, Row, Run, Way
from tests.dialects.scene import Ended, Scene
from tests.dialects.table import all_rows
from tests.servers import SECRET_MARK

pytestmark = pytest.mark.one_process

CASES = [
    pytest.param(
        row,
        way,
        lane,
        id=f"{row.name}-{way}-{lane}",
        marks=pytest.mark.slow if row.slow or (number + place) % min(len(row.ways), len(row.lanes)) else (),
    )
    for rows in all_rows().values()
    for row in rows
    for number, way in enumerate(row.ways)
    for place, lane in enumerate(row.lanes)
]
"""Of a row that goes several ways on both lanes, each way and each lane is met; the other pairs are slow."""


@pytest.fixture
def set_variable(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str | None], None]:
    """Sets an environment variable, or takes it away with None."""

    def set_or_delete(name: str, value: str | None) -> None:
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)

    return set_or_delete


@pytest.mark.many
@pytest.mark.parametrize(("row", "way", "lane"), CASES)
def test_a_dialect(
    row: Row,
    way: Way,
    lane: Lane,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    set_variable: Callable[[str, str | None], None],
) -> None:
    if lane == "boto3":
        monkeypatch.setattr(curl, "pycurl", None)  # a machine without libcurl
    if row.bytes_calls:
        set_variable("BYTES_MIGRATOR_FORCE", None)
    scene = Scene(row, way, tmp_path)
    ended = scene.play(set_variable)
    _check_end(row, scene, ended)
    _check_target(scene, ended)
    for operation, (least, most) in row.requests.items():
        came = scene.memory.count(*operation.split()) if operation != "*" else scene.memory.count()
        assert least <= came <= most, f"{came} requests {operation}: {scene.memory.operations}\n{ended}"
    if row.check is not None:
        assert row.check(Run(scene.memory, ended.said)), f"{scene.memory.operations}\n{ended}"


def _check_end(row: Row, scene: Scene, ended: Ended) -> None:
    assert ended.status == row.status, ended
    if row.command in ("migrate", "verify", "prune") and row.outcomes:
        assert ended.outcomes() == {
            name: len(scene.files) if number == ALL else number for name, number in row.outcomes.items()
        }, ended
    assert "Traceback" not in ended.said
    assert SECRET_MARK not in ended.said
    if row.error:
        assert row.error in ended.names(), ended
    for word in row.told:
        assert word in ended.said, f"not told: {word}\n{ended}"
    for word in row.untold:
        assert word not in ended.said, f"told: {word}\n{ended}"


def _check_target(scene: Scene, ended: Ended) -> None:
    """Whatever was said: nothing at the target is wrong, and what counts as copied or present is there."""
    there = scene.state_of_target()
    assert all(scene.files.get(name) == content for name, content in there.items() if name in scene.files), ended
    counted = sum(number for name, number in ended.outcomes().items() if name in ("copied", "present"))
    assert counted <= len(there.keys() & scene.files.keys()), ended
    assert not there.keys() - scene.files.keys(), f"left over: {there.keys() - scene.files.keys()}\n{ended}"
