"""Runs the command as a process, as an operator would.

The process is forked from one that has the program imported (`fork_server`); `installed` and `before` start the installed command.
Whatever it is run for, its output must hold neither a traceback nor a secret. `env` is added to the tests' own, hermetic
environment; a value of None takes a variable away.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests import fork_server
from tests.fork_server import Forked
from tests.servers import SECRET_MARK

UNPRIVILEGED = "tests.unprivileged:main"
"""An `entry` for whom file permissions bind, though the tests run as root."""
TIMEOUT = 120.0
_LIVE: set[Process] = set()

Environment = Mapping[str, "str | None"]


@dataclass(frozen=True)
class Completed:
    args: tuple[str, ...]
    status: int
    stdout: str
    stderr: str
    seconds: float

    def json(self) -> Any:
        """The one document on stdout."""
        try:
            return json.loads(self.stdout)
        except json.JSONDecodeError as error:
            raise AssertionError(f"stdout is no JSON document: {error}\n{self}") from error

    def expect(self, status: int) -> Completed:
        assert self.status == status, f"expected exit status {status}\n{self}"
        return self

    def __str__(self) -> str:
        words = " ".join(self.args)
        return (
            f"$ bytes-migrator {words}\nexit status {self.status} after {self.seconds:.1f} s\n"
            f"--- stdout\n{self.stdout[-6000:]}\n--- stderr\n{self.stderr[-6000:]}"
        )


@dataclass(frozen=True)
class Memory:
    """Peaks in bytes: `largest` of any one process (exact), `together` of the whole tree (PSS, polled)."""

    largest: int
    together: int


def program() -> list[str]:
    beside = Path(sys.executable).with_name("bytes-migrator")
    return [str(beside)] if beside.exists() else [sys.executable, "-m", "migrator"]


def run(
    *args: str | os.PathLike[str],
    env: Environment | None = None,
    timeout: float = TIMEOUT,
    cwd: str | os.PathLike[str] | None = None,
    stdin: str = "",
    secrets: Iterable[str] = (),
    before: tuple[str, ...] = (),
    installed: bool = False,
    entry: str = fork_server.COMMAND,
) -> Completed:
    """Run to the end. There is no terminal, so nothing can be asked. `before` are words such as ``prlimit …`` that start it.

    `entry` ("module:function") is another beginning of the command, `UNPRIVILEGED` for one.
    """
    words = _words(args)
    argv = [*before, *program(), *words] if before or installed else None
    with Process(words, argv, env, cwd, secrets, stdin=stdin, entry=entry) as process:
        return process.finish(timeout)


class Process:
    """The command while it runs, in a process group of its own. A context manager: leaving it kills what is left.

    It is forked with the program imported, unless `argv` says how it is to be started.
    """

    def __init__(
        self,
        words: tuple[str, ...],
        argv: list[str] | None,
        env: Environment | None,
        cwd: str | os.PathLike[str] | None,
        secrets: Iterable[str],
        *,
        stdin: str = "",
        entry: str = fork_server.COMMAND,
    ) -> None:
        self._words, self._env, self._secrets = words, env, tuple(secrets)
        self._began = time.monotonic()
        self._stdout, self._stderr = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        with tempfile.TemporaryFile() if stdin else open(os.devnull, "rb+") as given:
            given.write(stdin.encode())
            given.seek(0)
            files = (given, self._stdout, self._stderr)
            self._popen = _started(words, argv, _environment(env), cwd, files, entry=entry)
        self.pid = self._popen.pid
        _LIVE.add(self)

    def is_running(self) -> bool:
        return self._popen.poll() is None

    def signal(self, number: int) -> None:
        """To the command itself; the terminal's Ctrl-C goes to the group: `signal_group`."""
        self._popen.send_signal(number)

    def signal_group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill(self) -> Completed:
        """SIGKILL for the whole group, wherever it is."""
        self.signal_group(signal.SIGKILL)
        return self.finish()

    def finish(self, timeout: float = TIMEOUT) -> Completed:
        """Wait for its end and look at what it wrote."""
        self._popen.wait(timeout)
        self.signal_group(signal.SIGKILL)  # a child that outlived the command
        _LIVE.discard(self)
        seconds = time.monotonic() - self._began
        completed = Completed(self._words, self._popen.returncode, *self.output_so_far(), seconds)
        return _checked(completed, self._env, self._secrets)

    def output_so_far(self) -> tuple[str, str]:
        return _read(self._stdout).decode(errors="replace"), _read(self._stderr).decode(errors="replace")

    def wait_for(self, seen: Callable[[], bool], timeout: float = TIMEOUT) -> bool:
        """Poll until `seen`; False if the command ended first."""
        deadline = time.monotonic() + timeout
        while not seen():
            if not self.is_running():
                return seen()
            assert time.monotonic() < deadline, f"waited {timeout} s in vain: {self.output_so_far()}"
            time.sleep(0.005)
        return True

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exception: object) -> None:
        self.signal_group(signal.SIGKILL)
        self._popen.wait(10)
        _LIVE.discard(self)


def start(
    *args: str | os.PathLike[str],
    env: Environment | None = None,
    cwd: str | None = None,
    secrets: Iterable[str] = (),
    installed: bool = False,
) -> Process:
    """Start it and go on; for what is to be killed or watched."""
    words = _words(args)
    return Process(words, [*program(), *words] if installed else None, env, cwd, secrets)


def _started(
    words: tuple[str, ...],
    argv: list[str] | None,
    environment: dict[str, str],
    cwd: str | os.PathLike[str] | None,
    files: tuple[IO[bytes], IO[bytes], IO[bytes]],
    *,
    entry: str,
) -> subprocess.Popen[bytes] | Forked:
    if argv is None:
        stdin, stdout, stderr = (file.fileno() for file in files)
        folder = os.fspath(cwd or os.getcwd())
        forked = fork_server.start(
            words, environment=environment, folder=folder, files=(stdin, stdout, stderr), entry=entry
        )
        if forked is not None:
            return forked
    stdin_file, stdout_file, stderr_file = files
    start = program() if entry == fork_server.COMMAND else [sys.executable, "-m", entry.partition(":")[0]]
    return subprocess.Popen(
        argv or [*start, *words],
        env=environment,
        cwd=cwd,
        stdin=stdin_file,
        stdout=stdout_file,
        stderr=stderr_file,
        start_new_session=True,
    )


def kill_leftovers() -> None:
    """What a failed test left running."""
    for process in list(_LIVE):
        process.__exit__()


# A child counts its parent's size at the fork as its own peak, so the fork happens in a process smaller than any command.
_LAUNCHER = """
import json, os, sys
report, *argv = sys.argv[1:]
child = os.fork()
if child == 0:
    os.execvp(argv[0], argv)
_, status, usage = os.wait4(child, 0)
with open(report, "w") as out:
    json.dump({"largest": usage.ru_maxrss * 1024}, out)
code = os.waitstatus_to_exitcode(status)
sys.exit(code if code >= 0 else 128 - code)
"""


def run_measured(
    *args: str | os.PathLike[str],
    env: Environment | None = None,
    timeout: float = 600,
    secrets: Iterable[str] = (),
) -> tuple[Completed, Memory]:
    """Run to the end and measure its memory, with that of all its children."""
    words = _words(args)
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "usage.json")
        argv = [sys.executable, "-I", "-S", "-c", _LAUNCHER, report, *program(), *words]
        with Process(words, argv, env, None, secrets) as process, _TreeWatch(process.pid) as watch:
            completed = process.finish(timeout)
        largest = json.loads(Path(report).read_text())["largest"]
    return completed, Memory(largest=max(largest, watch.largest), together=max(watch.together, largest))


@dataclass
class _TreeWatch:
    """Adds up the proportional memory of all descendants of a process, 20 times a second."""

    root: int
    together: int = 0
    largest: int = 0
    _end: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> _TreeWatch:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._end.set()
        assert self._thread is not None
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(0.05):
            sizes = [(_proportional(pid), _high_water(pid)) for pid in _descendants(self.root)]
            self.together = max(self.together, sum(pss for pss, _ in sizes))
            self.largest = max([self.largest, *(high for _, high in sizes)])


def _descendants(root: int) -> list[int]:
    found: list[int] = []
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                children = Path(f"/proc/{pid}/task/{task}/children").read_text().split()
                waiting.extend(int(child) for child in children)
                found.extend(int(child) for child in children)
    return found


def _proportional(pid: int) -> int:
    return _kilobytes(f"/proc/{pid}/smaps_rollup", "Pss:")


def _high_water(pid: int) -> int:
    return _kilobytes(f"/proc/{pid}/status", "VmHWM:")


def _kilobytes(path: str, label: str) -> int:
    with contextlib.suppress(OSError), open(path) as lines:
        for line in lines:
            if line.startswith(label):
                return int(line.split()[1]) * 1024
    return 0


def _words(args: Iterable[str | os.PathLike[str]]) -> tuple[str, ...]:
    return tuple(os.fspath(arg) for arg in args)


def _environment(env: Environment | None) -> dict[str, str]:
    merged: dict[str, str | None] = {**os.environ, **(env or {})}
    return {name: value for name, value in merged.items() if value is not None}


def _read(file: IO[bytes]) -> bytes:
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), size, 0)


def _checked(completed: Completed, env: Environment | None, secrets: Iterable[str]) -> Completed:
    everything = completed.stdout + completed.stderr
    assert "Traceback" not in everything, f"a traceback was shown\n{completed}"
    own = [value for name, value in (env or {}).items() if value and ("SECRET" in name or "TOKEN" in name)]
    for secret in (SECRET_MARK, *own, *secrets):
        assert secret not in everything, f"a secret was shown: {secret[:4]}…\n{completed}"
    return completed
