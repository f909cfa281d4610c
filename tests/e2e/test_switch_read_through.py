"""`switch --read-through` with a real nginx and a stand-in Bytes: nothing is unreadable from before the switch to after the last copy."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import pytest

from migrator.ledger.directory import StateFolder
from migrator.switch.journal import Story, SwitchEnd, SwitchJournal
from tests import command, oracle, read_through_scene, switch_scene
from tests.conftest import FreshNames
from tests.e2e import ends
from tests.read_through_scene import Reader, Through
from tests.servers import S3Server
from tests.soak import switch_kills
from tests.soak.switch_kills import Saver, journal_path

pytestmark = pytest.mark.skipif(
    not (shutil.which("nginx") or shutil.which("/usr/sbin/nginx")),
    reason="nginx is not installed (Debian: nginx-light)",
)


@pytest.fixture
def through(weed: S3Server, fresh_names: FreshNames) -> Iterator[Through]:
    with read_through_scene.installed(weed, ends.single(fresh_names)) as made:
        yield made


def seconds(moment: str) -> float:
    return datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()


@pytest.mark.parametrize("files", [300, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_nothing_is_unreadable_from_before_the_switch_to_after_the_last_copy(
    files: int, weed: S3Server, fresh_names: FreshNames, record_property: Callable[[str, object], None]
) -> None:
    with read_through_scene.installed(weed, ends.single(fresh_names), raw_files=files) as through:
        scene = through.scene
        expected, before = switch_scene.contents(scene), through.file.read_text()
        reader, saver = Reader(scene, dict(expected)), Saver(scene, every=0.2)
        with reader.reading(), saver.saving():
            told = switch_scene.spoken(scene.run(*through.words("--json", "--new-within", "2m")).expect(0))
        steps = {one["step"]: one for one in told["steps"]}
        assert list(steps) == [
            "read-through", "look", "stop", "let-nginx-read", "settings", "start", "health", "prove", "copy", "verify",
            "end-read-through",
        ]  # fmt: skip
        assert (reader.unreadable, reader.wrong) == ([], []), (scene.state / "log").read_text()
        stopped, healthy = (seconds(steps[name]["began"]) for name in ("stop", "prove"))
        assert all(stopped - 1 <= at <= healthy + 1 for at in reader.down), "Bytes answers but for the downtime"
        for name, value in (("read", reader.read), ("downtime", told["downtime_seconds"]), ("longest", reader.longest)):
            record_property(name, value)
        assert told["end"] == "switched"
        assert told["proven_by_bytes"]["saved_since_start"] is True
        assert told["plan"]["read_through"]["added"]
        expected |= saver.saved
        scene.assert_all_readable(expected)
        assert through.file.read_text() == before, "nginx reads through no more, and nothing else changed"
        at_s3 = oracle.s3_state(weed.client(), scene.naming)
        assert {raw_id for _, raw_id in at_s3} == set(expected)
        assert not list(scene.state.parent.glob("conf.d/.*"))


@pytest.mark.slow
def test_a_server_without_nginx_gets_one(weed: S3Server, fresh_names: FreshNames) -> None:
    with read_through_scene.installed(weed, ends.single(fresh_names), has_file=False) as through:
        scene = through.scene
        expected = switch_scene.contents(scene)
        scene.run(*through.words()).expect(0)
        scene.assert_all_readable(expected)
        assert f"AWS_ENDPOINT_URL=http://{through.listen}" in scene.settings()
        assert through.file.exists()
        assert not through.is_reading_through()
        back = ("switch", "--back", "--yes", "--new-within", "0", "--settle", "0", "--owner", "1000:1000")
        scene.run(*back).expect(0)
        assert "AWS_ENDPOINT_URL" not in scene.settings()
        scene.assert_all_readable(expected)


@dataclass(frozen=True)
class Bad:
    """What goes wrong before anything is stopped, and the error that it comes to."""

    name: str
    error: str
    status: int
    words: Callable[[Through], tuple[str, ...]]


def _link_an_organization(through: Through) -> tuple[str, ...]:
    (through.scene.data / "linked").symlink_to(next(path for path in through.scene.data.iterdir() if path.is_dir()))
    return through.words()


BAD_INPUT = [
    Bad("an organization's folder is a link", "switch-folders-hidden", 3, _link_an_organization),
    Bad(
        "nginx refuses its configuration",
        "read-through-nginx-refuses",
        3,
        lambda one: one.words("--nginx-test", "false"),
    ),
    Bad("nginx is not reloaded", "read-through-not-loaded", 3, lambda one: one.words("--nginx-reload", "true")),
    Bad(
        "the file is another one", "read-through-file", 2, lambda one: one.words("--nginx-file", str(one.scene.new_env))
    ),
    Bad(
        "the folder is not there",
        "read-through-other-server",
        2,
        lambda one: one.words("--nginx-file", "/nowhere/x.conf"),
    ),
    Bad(
        "nginx' user may not read",
        "read-through",
        3,
        lambda one: (*one.words(), "--nginx-user", "65533:65533"),
    ),
    Bad(
        "to disk",
        "read-through-direction",
        2,
        lambda one: one.scene.words("--to", str(one.scene.folder / "elsewhere"), "--read-through"),
    ),
    Bad("without --read-through", "read-through-options", 2, lambda one: one.scene.to_s3("--nginx-test", "true")),
]


@pytest.mark.slow
@pytest.mark.parametrize("bad", BAD_INPUT, ids=lambda one: one.name.replace(" ", "-"))
def test_bad_input_is_told_before_anything_is_stopped(through: Through, bad: Bad) -> None:
    scene, before = through.scene, (through.file.read_text(), through.scene.settings())
    assert f"[{bad.error}]" in scene.run(*bad.words(through)).expect(bad.status).stderr
    assert "stop" not in scene.calls()
    assert (through.file.read_text(), scene.settings()) == before
    assert scene.is_running()
    assert "half-way" not in scene.run("status").stderr


@pytest.mark.slow
def test_what_fails_before_bytes_is_proven_takes_nginx_back_too(through: Through) -> None:
    scene, before = through.scene, (through.file.read_text(), through.scene.settings())
    expected = switch_scene.contents(scene)
    scene.has("s3-answers-500")
    assert "[switch-proof]" in scene.run(*through.words()).expect(3).stderr
    assert (through.file.read_text(), scene.settings()) == before
    scene.assert_all_readable(expected)


@pytest.mark.slow
@pytest.mark.parametrize("goes_back", [False, True])
def test_killed_while_it_copies_it_goes_on_or_back(through: Through, *, goes_back: bool) -> None:
    scene, before = through.scene, (through.file.read_text(), through.scene.settings())
    expected = switch_scene.contents(scene)
    words = through.words("--bandwidth", "1kB/s")
    with command.start(*words, env=scene.env, secrets=(switch_scene.PASSWORD,)) as switching:
        switching.wait_for(lambda: journal_path().exists() and '"step": "copy"' in journal_path().read_text())
        os.kill(switching.pid, signal.SIGKILL)
    saved = b"saved at the new place"
    expected[scene.save(saved)] = saved
    scene.assert_all_readable(expected)
    status = scene.run("status")
    assert "nginx reads through" in status.stderr
    assert "reads through" in status.stdout
    data = ("--from", str(scene.data), "--to", str(scene.new_env), "--env-file", str(scene.env_file))
    assert "[read-through]" in scene.run("prune", *data, "--confirm", "1").expect(3).stderr
    assert "[switch-not-over]" in scene.run("switch", "--yes", "--to", str(scene.data)).expect(2).stderr
    more = ("--back",) if goes_back else ("--json",)
    ended = scene.run("switch", "--yes", "--settle", "0", "--owner", "1000:1000", *more).expect(0)
    scene.assert_all_readable(expected)
    assert through.file.read_text() == before[0]
    assert (scene.settings() == before[1]) is goes_back
    if not goes_back:
        assert switch_scene.spoken(ended)["end"] == "switched"


def _killed_at(through: Through, number: int, *, kills_guard: bool) -> bool:
    """Kill it at this write of the journal, and wait until it was taken back, or reads through; False where it came to its end before."""
    words = through.words("--owner", "1000:1000")
    argv = ("strace", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", f"inject=fsync:signal=KILL:when={number}")
    process = switch_kills.started(through.scene, words, (*argv, "-P", str(journal_path())))
    guards = switch_kills.guards_of(process) if kills_guard else []
    status = process.finish_alone()
    for guard in guards:
        with contextlib.suppress(ProcessLookupError):
            os.kill(guard, signal.SIGKILL)
    return status in (-signal.SIGKILL, 137)


def _story() -> Story | None:
    return SwitchJournal(StateFolder(journal_path().parent)).story()


def _wait_for_the_guard(seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while (story := _story()) is not None and story.is_unfinished and not story.is_reading_through:
        assert time.monotonic() < until, story
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace, which kills at system calls, is not installed")
@pytest.mark.parametrize("kills_guard", [False, True], ids=["guard lives", "guard dies"])
def test_killed_at_every_step(
    through: Through, record_property: Callable[[str, object], None], *, kills_guard: bool
) -> None:
    scene, before = through.scene, (through.file.read_text(), through.scene.settings())
    expected = switch_scene.contents(scene)
    came_to: Counter[str] = Counter()
    own = ("--owner", "1000:1000")
    for number in itertools.count(1):
        if not _killed_at(through, number, kills_guard=kills_guard):
            break
        story = _story()
        if kills_guard and story is not None and story.is_half_way:
            assert "half-way" in scene.run("status").stderr
            scene.run(*through.words(*own)).expect(1)
            came_to["the next switch"] += 1
        elif kills_guard and story is not None and story.is_open and not story.is_reading_through:
            assert scene.is_running(), "Bytes was not stopped"
            continue  # the next switch begins with taking nginx back
        else:
            _wait_for_the_guard()
        story = _story()
        scene.assert_all_readable(expected)
        if story is not None and story.is_reading_through:
            came_to["reads through"] += 1
            scene.run("switch", "--back", "--yes", "--settle", "0", *own).expect(0)
            scene.assert_all_readable(expected)
        elif story is not None and story.end is SwitchEnd.SWITCHED:
            break  # killed after its last write
        elif story is not None and story.end is not None:
            came_to[story.end.value] += 1
        assert (through.file.read_text(), scene.settings()) == before
    scene.assert_all_readable(expected)
    assert not through.is_reading_through()
    assert came_to["reads through"]
    record_property("came to", dict(came_to))


def test_a_rehearsal_shows_nginx_lines_and_changes_nothing(through: Through) -> None:
    scene, before = through.scene, through.file.read_text()
    words = [word for word in through.words("--rehearse") if word != "--yes"]
    shown = scene.run(*words).expect(0).stdout
    assert str(through.file) in shown
    assert "location @disk" in shown
    assert "End reading through" in shown
    assert through.file.read_text() == before
    assert not journal_path().exists()
