"""One command from start to exit: wall time, CPU of the whole tree of processes, memory."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_SECONDS = 900.0
_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Used:
    """`peak` is the most memory at one time: of the largest process, or of all together (shared pages counted once)."""

    status: int
    wall: float
    cpu: float
    peak: int
    output: str
    errors: str


def run(launcher: Path, argv: Sequence[str | os.PathLike[str]], env: Mapping[str, str], cwd: Path) -> Used:
    """Run a command to its end; one that takes too long is killed and has the status -9."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        read_end, write_end = os.pipe()
        with subprocess.Popen(
            [launcher, str(write_end), *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env=dict(env),
            cwd=cwd,
            pass_fds=(write_end,),
            start_new_session=True,
        ) as process:
            os.close(write_end)
            with _Watch(process.pid) as watch:
                try:
                    process.wait(TIMEOUT_SECONDS)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
        with open(read_end) as report:
            words = report.read().split()
        said = [_text(file) for file in (output, errors)]
    if len(words) != 5:
        return Used(-9, TIMEOUT_SECONDS, 0.0, 0, *said)
    status, wall, user, system, largest = int(words[0]), *map(float, words[1:])
    return Used(status, wall, user + system, max(int(largest) * 1024, watch.together), *said)


class _Watch:
    """Adds up the proportional memory of a process's descendants, some times a second."""

    def __init__(self, root: int) -> None:
        self.together = 0
        self._root = root
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._end.wait(_LOOK_SECONDS):
            found = list(_descendants(self._root))
            if len(found) > 1:  # one process tells its own peak at the end
                self.together = max(self.together, sum(map(_proportional, found)))


def _descendants(root: int) -> set[int]:
    found: set[int] = set()
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                children = {int(pid) for pid in Path(f"/proc/{pid}/task/{thread}/children").read_text().split()}
                waiting.extend(children - found)
                found |= children
    return found


def _proportional(pid: int) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup") as lines:
        for line in lines:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _text(file: object) -> str:
    descriptor = file.fileno()  # type: ignore[attr-defined]
    return os.pread(descriptor, min(os.fstat(descriptor).st_size, 1 << 20), 0).decode("utf-8", "replace")
