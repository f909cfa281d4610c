"""`switch` killed at any point: Bytes runs, and every raw file is readable where its settings point. A sample; all of them are slow."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests import switch_scene
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.servers import S3Server
from tests.soak.switch_kills import ROLLED_BACK_SECONDS, every_point, killed_at
from tests.switch_scene import Scene

pytestmark = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace, which kills at system calls, is not installed"
)

SETTINGS_RENAME = 2
"""The first rename of a first switch is of its ledger."""
START_COMMAND = 3
"""The guard is started first, then the command that stops Bytes; in a new ledger's first run nothing else is."""


@pytest.fixture
def scene(moto: S3Server, fresh_names: FreshNames) -> Iterator[Scene]:
    with switch_scene.installed(moto, ends.single(fresh_names)) as made:
        yield made


@pytest.mark.timeout(600)
def test_killed_before_the_settings_change(scene: Scene) -> None:
    expected = switch_scene.contents(scene)
    before = killed_at(scene, "forth", "rename", SETTINGS_RENAME, kills_guard=False, expected=expected)
    assert (before.is_killed, before.ended_by, before.on_s3) == (True, "rolled-back", False)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_with_its_guard_once_the_settings_are_changed(scene: Scene) -> None:
    expected = switch_scene.contents(scene)
    after = killed_at(scene, "forth", "vfork", START_COMMAND, kills_guard=True, expected=expected)
    assert (after.is_killed, after.ended_by, after.on_s3) == (True, "the next switch", False)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kills_guard", [False, True], ids=["guard lives", "guard dies"])
def test_every_point_of_both_ways(
    scene: Scene, record_property: Callable[[str, object], None], *, kills_guard: bool
) -> None:
    """What it came to is a property of the test in pytest's XML report."""
    expected = switch_scene.contents(scene)
    came_to: Counter[str] = Counter()
    slowest = 0.0
    for point, ended in every_point(scene, kills_guard=kills_guard, expected=expected):
        came_to[f"{point.way}: {ended.ended_by}"] += 1
        slowest = max(slowest, ended.seconds or 0.0)
    record_property("came to", dict(came_to))
    record_property("seconds until Bytes was back, at most", slowest)
    assert came_to.keys() >= {"forth: rolled-back" if not kills_guard else "forth: the next switch"}
    assert slowest < ROLLED_BACK_SECONDS
