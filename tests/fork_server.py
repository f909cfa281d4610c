"""Starts processes by forking one that has the program imported: a command as a process of its own, without 0.5 s of CPU for its start.

What is started is a process like any other: its own memory, environment, working folder, signals and exit status. It may be killed,
stopped and waited for. Only its start is shared, so what is about the start itself (`before`, memory, imports) starts the installed
command instead. Used as a program (``fork_server.py SOCKET OWNER MODULE…``) it is the server, which ends with its owner.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import fcntl
import functools
import gc
import hashlib
import importlib
import json
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.servers import SESSION, session_folder

START_SECONDS = 60.0
COMMAND, DASK = "migrator.__main__:main", "dask.__main__:main"
_AT_START = ("PYTHON", "LD_", "LC_", "LANG", "MALLOC_", "DASK_", "BOTO")
"""Beginnings of variables that are read while Python starts or a module is imported: each set of values has a server of its own."""
_LATE = (
    "migrator.reports.files",
    "migrator.reports.html.page",
    "migrator.reports.metrics",
    "migrator.checks.audit.database",
    "migrator.checks.audit.nacl",
    "migrator.stores.s3.transfer.fast_lane",
    "prometheus_client",
    "multiprocessing.popen_fork",
    "multiprocessing.queues",
    "multiprocessing.synchronize",
    "importlib.readers",
    "encodings.idna",
    "_strptime",
)
_LATE_WITH_DASK = (
    "dask.__main__",
    "dask.distributed",
    "distributed.cli.dask_scheduler",
    "distributed.cli.dask_spec",
    "distributed.cli.dask_ssh",
    "distributed.cli.dask_worker",
    "distributed.http.worker",
    "distributed.http.worker.prometheus.core",
    "distributed.http.health",
    "distributed.http.statics",
    "tornado.platform.asyncio",
    "migrator.engines.dask.connection",
    "migrator.engines.dask.forked_cluster",
)
"""What commands import only while they run."""
_DASK = ("--scheduler", "dask")
_ROOT = Path(__file__).parents[1]
_LARGEST = 1 << 20


_STAND_IN = """#!{python} -IS
import array, json, os, signal, socket, sys, time
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
while True:
    try:
        server.connect({at!r})
        break
    except (FileNotFoundError, ConnectionRefusedError):
        time.sleep(0.01)  # it is still starting
asked = json.dumps([{entry!r}, sys.argv[1:], dict(os.environ), os.getcwd()]).encode("utf-8", "surrogateescape")
server.sendmsg([asked], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", (0, 1, 2)))])
pid = int(server.recv(64))
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, lambda number, _: os.kill(pid, number))
status = int(server.recv(64) or -9)
sys.exit(status if status >= 0 else 128 - status)
"""


class Forked:
    """A process that a server has started for us; as much of `subprocess.Popen` as the tests use."""

    def __init__(self, args: Sequence[str], pid: int, connection: socket.socket) -> None:
        self.args, self.pid = args, pid
        self.returncode: int | None = None
        self._connection = connection

    def poll(self) -> int | None:
        return self._end_within(0)

    def wait(self, timeout: float | None = None) -> int:
        ended = self._end_within(timeout)
        if ended is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return ended

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _end_within(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._connection], [], [], timeout)[0]:
            told = self._connection.recv(64)
            self.returncode = (
                int(told) if told else -signal.SIGKILL
            )  # the server is gone, and took what it had started with it
            self._connection.close()
        return self.returncode


class Server:
    """A process with the program imported, to be forked: one for all that name the same `folder`. Ends with the process `owner`."""

    def __init__(self, environment: Mapping[str, str], *, with_dask: bool, folder: Path, owner: int) -> None:
        self._at = str(folder / "socket")
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "started").exists():
                self._process = self._started(environment, owner, with_dask=with_dask)
                (folder / "started").touch()

    def _started(self, environment: Mapping[str, str], owner: int, *, with_dask: bool) -> subprocess.Popen[bytes]:
        paths = [entry for entry in (environment.get("PYTHONPATH"), str(_ROOT)) if entry]
        return subprocess.Popen(
            [sys.executable, __file__, self._at, str(owner), *(["dask"] if with_dask else [])],
            env={**environment, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def start(
        self,
        words: Sequence[str],
        *,
        entry: str,
        environment: Mapping[str, str],
        folder: str,
        files: tuple[int, int, int],
    ) -> Forked:
        """Fork, and call `entry` ("module:function") there with `words` as its command line; `files` are stdin, stdout and stderr.

        The process leads a session of its own.
        """
        connection = self._connect()
        asked = json.dumps([entry, list(words), dict(environment), folder]).encode("utf-8", "surrogateescape")
        connection.sendmsg([asked], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))])
        return Forked(words, int(connection.recv(64)), connection)

    def stand_in(self, entry: str) -> str:
        """A program that has the server start `entry` with its own command line, environment, folder and files, and ends as that does."""
        return _STAND_IN.format(python=sys.executable, at=self._at, entry=entry)

    def cpu_seconds(self) -> float:
        """What the server and all processes that it started and that have ended have used."""
        with self._connect() as connection:
            connection.sendall(b"usage")
            return float(connection.recv(64))

    def close(self) -> None:
        """End it, if this process started it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _connect(self) -> socket.socket:
        deadline = time.monotonic() + START_SECONDS
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                connection.connect(self._at)
            except (FileNotFoundError, ConnectionRefusedError):
                connection.close()
                assert self._process is None or self._process.poll() is None, "the fork server ended"
                assert time.monotonic() < deadline, "the fork server did not start"
                time.sleep(0.01)
            else:
                return connection


_Start = tuple[tuple[str, str], ...]


def _start_of(environment: Mapping[str, str]) -> _Start:
    paths = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", str(_ROOT))]
    found = {name: value for name, value in environment.items() if name.startswith(_AT_START)}
    return tuple(sorted({**found, "PYTHONPATH": os.pathsep.join(paths)}.items()))


class Servers:
    """Fork servers, by what is read while a process starts: those of the test session, if there is one, else of this process."""

    def __init__(self) -> None:
        self._is_own = SESSION not in os.environ
        if self._is_own:
            self._folder, self._owner = Path(tempfile.mkdtemp(prefix="migrator-fork-")), os.getpid()
        else:
            self._folder, self._owner = session_folder(os.environ)
        self._lock = threading.Lock()
        self._servers: dict[_Start, Server] = {}
        self._met = {_start_of(os.environ)}

    def get(self, environment: Mapping[str, str], *, with_dask: bool) -> Server | None:
        """The server for processes of this environment; None for one that may never come again, for which a server costs too much."""
        start = _start_of(environment)
        key = (*start, ("dask", str(with_dask)))
        with self._lock:
            if start not in self._met:
                self._met.add(start)
                return None
            if key not in self._servers:
                name = hashlib.sha256(repr(key).encode()).hexdigest()[:12]
                folder = self._folder / f"fork-{name}"
                self._servers[key] = Server(environment, with_dask=with_dask, folder=folder, owner=self._owner)
            return self._servers[key]

    def cpu_seconds(self) -> float:
        return sum(server.cpu_seconds() for server in list(self._servers.values()))

    def close(self) -> None:
        """End those of this process alone; those of the session end with it."""
        if self._is_own:
            for server in self._servers.values():
                server.close()
            shutil.rmtree(self._folder, ignore_errors=True)


@functools.cache
def _servers() -> Servers:
    made = Servers()
    atexit.register(made.close)
    return made


def start(
    words: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: str,
    files: tuple[int, int, int],
    entry: str = COMMAND,
) -> Forked | None:
    """Start the command, or another `entry`, with exactly this environment; see `Server.start`. None where a server does not pay."""
    with_dask = entry == DASK or any(word in _DASK for word in words)
    server = _servers().get(environment, with_dask=with_dask)
    if server is None:
        return None
    return server.start(words, entry=entry, environment=environment, folder=folder, files=files)


def put_stand_in(path: Path, *, environment: Mapping[str, str], entry: str = COMMAND) -> None:
    """Write a program that can be called by its name in a script, in place of the command, in this environment."""
    servers = _servers()
    # The first time that an environment is met, no server is made for it.
    server = servers.get(environment, with_dask=False) or servers.get(environment, with_dask=False)
    assert server is not None
    path.write_text(server.stand_in(entry))
    path.chmod(0o755)


def cpu_seconds() -> float:
    """What all fork servers, and the processes that they started and that have ended, have used."""
    return _servers().cpu_seconds()


# --- the server ------------------------------------------------------------------------------------------------------


def _preload(*, with_dask: bool) -> None:
    """Import what commands import while they run, and have botocore read what it knows of S3."""
    from migrator.cli.main import COMMANDS, Commands
    from migrator.config.locations import S3Access, Secret
    from migrator.stores.s3.boto3_clients import connect

    for name in COMMANDS:
        Commands()[name]
    for module in _LATE:
        with contextlib.suppress(ImportError):  # what is optional may be missing, as it is for the command
            importlib.import_module(module)
    connect(
        S3Access(
            endpoint_url="http://127.0.0.1:1", region="us-east-1", access_key_id="a", secret_access_key=Secret("b")
        )
    )
    if with_dask:
        for module in _LATE_WITH_DASK:
            importlib.import_module(module)


@dataclass(frozen=True)
class _Job:
    """What is to become of the forked process."""

    entry: str
    words: list[str]


def _serve(at: str, owner: int) -> _Job | None:
    """Fork for everyone who asks until the owner ends. Returns None then, and in each forked process its job."""
    owner_ends = os.pidfd_open(owner)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(f"{at}.new")
    listener.listen(64)
    os.rename(f"{at}.new", at)
    running: dict[int, tuple[int, socket.socket]] = {}
    while True:
        ready = select.select([listener, owner_ends, *running], [], [])[0]
        if owner_ends in ready:
            for pid, _ in running.values():
                os.kill(pid, signal.SIGKILL)
            return None
        for ended in [one for one in ready if one in running]:
            pid, connection = running.pop(ended)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            os.close(ended)
            with connection, contextlib.suppress(OSError):  # who asked may be gone
                connection.sendall(str(status).encode())
        if listener in ready:
            connection, _ = listener.accept()
            asked, files, _, _ = socket.recv_fds(connection, _LARGEST, 3)
            if asked == b"usage":
                with connection:
                    connection.sendall(str(_cpu_seconds()).encode())
                continue
            if not asked:
                connection.close()
                continue
            pid = os.fork()
            if pid == 0:
                entry, words, environment, folder = json.loads(asked.decode("utf-8", "surrogateescape"))
                _become(environment, folder, files)
                connection.sendall(str(os.getpid()).encode())
                for one in (listener, connection, *(other for _, other in running.values())):
                    one.close()
                for number in (owner_ends, *running):
                    os.close(number)
                return _Job(entry, words)
            for number in files:
                os.close(number)
            running[os.pidfd_open(pid)] = (pid, connection)


def _become(environment: dict[str, str], folder: str, files: list[int]) -> None:
    os.setsid()
    for number, given in enumerate(files):
        os.dup2(given, number)
        os.close(given)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    tempfile.tempdir = None  # that of the environment, when it is asked for
    os.chdir(folder)


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


class _QuickEnd:
    """Ends the process when all that it registered for its end has run, without 0.06 s for taking every module apart."""

    def __init__(self) -> None:
        self.status = 1  # of an exception that nobody caught
        atexit.register(self._end)  # before all others, so it runs last

    def _end(self) -> None:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (OSError, ValueError):
            return  # Python has words and a status for that
        os._exit(self.status)


def _main(at: str, owner: str, *more: str) -> None:
    gc.disable()
    end = _QuickEnd()
    sys.path.remove(str(_ROOT / "tests"))  # a program's own folder comes first
    _preload(with_dask=bool(more))
    gc.freeze()
    if (job := _serve(at, int(owner))) is None:
        return
    gc.enable()
    module, _, function = job.entry.partition(":")
    sys.argv = ["dask" if job.entry == DASK else "bytes-migrator", *job.words]
    try:
        getattr(importlib.import_module(module), function)()
    except SystemExit as ended:
        if not isinstance(ended.code, int | None):
            raise
        end.status = ended.code or 0
    else:
        end.status = 0


if __name__ == "__main__":
    _main(*sys.argv[1:])
