"""`switch` killed at the Nth system call of a kind of its main thread, while Bytes saves without pause.

The main thread writes the journal, stages and replaces the settings, and calls what stops and starts Bytes. `strace` kills at the system
call, before it takes effect. The guard is another process, so it lives; with `kills_guard` it is killed right after.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
import urllib.error
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from migrator.ledger.directory import StateFolder
from migrator.switch.journal import SwitchJournal
from tests import command
from tests.switch_scene import PASSWORD, Scene, beside

CALLS = ("fsync", "rename", "vfork", "fchmod")
"""What makes something durable or visible, and what starts another program; of `fsync`, those of the journal."""
WAYS = ("forth", "back")
GUARD_SECONDS = 60.0
"""Until a rollback is over, with what is copied back."""
ROLLED_BACK_SECONDS = 10.0
"""Until Bytes runs again with its old settings after the kill."""
_OWNER = ("--owner", "1000:1000")


@dataclass
class Saver:
    """Saves raw files through Bytes without pause; `saved` are those that Bytes took."""

    scene: Scene
    every: float = 0.5
    saved: dict[str, bytes] = field(default_factory=dict)
    _end: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        with beside(self._run, self._end):
            yield

    def _run(self) -> None:
        number = 0
        while not self._end.wait(self.every):
            number += 1
            content = f"saved {number} at {time.time()}".encode()
            with contextlib.suppress(OSError, urllib.error.HTTPError):
                self.saved[self.scene.save(content)] = content


@dataclass(frozen=True)
class Killed:
    """How it ended: `status` of the command, whether it was killed, who ended the switch, and the place that Bytes has.

    `seconds`: from the kill until Bytes had its old settings and was healthy; None where nobody had to see to that.
    """

    status: int
    is_killed: bool
    ended_by: str
    on_s3: bool
    seconds: float | None = None


def words_for(scene: Scene, way: str, *more: str) -> tuple[Any, ...]:
    return scene.to_s3(*_OWNER, *more) if way == "forth" else scene.words("--to", "disk", *_OWNER, *more)


def every_point(
    scene: Scene, way: str, call: str, *, kills_guard: bool, expected: dict[str, bytes]
) -> Iterator[Killed]:
    """Kill it at each call of this kind on this way, until a run comes to its end unkilled."""
    other = WAYS[1 - WAYS.index(way)]
    if way == "back":
        _run(scene, other, ()).finish().expect(0)
    for number in count(1):
        ended = killed_at(scene, way, call, number, kills_guard=kills_guard, expected=expected)
        if not ended.is_killed:
            break
        yield ended
        if ended.on_s3 is (way == "forth"):
            _run(scene, other, ()).finish().expect(0)  # back to where it began


def calls_of(act: Callable[[], object], log: Path) -> list[tuple[str, int]]:
    """Every system call that a child makes which does this: its name, and which one of that name it is, from 1."""
    assert not _traced(act, "-o", str(log))
    seen: Counter[str] = Counter()
    found = []
    for name in re.findall(r"^(\w+)\(", log.read_text(errors="replace"), re.MULTILINE):
        seen[name] += 1
        found.append((name, seen[name]))
    return found


def is_killed_at(act: Callable[[], object], call: str, number: int) -> bool:
    """Do this in a child that is killed at its Nth system call of this name, before that takes effect; return whether it was killed."""
    return _traced(act, "-o", "/dev/null", "-e", f"inject={call}:signal=KILL:when={number}")


def _traced(act: Callable[[], object], *options: str) -> bool:
    child = os.fork()
    if child == 0:
        try:
            os.kill(os.getpid(), signal.SIGSTOP)
            act()
            os._exit(0)
        finally:
            os._exit(1)
    os.waitpid(child, os.WUNTRACED)
    with subprocess.Popen(("strace", *options, "-p", str(child)), stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        assert "attached" in tracer.stderr.readline()
        os.kill(child, signal.SIGCONT)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
    return os.WIFSIGNALED(status)


def journal_path() -> Path:
    return Path(os.environ["XDG_STATE_HOME"]) / "bytes-migrator" / "switch.journal"


def killed_at(
    scene: Scene, way: str, call: str, number: int, *, kills_guard: bool, expected: dict[str, bytes], path: str = ""
) -> Killed:
    """Kill it there, and hold what is left against what has to be; `expected` gets what Bytes saved meanwhile.

    With `path`, only calls on that path count.
    """
    saver = Saver(scene, every=2.0)
    argv = ("strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}")
    path = path or (str(journal_path()) if call == "fsync" else "")
    argv += ("-P", path) if path else ()
    with saver.saving():
        process = _run(scene, way, argv)
        guards = guards_of(process) if kills_guard else []
        completed = process.finish_alone()
        died_at = time.time()
        for guard in guards:
            with contextlib.suppress(ProcessLookupError):
                os.kill(guard, signal.SIGKILL)
        ended_by = _ended(scene, kills_guard=kills_guard)
    expected.update(saver.saved)
    scene.assert_all_readable(expected)
    is_killed = completed in (-signal.SIGKILL, 137)
    restored = re.findall(r'"restored": true, "at": ([\d.]+)', journal_path().read_text()) if is_killed else []
    seconds = float(restored[-1]) - died_at if restored and ended_by == "rolled-back" else None
    return Killed(completed, is_killed, ended_by, scene.is_on_s3(), seconds)


class _Process(command.Process):
    def finish_alone(self) -> int:
        """Wait for its end, and kill nothing of what it started."""
        self._popen.wait(command.TIMEOUT)
        command._LIVE.discard(self)
        return int(self._popen.returncode)


def _run(scene: Scene, way: str, argv: tuple[str, ...]) -> _Process:
    return started(scene, words_for(scene, way), argv)


def started(scene: Scene, words: tuple[Any, ...], argv: tuple[str, ...]) -> _Process:
    """The command, run by another program such as strace."""
    return _Process(words, [*argv, *command.program(), *words], scene.env, None, (PASSWORD,))


def guards_of(process: _Process) -> list[int]:
    """Wait until the switch has its guard, or has ended; the guard's process id."""
    found: list[int] = []

    def is_there() -> bool:
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes()
                if b"switch_rollback_process" in line and f'"parent": {child_of(process.pid)}'.encode() in line:
                    found.append(pid)
        return bool(found)

    process.wait_for(is_there)
    return found


def child_of(pid: int) -> int:
    """strace's tracee; before that, strace has children of its own for a moment."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
    return 0


def _ended(scene: Scene, *, kills_guard: bool) -> str:
    """Wait for the guard; where there is none and Bytes was stopped, every command says so, and the next switch takes it back."""
    until = time.monotonic() + (0 if kills_guard else GUARD_SECONDS)
    while (story := story_of(scene)) == "open" and time.monotonic() < until:
        time.sleep(0.05)
    if story != "open":
        return story
    _wait_until_unheld()
    looked = command.run("status", env=scene.env)
    assert "half-way" in looked.stderr, looked
    command.run(*words_for(scene, "forth"), env=scene.env, secrets=(PASSWORD,)).expect(1)
    return "the next switch"


def _wait_until_unheld() -> None:
    """What was killed takes a moment to die, as do workers that a guard had begun to copy back with; until then they hold the journal."""
    journal = SwitchJournal(StateFolder(journal_path().parent))
    until = time.monotonic() + GUARD_SECONDS
    while journal.is_held():
        assert time.monotonic() < until, "somebody still holds the journal"
        time.sleep(0.05)


def story_of(scene: Scene) -> str:
    """`open`, or how the journal says that the switch ended; `not begun` where Bytes was never stopped."""
    journal = journal_path()
    told = journal.read_text() if journal.exists() else ""
    found = re.findall(r'"end": "([a-z-]+)"', told)
    return found[-1] if found else "open" if '"step": "stop"' in told else "not begun"
