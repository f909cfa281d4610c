"""`switch` meets something at any of its steps: a server that goes, settings that are edited, a full disk, a reboot.

After each, Bytes runs, and every raw file is readable where its settings point, once the guard or the next switch has ended; a rerun ends.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from migrator.switch.steps import STEPS, SwitchStep
from tests import oracle, switch_scene
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.faults.conftest import Mount
from tests.faults.proxy import Exchange, Rule, proxy_before
from tests.servers import S3Server
from tests.soak.switch_holds import held_at, rebooted_at
from tests.soak.switch_kills import WAYS, journal_path, words_for
from tests.switch_scene import Scene

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        shutil.which("strace") is None, reason="strace, which stops and kills at system calls, is not installed"
    ),
]
AT_EACH = pytest.mark.parametrize("step", STEPS, ids=lambda step: step.value)
BACK_TO_DISK = ("--to", "disk", "--owner", "1000:1000")


@pytest.fixture
def scene(moto: S3Server, fresh_names: FreshNames) -> Iterator[Scene]:
    with switch_scene.installed(moto, ends.single(fresh_names)) as made:
        yield made


def is_changed_by(step: SwitchStep) -> bool:
    """Whether the settings are the new ones once this step begins."""
    return list(STEPS).index(step) > list(STEPS).index(SwitchStep.SETTINGS)


def brought_to_the_start(scene: Scene, way: str, expected: dict[str, bytes]) -> None:
    """Have Bytes where this way begins, with a raw file that it saved there."""
    if way == "back":
        scene.run(*words_for(scene, "forth")).expect(0)
    saved = f"saved before going {way}".encode()
    expected[scene.save(saved)] = saved


@AT_EACH
@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_goes_at_any_step(
    way: str,
    step: SwitchStep,
    moto: S3Server,
    fresh_names: FreshNames,
    record_property: Callable[[str, object], None],
) -> None:
    """Back to disk, a server that is gone once Bytes is at its data folder takes nothing back: all is there, and readable without it."""
    with proxy_before(moto) as proxy, switch_scene.installed(proxy.server, ends.single(fresh_names)) as scene:
        expected = switch_scene.contents(scene)
        brought_to_the_start(scene, way, expected)
        before = scene.settings()
        with held_at(scene, words_for(scene, way, "--patience", "2"), step) as switching:
            proxy.rules = (Rule(Exchange.reset),)
        ended = switching.finish()
        record_property("came to", f"exit status {ended.status}")
        if scene.settings() == before:
            assert ended.status == 3, ended
        else:
            assert ended.status == 1, ended
        if not scene.is_on_s3():
            scene.assert_all_readable(expected)
        elif way == "back":
            assert not is_changed_by(step), "it went back to a server that is gone"
        proxy.calm()
        scene.assert_all_readable(expected)
        assert "half-way" not in scene.run("status").stderr
        if scene.settings() == before:
            scene.run(*words_for(scene, way)).expect(0)
        assert scene.is_on_s3() is (way == "forth")
        scene.assert_all_readable(expected)


@AT_EACH
def test_settings_that_are_edited_at_any_step(scene: Scene, step: SwitchStep) -> None:
    expected, before = switch_scene.contents(scene), scene.settings()
    edited = before + "# edited meanwhile\n"
    with held_at(scene, scene.to_s3(), step) as switching, scene.env_file.open("a") as file:
        file.write("# edited meanwhile\n")
    ended = switching.finish()
    assert "# edited meanwhile\n" in scene.settings()
    scene.assert_all_readable(expected)
    if is_changed_by(step):
        ended.expect(0)
        assert scene.is_on_s3()
        scene.run("switch", "--back", "--yes", "--settle", "0", "--new-within", "0", *BACK_TO_DISK[2:]).expect(0)
    else:
        assert "[switch-settings-edited]" in ended.expect(3).stderr
    assert scene.settings() == edited
    scene.run(*scene.to_s3()).expect(0)
    scene.assert_all_readable(expected)


def test_settings_that_get_another_bucket_before_bytes_is_started_are_taken_back(scene: Scene) -> None:
    expected, before = switch_scene.contents(scene), scene.settings()
    with held_at(scene, scene.to_s3(), SwitchStep.START) as switching, scene.env_file.open("a") as file:
        file.write("S3_BUCKET=another\n")
    assert "[switch-proof]" in switching.finish().expect(3).stderr
    assert scene.settings() == before
    scene.assert_all_readable(expected)


def test_a_bytes_that_something_else_starts_while_it_is_to_be_stopped_is_no_switched_one(scene: Scene) -> None:
    """It would go on with its old settings, and every raw file that is asked for would be there."""
    expected, before = switch_scene.contents(scene), scene.settings()
    with held_at(scene, scene.to_s3(), SwitchStep.SETTINGS) as switching:
        assert scene.ctl("start") == 0
        scene.wait_until_up()
    assert "[switch-started-meanwhile]" in switching.finish().expect(3).stderr
    assert scene.settings() == before
    scene.assert_all_readable(expected)


@AT_EACH
@pytest.mark.parametrize("way", WAYS)
def test_a_disk_that_is_full_from_any_step_on(
    way: str,
    step: SwitchStep,
    scene: Scene,
    mount: Mount,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    """The disk has Bytes' settings, which its file is a link to, and the journal with all ledgers."""
    small = mount("size=6m")
    small.chmod(0o755)
    monkeypatch.setenv("XDG_STATE_HOME", str(small / "state"))
    real = small / "bytes.conf"
    shutil.move(scene.env_file, real)
    scene.env_file.symlink_to(real)
    expected = switch_scene.contents(scene)
    brought_to_the_start(scene, way, expected)
    with held_at(scene, words_for(scene, way), step) as switching:
        fill(small / "filler")
    ended = switching.finish()
    scene.assert_all_readable(expected)
    (small / "filler").unlink()
    if is_half_way := "half-way" in scene.run("status").stderr:
        scene.run(*words_for(scene, way)).expect(1)
    record_property("came to", f"exit status {ended.status}{', half-way' if is_half_way else ''}")
    scene.assert_all_readable(expected)
    if scene.is_on_s3() is not (way == "forth"):
        scene.run(*words_for(scene, way)).expect(0)
    scene.assert_all_readable(expected)
    assert scene.env_file.is_symlink()
    assert not list(small.glob(".bytes.conf.switch-*"))


def fill(path: Path) -> None:
    """Leave no room on this disk."""
    for size in (1 << 16, 4096, 1):
        try:
            with path.open("ab", buffering=0) as file:
                while True:
                    file.write(bytes(size))
        except OSError:
            continue


@pytest.mark.parametrize("way", WAYS)
def test_a_reboot_at_any_write_of_the_journal(
    way: str, scene: Scene, record_property: Callable[[str, object], None]
) -> None:
    """What the system starts is the Bytes of the settings that it finds; in the end Bytes has the settings that its file says."""
    expected, came_to = switch_scene.contents(scene), Counter[str]()
    brought_to_the_start(scene, way, expected)
    for number in count(1):
        ended = rebooted_at(scene, way, number)
        came_to[ended.ended_by] += 1
        scene.assert_all_readable(expected)
        saved = f"saved after reboot {number}".encode()
        raw_id = scene.save(saved)
        expected[raw_id] = saved
        is_on_disk = ("alpha", raw_id) in oracle.disk_paths(scene.data)
        assert is_on_disk is not scene.is_on_s3(), "Bytes saves where its settings do not point"
        if ended.ended_by == "switched":
            break
    record_property("came to", dict(came_to))
    assert came_to["the next switch"] >= 10
    assert journal_path().exists()


def test_a_settings_file_that_is_read_only_or_a_link_is_switched_there_and_back(scene: Scene, tmp_path: Path) -> None:
    expected, before = switch_scene.contents(scene), scene.settings()
    real = scene.folder / "etc" / "bytes.conf"
    real.parent.mkdir()
    shutil.move(scene.env_file, real)
    real.chmod(0o440)
    scene.env_file.symlink_to(real)
    scene.run(*scene.to_s3()).expect(0)
    assert scene.env_file.is_symlink()
    assert switch_scene.mode_of(real) == 0o440
    scene.assert_all_readable(expected)
    scene.run(*scene.words(*BACK_TO_DISK)).expect(0)
    assert (scene.env_file.is_symlink(), switch_scene.mode_of(real)) == (True, 0o440)
    assert "S3_BUCKET" not in before
    assert not scene.is_on_s3()
    scene.assert_all_readable(expected)
