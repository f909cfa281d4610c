"""`switch` killed at any point: Bytes runs, and every raw file is readable where its settings point. A sample; all of them are slow."""

from __future__ import annotations

import shutil
import signal
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from migrator.switch.settings_file import SettingsFile
from migrator.switch.settings_store import digest, restore
from tests import switch_scene
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.servers import S3Server
from tests.soak.switch_kills import CALLS, ROLLED_BACK_SECONDS, WAYS, calls_of, every_point, is_killed_at, killed_at
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
    assert not scene.ignored_signals() & {signal.SIGHUP, signal.SIGTERM}, "Bytes must not inherit that from the guard"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_with_its_guard_once_the_settings_are_changed(scene: Scene) -> None:
    expected = switch_scene.contents(scene)
    after = killed_at(scene, "forth", "vfork", START_COMMAND, kills_guard=True, expected=expected)
    assert (after.is_killed, after.ended_by, after.on_s3) == (True, "the next switch", False)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kills_guard", [False, True], ids=["guard lives", "guard dies"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("call", CALLS)
def test_every_point_of_a_switch(
    call: str, way: str, scene: Scene, record_property: Callable[[str, object], None], *, kills_guard: bool
) -> None:
    """What it came to is a property of the test in pytest's XML report."""
    expected = switch_scene.contents(scene)
    came_to: Counter[str] = Counter()
    slowest = 0.0
    for ended in every_point(scene, way, call, kills_guard=kills_guard, expected=expected):
        came_to[ended.ended_by] += 1
        slowest = max(slowest, ended.seconds or 0.0)
    record_property("came to", dict(came_to))
    record_property("seconds until Bytes was back, at most", round(slowest, 1))
    assert came_to["the next switch" if kills_guard else "rolled-back"] or call == "fchmod", (
        "that comes before the stop"
    )
    assert slowest < ROLLED_BACK_SECONDS


OLD, NEW, NAMES = b"A=1\nBYTES_DATA_DIR=/data\n", b"A=1\nBYTES_DATA_DIR=/data\nS3_BUCKET=raw\n", ("S3_BUCKET",)


def _change(store: SettingsFile, old: bytes, new: bytes) -> None:
    store.stage(old, new, "run")
    store.replace(old, new, "run")


@dataclass(frozen=True)
class Change:
    """What a file has before, what changes it, and what it has after."""

    before: bytes
    act: Callable[[SettingsFile], object]
    after: bytes


CHANGES = {
    "forth": Change(OLD, lambda store: _change(store, OLD, NEW), NEW),
    "back": Change(NEW, lambda store: _change(store, NEW, OLD), OLD),
    "taken back": Change(NEW, lambda store: restore(store, "run", NAMES, digest(NEW)), OLD),
}


@pytest.mark.parametrize("every", [20, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CHANGES)
def test_killed_between_any_two_system_calls_of_the_settings_change(
    name: str, every: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """The file is the old one or the new one, whole; either way it can be taken back, and changed again."""
    change, states = CHANGES[name], Counter[str]()
    path = tmp_path / "etc" / "bytes.conf"
    path.parent.mkdir()
    store = SettingsFile(path)

    def begin() -> None:
        for left in path.parent.iterdir():
            left.unlink()
        path.write_bytes(OLD)
        path.chmod(0o640)
        if name == "taken back":
            _change(store, OLD, NEW)
        path.write_bytes(change.before)

    begin()
    for call, number in calls_of(lambda: change.act(store), tmp_path / "calls")[::-every]:
        begin()
        assert is_killed_at(lambda: change.act(store), call, number), (call, number)
        now = path.read_bytes()
        assert now in (change.before, change.after), (call, number)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640, (call, number)
        states["old" if now == change.before else "new"] += 1
        if store.backup("run") is not None and name != "back":
            restore(store, "run", NAMES, digest(NEW))
            assert path.read_bytes() == OLD, (call, number)
        path.write_bytes(change.before)
        change.act(store)
        assert path.read_bytes() == change.after, (call, number)
        store.tidy("run", keep_backup=False)
        assert [one.name for one in path.parent.iterdir()] == ["bytes.conf"]
    record_property("came to", dict(states))
    assert min(states["old"], states["new"]) > 0
