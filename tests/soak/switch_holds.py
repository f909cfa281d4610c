"""`switch` standing still right after it wrote down that a step begins: whatever happens at that moment happens before the step.

`strace` stops it at that write of the journal (SIGSTOP); nothing in the program helps. With a reboot, everything is killed there instead.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from migrator.switch.steps import STEPS, SwitchStep
from tests import command
from tests.soak.switch_kills import Killed, child_of, guards_of, journal_path, started, story_of, words_for
from tests.switch_scene import PASSWORD, Scene

_LOOKS, _BETWEEN_LOOKS_SECONDS = 20, 0.005
_STILL = {"T", "t"}


def written_at(step: SwitchStep) -> int:
    """The write of the journal, from 1, which says that this step begins: the plan is the first, and each step ends before the next."""
    return 2 + 2 * list(STEPS).index(step)


@contextlib.contextmanager
def held_at(scene: Scene, words: tuple[Any, ...], step: SwitchStep) -> Iterator[command.Process]:
    """Have the command stand still there for the block, and go on after it."""
    process = started(scene, words, _at_write(written_at(step), "STOP"))
    try:
        is_held = process.wait_for(lambda: _says(step) and _stands_still(child_of(process.pid)))
        assert is_held, process.output_so_far()
        yield process
        _let_go(child_of(process.pid))
    except BaseException:
        process.kill()
        raise


def rebooted_at(scene: Scene, way: str, number: int) -> Killed:
    """Kill all of it at the Nth write of the journal: the switch, its guard and Bytes. Then start Bytes, as the system does at its start.

    Every command says what was left; the next switch takes it back.
    """
    process = started(scene, words_for(scene, way), _at_write(number, "KILL"))
    guards = guards_of(process)
    status = process.finish_alone()
    _kill_all_of(scene, guards)
    (scene.state / "pid").unlink(missing_ok=True)  # as all of /run
    scene.wait_until_free()
    assert scene.ctl("start") == 0
    scene.wait_until_up()
    ended_by = story_of(scene)
    if ended_by == "open":
        assert "half-way" in command.run("status", env=scene.env).stderr
        command.run(*words_for(scene, "forth"), env=scene.env, secrets=(PASSWORD,)).expect(1)
        ended_by = "the next switch"
    return Killed(status, status in (-signal.SIGKILL, 137), ended_by, scene.is_on_s3())


def _kill_all_of(scene: Scene, guards: list[int]) -> None:
    """Kill the guards, and whatever has the scene's folder in its command line: Bytes, and who starts or stops it just now."""
    doomed = guards + _processes_of(scene)
    while doomed:
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        doomed = _processes_of(scene)


def _processes_of(scene: Scene) -> list[int]:
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _names(pid, scene.folder)]


def _names(pid: int, folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return str(folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()  # empty once it is dead
    return False


def _at_write(number: int, name: str) -> tuple[str, ...]:
    inject = f"inject=fsync:signal={name}:when={number}"
    return ("strace", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", inject, "-P", str(journal_path()))


def _says(step: SwitchStep) -> bool:
    with contextlib.suppress(FileNotFoundError):
        last = journal_path().read_text().rstrip("\n").rpartition("\n")[2]
        return f'"step": "{step.value}", "state": "begun"' in last
    return False


def _states(pid: int) -> Iterator[str]:
    """How the process is, some times in a row."""
    for _ in range(_LOOKS):
        with contextlib.suppress(OSError, IndexError):
            yield Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        time.sleep(_BETWEEN_LOOKS_SECONDS)


def _stands_still(pid: int) -> bool:
    """A traced process also stands still for a moment at each of its system calls."""
    states = list(_states(pid))
    return bool(states) and set(states) <= _STILL


def _let_go(pid: int) -> None:
    until = time.monotonic() + command.TIMEOUT
    while _stands_still(pid):
        assert time.monotonic() < until, f"{pid} does not go on"
        os.kill(pid, signal.SIGCONT)
