"""`switch` through the installed command, with a stand-in Bytes that runs, stops and starts."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import command, oracle, switch_scene
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.servers import S3Server, Servers
from tests.soak.switch_kills import Saver
from tests.switch_scene import Scene


@pytest.fixture
def scene(moto: S3Server, fresh_names: FreshNames) -> Iterator[Scene]:
    with switch_scene.installed(moto, ends.single(fresh_names)) as made:
        yield made


def test_bytes_is_switched_from_disk_to_s3_and_reads_everything_there(scene: Scene, tmp_path: Path) -> None:
    expected = switch_scene.contents(scene)
    before = scene.settings()
    saver = Saver(scene, every=0.2)
    more = ("--json", "--new-within", "60", "--metrics-file", str(tmp_path / "switch.prom"))
    with saver.saving():
        completed = scene.run(*scene.to_s3(*more)).expect(0)
    told = switch_scene.spoken(completed)
    assert "Waiting until Bytes saves a raw file, to read that too, for " in completed.stderr
    assert told["plan"]["estimate"]["seconds"]["slow"] > 0
    assert 'bytes_migrator_switch_step_seconds{step="prove"}' in (tmp_path / "switch.prom").read_text()
    expected |= saver.saved
    assert told["proven_by_bytes"]["saved_since_start"] is True
    assert told["end"] == "switched"
    assert [one["step"] for one in told["steps"]] == [
        "look", "copy", "stop", "last-pass", "verify", "settings", "start", "health", "prove"
    ]  # fmt: skip
    assert all(one["seconds"] is not None for one in told["steps"])
    assert told["proven_by_bytes"]["old"] >= 20
    assert told["downtime_seconds"] > 0
    scene.assert_all_readable(expected)
    assert isinstance(scene.naming, oracle.Single)
    after = scene.settings()
    assert f"S3_BUCKET={scene.naming.bucket}\n" in after
    assert after.startswith(before), "every old line stays, in its order"
    assert switch_scene.mode_of(scene.env_file) == 0o640
    backup = next(scene.folder.glob("bytes.conf.before-switch-*"))
    assert backup.read_text() == before
    assert switch_scene.mode_of(backup) == 0o640
    raw_id = scene.save(b"saved at the new place")
    assert scene.read(raw_id) == b"saved at the new place"
    assert ("alpha", raw_id) in oracle.s3_state(scene.server.client(), scene.naming)


@dataclass(frozen=True)
class Fault:
    """What goes wrong, the error that it comes to, and whether Bytes was stopped for it."""

    name: str
    act: Callable[[Scene], object]
    error: str
    stops: bool = True
    status: int = 3
    more: tuple[str, ...] = ()


def _edit(scene: Scene) -> None:
    """Edit the settings while the switch is between its stop and the change: the stop command does it."""
    control = scene.control.read_text()
    scene.control.write_text(control.replace("    kill ", f'    echo "# edited" >> {scene.env_file}\n    kill ', 1))


def _saves_while_stopped(scene: Scene) -> None:
    folder = scene.data / "alpha" / "abc"
    folder.mkdir(exist_ok=True)
    name = "abc00000-0000-4000-8000-0000000000"
    digits = "0 1 2 3 4 5 6 7 8 9 a b c d e f"
    loop = f"for m in {digits}; do for n in {digits}; do echo $n > {folder}/{name}$m$n; sleep 0.1; done; done"
    control = scene.control.read_text()
    scene.control.write_text(control.replace("    kill ", f"    ( {loop} ) > /dev/null 2>&1 &\n    kill ", 1))


def _target_without_rights(scene: Scene) -> None:
    text = scene.new_env.read_text()
    scene.new_env.write_text(text + "AWS_ENDPOINT_URL=http://127.0.0.1:9\n")


FAULTS = [
    Fault("it does not stop", lambda scene: scene.has("ignores-stop"), "switch-still-runs"),
    Fault("no right to stop it", lambda scene: scene.has("stop-fails"), "switch-stop-failed"),
    Fault("it answers 500 at the new place", lambda scene: scene.has("s3-answers-500"), "switch-proof"),
    Fault(
        "it ends at its start with S3",
        lambda scene: scene.has("s3-ends-at-start"),
        "switch-unhealthy",
        more=("--health-timeout", "3s"),
    ),
    Fault(
        "it answers 503 at the new place",
        lambda scene: scene.has("s3-unhealthy"),
        "switch-unhealthy",
        more=("--health-timeout", "3s"),
    ),
    Fault("it does not start at the new place", lambda scene: scene.has("s3-start-fails"), "switch-start-failed"),
    Fault("its settings are edited meanwhile", _edit, "switch-settings-edited"),
    Fault("something saves while it is stopped", _saves_while_stopped, "switch-still-writes"),
    Fault("the server is away", _target_without_rights, "connection-refused", stops=False, more=("--patience", "1")),
]


_IN_EVERY_RUN = ("it answers 500 at the new place", "its settings are edited meanwhile")
"""A switch takes seconds of CPU: the other faults are met by ``scripts/test --slow``."""


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(one, id=one.name.replace(" ", "-"), marks=() if one.name in _IN_EVERY_RUN else pytest.mark.slow)
        for one in FAULTS
    ],
)
def test_what_goes_wrong_leaves_bytes_as_it_was(scene: Scene, fault: Fault) -> None:
    expected = switch_scene.contents(scene)
    before = scene.settings()
    fault.act(scene)
    completed = scene.run(*scene.to_s3(*fault.more)).expect(fault.status)
    assert f"[{fault.error}]" in completed.stderr
    assert scene.settings().replace("# edited\n", "") == before
    assert ("stop" in scene.calls()) is fault.stops
    scene.assert_all_readable(expected)
    assert not list(scene.folder.glob(".bytes.conf.switch-*"))
    assert "half-way" not in scene.run("status").stderr


@pytest.mark.slow
def test_a_bytes_that_does_not_start_at_all_is_brought_back_by_the_next_switch(scene: Scene) -> None:
    expected, before = switch_scene.contents(scene), scene.settings()
    scene.has("start-fails")
    completed = scene.run(*scene.to_s3()).expect(3)
    assert "[switch-not-rolled-back]" in completed.stderr
    assert scene.settings() == before
    assert "half-way" in scene.run("status").stderr
    (scene.state / "start-fails").unlink()
    scene.run(*scene.to_s3()).expect(1)
    assert "half-way" not in scene.run("status").stderr
    scene.assert_all_readable(expected)
    scene.run(*scene.to_s3()).expect(0)
    scene.assert_all_readable(expected)


@pytest.mark.slow
def test_what_comes_to_the_old_place_after_the_last_pass_is_copied_too(scene: Scene) -> None:
    expected = switch_scene.contents(scene)
    late = "abc00000-0000-4000-8000-000000000000"
    folder = scene.data / "alpha" / "abc"
    folder.mkdir(exist_ok=True)
    control = scene.control.read_text()
    scene.control.write_text(control.replace("    setsid ", f"    printf late > {folder}/{late}\n    setsid ", 1))
    (scene.state / "rows" / late).write_text("alpha")
    told = switch_scene.spoken(scene.run(*scene.to_s3("--json")).expect(0))
    assert told["verified"]["late"] == 1
    scene.assert_all_readable(expected | {late: b"late"})


def _unknown_line(scene: Scene) -> tuple[str, ...]:
    scene.new_env.write_text(scene.new_env.read_text() + "KATALOGUS_API=http://elsewhere\n")
    return ()


def _both_places(scene: Scene) -> tuple[str, ...]:
    scene.env_file.write_text(scene.settings() + "S3_BUCKET=another\n")
    return ("--from", str(scene.data))


def _two_places(scene: Scene) -> tuple[str, ...]:
    scene.new_env.write_text(scene.new_env.read_text() + "BYTES_DATA_DIR=/elsewhere\n")
    return ()


def _bad_line(scene: Scene) -> tuple[str, ...]:
    scene.env_file.write_text(scene.settings() + "not a setting\n")
    return ()


def _reads_elsewhere(scene: Scene) -> tuple[str, ...]:
    for row in (scene.state / "rows").iterdir():
        row.unlink()
    return ()


BAD_INPUT = {
    "unknown lines": (_unknown_line, "switch-unknown-lines", 2),
    "both S3 and disk settings": (_both_places, "switch-settings-elsewhere", 2),
    "a new place with another data folder": (_two_places, "switch-two-places", 2),
    "a line that nobody understands": (_bad_line, "env-file-line", 2),
    "a Bytes that reads elsewhere": (_reads_elsewhere, "switch-bytes-reads-elsewhere", 3),
    "nothing to go back from": (lambda scene: ("--back",), "switch-no-way-back", 2),
    "no settings": (lambda scene: ("--settings", "/nowhere/bytes.conf"), "switch-settings-unreadable", 3),
    "another URL": (lambda scene: ("--api", "http://127.0.0.1:9"), "api-unreachable", 3),
    "deployment and commands": (lambda scene: ("--deployment", "debian"), "switch-commands", 2),
}


_TOLD_IN_EVERY_RUN = ("unknown lines", "both S3 and disk settings")


@pytest.mark.parametrize(
    "case",
    [pytest.param(one, marks=() if one in _TOLD_IN_EVERY_RUN else pytest.mark.slow) for one in BAD_INPUT],
)
def test_bad_input_is_told_before_anything_is_stopped(scene: Scene, case: str) -> None:
    act, error, status = BAD_INPUT[case]
    more = act(scene)
    before = scene.settings()
    words = scene.words(*more) if "--back" in more else scene.to_s3(*more)
    assert f"[{error}]" in scene.run(*words).expect(status).stderr
    assert "stop" not in scene.calls()
    assert scene.settings() == before
    assert scene.is_running()


@pytest.mark.slow
def test_without_a_login_the_plan_says_what_is_not_proven(scene: Scene) -> None:
    expected = switch_scene.contents(scene)
    lines = [line for line in scene.settings().splitlines() if "BYTES_PASSWORD" not in line]
    scene.env_file.write_text("\n".join(lines) + "\n")
    completed = scene.run(*scene.to_s3()).expect(0)
    assert "BYTES_PASSWORD is not set" in completed.stderr.partition("Check both ends …")[0]
    scene.assert_all_readable(expected)


def assert_prunes_old_place(scene: Scene, completed: command.Completed, *, files: int) -> None:
    """The command that a switch ends with, read from its output, proves every raw file at the old place."""
    said = completed.stderr + completed.stdout
    line = next(line for line in said.splitlines() if line.startswith("  bytes-migrator prune"))
    done = scene.run(*shlex.split(line)[1:], "--yes", "--json").expect(0).json()
    assert done["totals"]["deletable"]["files"] == files, done


def test_back_brings_what_was_saved_at_the_new_place(scene: Scene) -> None:
    expected = switch_scene.contents(scene)
    before = scene.settings()
    forth = scene.run(*scene.to_s3()).expect(0)
    assert_prunes_old_place(scene, forth, files=len(expected))
    saved = b"saved at the new place"
    expected[scene.save(saved)] = saved
    words = ("switch", "--back", "--yes", "--new-within", "0", "--settle", "0", "--owner", "1000:1000")
    back = scene.run(*words).expect(0)
    assert_prunes_old_place(scene, back, files=len(expected))
    assert not any("closed-to-bytes" in one["forced"] for one in scene.run("status", "--json").json()["pairs"])
    assert scene.settings() == before
    assert len(oracle.disk_paths(scene.data)) == len(expected)
    scene.assert_all_readable(expected)
    again = switch_scene.spoken(scene.run(*words, "--json").expect(0))
    assert again["end"] == "switched"
    assert again["to"].startswith("s3://")
    scene.assert_all_readable(expected)


@pytest.mark.slow
def test_back_keeps_what_was_edited_since(scene: Scene) -> None:
    expected = switch_scene.contents(scene)
    before = scene.settings()
    scene.run(*scene.to_s3()).expect(0)
    scene.env_file.write_text(scene.settings().replace("# where", "BYTES_METRICS_TTL=60\n# where"))
    scene.run("switch", "--back", "--yes", "--new-within", "0", "--settle", "0", "--owner", "1000:1000").expect(0)
    assert scene.settings() == before.replace("# where", "BYTES_METRICS_TTL=60\n# where")
    scene.assert_all_readable(expected)


@pytest.mark.slow
def test_the_word_disk_leads_from_s3_to_the_data_folder_of_the_settings(scene: Scene) -> None:
    expected = switch_scene.contents(scene)
    scene.run(*scene.to_s3()).expect(0)
    scene.run(*scene.words("--to", "disk", "--owner", "1000:1000")).expect(0)
    assert "S3_BUCKET" not in scene.settings()
    scene.assert_all_readable(expected)


DEPLOYMENTS = {
    "debian": ("--settings", "bytes.conf"),
    "compose": ("--settings", "bytes.conf"),
    "kubernetes": ("--settings", "secret/bytes", "--from", "data"),
}


@pytest.mark.slow
@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_each_deployment_is_switched_and_goes_back(scene: Scene, deployment: str) -> None:
    expected = switch_scene.contents(scene)
    folder = str(scene.folder)
    words = (
        "switch",
        "--yes",
        "--deployment",
        deployment,
        *DEPLOYMENTS[deployment],
        "--api",
        scene.url,
        "--settle",
        "0",
        "--new-within",
        "0",
    )
    command.run(*words, "--to", "new.env", env=scene.env, cwd=folder, secrets=(switch_scene.PASSWORD,)).expect(0)
    assert "S3_BUCKET=" in scene.settings()
    scene.assert_all_readable(expected)
    saved = b"saved at the new place"
    expected[scene.save(saved)] = saved
    back = ("switch", "--back", "--yes", "--new-within", "0", "--settle", "0", "--owner", "1000:1000")
    command.run(*back, env=scene.env, cwd=folder, secrets=(switch_scene.PASSWORD,)).expect(0)
    assert "S3_BUCKET=" not in scene.settings()
    scene.assert_all_readable(expected)


def test_a_rehearsal_shows_everything_and_changes_nothing(scene: Scene, state: Path, tmp_path: Path) -> None:
    before = sorted((str(path), path.stat().st_mtime_ns) for path in scene.folder.rglob("*") if path.name != "calls")
    words = [
        word for word in scene.to_s3("--rehearse", "--report", str(tmp_path / "meeting"), "--json") if word != "--yes"
    ]
    told = switch_scene.spoken(scene.run(*words).expect(0))
    assert told["rehearsed"] is True
    assert told["plan"]["to_copy"]["files"] == len(oracle.disk_paths(scene.data))
    assert "+ AWS_SECRET_ACCESS_KEY=***" in told["plan"]["diff"]
    assert told["steps"][0]["step"] == "look"
    page = (tmp_path / "meeting" / "switch.html").read_text()
    assert scene.server.secret_key not in page
    assert "copying   takes about" in page
    assert "control stop" in page
    after = sorted((str(path), path.stat().st_mtime_ns) for path in scene.folder.rglob("*") if path.name != "calls")
    assert after == before
    assert not (state / "switch.journal").exists()
    assert isinstance(scene.naming, oracle.Single)
    assert scene.naming.bucket not in oracle.buckets(scene.server.client())
    assert "stop" not in scene.calls()


@pytest.mark.slow
@pytest.mark.parametrize("has_other_state", [False, True])
def test_two_switches_at_once_are_refused(scene: Scene, tmp_path: Path, *, has_other_state: bool) -> None:
    other = ("--state-dir", str(tmp_path)) if has_other_state else ()
    expected = switch_scene.contents(scene)
    control = scene.control.read_text()
    hold = "    while [ ! -e $state/go-on ]; do sleep 0.02; done\n    kill "
    scene.control.write_text(control.replace("    kill ", hold, 1))
    words = scene.to_s3()
    with command.start(*words, env=scene.env, secrets=(switch_scene.PASSWORD,)) as first:
        first.wait_for(lambda: "stop" in scene.calls())
        assert "[switch-busy]" in scene.run(*words, *other).expect(4).stderr
        assert "half-way" not in scene.run("status").stderr
        scene.has("go-on")
        first.finish().expect(0)
    scene.assert_all_readable(expected)


def _held(scene: Scene, before: str) -> None:
    """Have the stand-in's script wait for the test before it does this."""
    control = scene.control.read_text()
    hold = f"    while [ ! -e $state/go-on ]; do sleep 0.02; done\n{before}"
    scene.control.write_text(control.replace(before, hold, 1))


GONE = {"stop": ("    kill ", "switch-server-gone"), "start": ("    setsid ", "switch-left-behind")}


@pytest.mark.slow
@pytest.mark.parametrize("at", GONE)
def test_a_server_that_goes_while_bytes_is_down_takes_it_back(
    at: str, servers: Servers, fresh_names: FreshNames
) -> None:
    """Once Bytes was started at the new place, what it saved there cannot be brought back: that is said."""
    before, error = GONE[at]
    with servers.private("moto") as private, switch_scene.installed(private.server, ends.single(fresh_names)) as scene:
        expected = switch_scene.contents(scene)
        settings = scene.settings()
        _held(scene, before)
        calls = len(scene.calls())
        words = scene.to_s3("--patience", "3")
        with command.start(*words, env=scene.env, secrets=(switch_scene.PASSWORD,)) as switching:
            switching.wait_for(lambda: at in scene.calls()[calls:])
            private.kill()
            scene.has("go-on")
            assert f"[{error}]" in switching.finish().expect(3).stderr
        assert scene.settings() == settings
        scene.assert_all_readable(expected)
        assert "half-way" not in scene.run("status").stderr


def test_ctrl_c_while_bytes_is_stopped_takes_it_back(scene: Scene) -> None:
    expected = switch_scene.contents(scene)
    before = scene.settings()
    control = scene.control.read_text()
    hold = "    while [ ! -e $state/go-on ]; do sleep 0.02; done\n    kill "
    scene.control.write_text(control.replace("    kill ", hold, 1))
    with command.start(*scene.to_s3(), env=scene.env, secrets=(switch_scene.PASSWORD,)) as switching:
        switching.wait_for(lambda: "stop" in scene.calls())
        switching.signal_group(signal.SIGINT)
        switching.wait_for(lambda: "Stopping" in switching.output_so_far()[1])
        scene.has("go-on")
        assert "[switch-interrupted]" in switching.finish().expect(3).stderr
    assert scene.settings() == before
    scene.assert_all_readable(expected)
