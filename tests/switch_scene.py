"""A stand-in Bytes that is installed in some way, with a data folder and a bucket, for tests of `switch`.

`tests/bytes_service.py` is Bytes; a shell script starts and stops it. `systemctl`, `docker` and `kubectl` of the scene's own `bin` call
that script. What is really there is read by `oracle` and by asking Bytes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import socket
import stat
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests import command, corpus, oracle
from tests.bytes_service import UID
from tests.servers import S3Server

ROOT = Path(__file__).parents[1]
PASSWORD = "NeverToBePrinted-bytes"
_CONTROL = r"""#!/bin/sh
# start, stop or look at the stand-in Bytes
cd {root} || exit 1
state={state}
is_running() {{ [ -s "$state/pid" ] && kill -0 "$(cat "$state/pid")" 2>/dev/null; }}
echo "$1" >> "$state/calls"
[ "$1" = running ] || {{ exec 9> "$state/lock"; flock 9; }}  # a guard that is killed leaves its own call to end by itself
case "$1" in
start)
    [ -e "$state/start-fails" ] && {{ echo "cannot start" >&2; exit 1; }}
    [ -e "$state/s3-start-fails" ] && grep -q ^S3_BUCKET {env_file} && {{ echo "cannot start" >&2; exit 1; }}
    is_running && exit 0
    setsid {python} -m tests.bytes_service "$state" {env_file} {port} >> "$state/log" 2>&1 < /dev/null 9>&- &
    echo $! > "$state/pid" ;;
stop)
    [ -e "$state/stop-fails" ] && {{ echo "may not stop it" >&2; exit 1; }}
    [ -e "$state/ignores-stop" ] && exit 0
    is_running || exit 0
    pid=$(cat "$state/pid")
    kill "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
    rm -f "$state/pid" ;;
running)
    is_running ;;
esac
"""
_SYSTEMCTL = r"""#!/bin/sh
[ "$1" = --no-ask-password ] && shift
case "$1" in
show)
    case "$2" in
    --property=LoadState) [ "$4" = kat-bytes ] && echo loaded || echo not-found ;;
    --property=MainPID) cat {state}/pid 2>/dev/null || echo 0 ;;
    esac ;;
is-active) sh {control} running && echo active || {{ echo inactive; exit 3; }} ;;
reset-failed) ;;
*) exec sh {control} "$1" ;;
esac
"""
_DOCKER = r"""#!/bin/sh
[ "$1 $2 $3" = "compose --project-directory {folder}" ] || {{ echo "no such project" >&2; exit 1; }}
shift 3
case "$1" in
ps)
    if [ "$2" = --all ]; then echo bytes; exit 0; fi
    sh {control} running && echo bytes; exit 0 ;;
exec) tr '\0' '\n' < /proc/$(cat {state}/pid)/environ ;;
up) exec sh {control} start ;;
stop) exec sh {control} stop ;;
esac
"""
_KUBECTL = r"""#!{python}
import base64, json, subprocess, sys
from pathlib import Path
state, control, env_file = Path("{state}"), "{control}", Path("{env_file}")
words = [word for word in sys.argv[1:]]
if words[:1] == ["--namespace"]:
    words = words[2:]
def ctl(word):
    return subprocess.run(["sh", control, word]).returncode
def secret():
    data = dict(line.split("=", 1) for line in env_file.read_text().splitlines() if "=" in line and line[0] != "#")
    encoded = {{name: base64.b64encode(value.encode()).decode() for name, value in data.items()}}
    version = str(env_file.stat().st_mtime_ns)
    return {{"kind": "Secret", "metadata": {{"name": "bytes", "resourceVersion": version}}, "data": encoded}}
if words[0] == "auth":
    sys.exit(1 if (state / "no-rights").exists() else 0)
if words[:2] == ["get", "pods"]:
    print("pod/bytes-1" if ctl("running") == 0 else "")
elif words[:2] == ["get", "deployment/bytes"]:
    if words[2].startswith("--output=jsonpath"):
        print("1" if ctl("running") == 0 else "0")
    else:
        print(json.dumps({{"spec": {{"selector": {{"matchLabels": {{"app": "bytes"}}}}}}}}))
elif words[:2] == ["get", "secret/bytes"]:
    print(json.dumps(secret()))
elif words[0] == "replace":
    document = json.load(sys.stdin)
    if document["metadata"]["resourceVersion"] != secret()["metadata"]["resourceVersion"]:
        sys.exit("the object has been modified")
    lines = [f"{{name}}={{base64.b64decode(value).decode()}}\n" for name, value in document["data"].items()]
    env_file.write_text("".join(lines))
elif words[0] == "scale":
    sys.exit(ctl("stop" if words[-1] == "--replicas=0" else "start"))
elif words[0] == "rollout":
    sys.exit(ctl("running"))
elif words[0] == "exec":
    environ = Path(f"/proc/{{(state / 'pid').read_text().strip()}}/environ").read_bytes()
    print(environ.replace(b"\0", b"\n").decode())
else:
    sys.exit(f"unknown: {{words}}")
"""


@dataclass(frozen=True)
class Scene:
    """A running Bytes and what belongs to it. `env_file` is what it is started with, `new_env` names the buckets."""

    folder: Path
    server: S3Server
    naming: oracle.Naming
    port: int

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def state(self) -> Path:
        return self.folder / "bytes"

    @property
    def env_file(self) -> Path:
        return self.folder / "bytes.conf"

    @property
    def new_env(self) -> Path:
        return self.folder / "new.env"

    @property
    def control(self) -> Path:
        return self.folder / "control"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # --- the command ---------------------------------------------------------------------------------------------------

    def words(self, *more: str) -> tuple[Any, ...]:
        """`switch` with own commands; the locations are left to `more`."""
        stop, start = (f"sh {shlex.quote(str(self.control))} {word}" for word in ("stop", "start"))
        own = ("--stop", stop, "--start", start, "--settings", str(self.env_file))
        return ("switch", "--yes", *own, "--api", self.url, "--settle", "0", "--new-within", "0", *more)

    def to_s3(self, *more: str) -> tuple[Any, ...]:
        return self.words("--to", str(self.new_env), *more)

    def run(self, *words: Any) -> command.Completed:
        return command.run(*words, env=self.env, secrets=(PASSWORD,))

    @property
    def env(self) -> dict[str, str]:
        return {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}

    # --- Bytes --------------------------------------------------------------------------------------------------------

    def ctl(self, word: str) -> int:
        return os.waitstatus_to_exitcode(os.system(f"sh {shlex.quote(str(self.control))} {word}"))

    def is_running(self) -> bool:
        return self.ctl("running") == 0

    def ignored_signals(self) -> set[int]:
        """What Bytes' process does not hear."""
        status = Path(f"/proc/{(self.state / 'pid').read_text().strip()}/status").read_text()
        mask = int(status.split("SigIgn:")[1].split()[0], 16)
        return {number for number in range(1, 65) if mask >> (number - 1) & 1}

    def wait_until_up(self, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while not self.is_healthy():
            assert time.monotonic() < until, (self.state / "log").read_text()
            assert self.is_running(), (self.state / "log").read_text()
            time.sleep(0.02)

    def wait_until_free(self, seconds: float = 60) -> None:
        """Wait until nothing answers at Bytes' port any more."""
        until = time.monotonic() + seconds
        while self.is_healthy():
            assert time.monotonic() < until
            time.sleep(0.02)

    def is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def save(self, content: bytes, organization: str = "alpha") -> str:
        """Have Bytes save a raw file; its id."""
        request = urllib.request.Request(f"{self.url}/save/{organization}", data=content, method="POST")
        with urllib.request.urlopen(request, timeout=20) as answer:
            return str(answer.read().decode())

    def read(self, raw_id: str) -> bytes:
        """Ask Bytes for a raw file. Raises HTTPError."""
        request = urllib.request.Request(f"{self.url}/bytes/raw/{raw_id}", headers={"Authorization": "Bearer a-token"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return bytes(answer.read())

    def rows(self) -> list[str]:
        return sorted(path.name for path in (self.state / "rows").iterdir())

    def assert_all_readable(self, expected: dict[str, bytes]) -> None:
        """Bytes runs, and gives every one of these, byte for byte."""
        self.wait_until_up()
        for raw_id, content in expected.items():
            try:
                assert self.read(raw_id) == content, f"{raw_id} has another content"
            except urllib.error.HTTPError as error:
                raise AssertionError(f"Bytes answers {error.code} to {raw_id}: {self.settings()}") from error

    def settings(self) -> str:
        return self.env_file.read_text()

    def is_on_s3(self) -> bool:
        """Whether the settings name a bucket."""
        return any(line.startswith("S3_BUCKET") for line in self.settings().splitlines())

    def calls(self) -> list[str]:
        return (self.state / "calls").read_text().split()

    def has(self, name: str) -> None:
        """Have the stand-in do something wrong from now on; see its module."""
        (self.state / name).touch()


@contextlib.contextmanager
def installed(server: S3Server, naming: oracle.Naming, *, raw_files: int = 30) -> Iterator[Scene]:
    """A scene in a folder that uid 1000 may enter, which pytest's own are not; Bytes is ended with it."""
    folder = Path(tempfile.mkdtemp(prefix="bytes-switch-"))
    try:
        scene = make(folder, server, naming, raw_files=raw_files)
        try:
            yield scene
        finally:
            for name in ("ignores-stop", "stop-fails"):
                (scene.state / name).unlink(missing_ok=True)
            scene.ctl("stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make(folder: Path, server: S3Server, naming: oracle.Naming, *, raw_files: int = 30) -> Scene:
    """A Bytes on disk, running, with raw files of two organizations."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    scene = Scene(folder, server, naming, port)
    folder.chmod(0o755)
    corpus.make_store(scene.data, {"alpha": raw_files * 2 // 3, "b1": raw_files - raw_files * 2 // 3}, sizes=400)
    scene.state.mkdir()
    (scene.state / "rows").mkdir()
    for organization, raw_id in oracle.disk_paths(scene.data):
        (scene.state / "rows" / raw_id).write_text(organization)
    _give_to_bytes(scene.data)
    scene.env_file.write_text(
        f"# Bytes' settings\nBYTES_USERNAME=bytes\nBYTES_PASSWORD={PASSWORD}\n\n"
        f"# where raw files are\nBYTES_DATA_DIR={scene.data}\n; the end\nBYTES_LOG_CFG=/etc/kat/logging.json\n"
    )
    scene.env_file.chmod(0o640)
    scene.new_env.write_text(_new_settings(server, naming))
    _write_scripts(scene)
    assert scene.ctl("start") == 0
    scene.wait_until_up()
    return scene


def contents(scene: Scene) -> dict[str, bytes]:
    """Every raw file on disk, by id."""
    return {raw_id: Path(path).read_bytes() for (_, raw_id), path in oracle.disk_paths(scene.data).items()}


def _new_settings(server: S3Server, naming: oracle.Naming) -> str:
    if isinstance(naming, oracle.Single):
        names = f"S3_BUCKET={naming.bucket}\nBUCKET_PER_ORG=false\n"
    else:
        names = f"S3_BUCKET_PREFIX={naming.prefix}\nBUCKET_PER_ORG=true\n"
    return names + "".join(f"{name}={value}\n" for name, value in server.env().items())


def _write_scripts(scene: Scene) -> None:
    words = {
        "root": shlex.quote(str(ROOT)),
        "state": str(scene.state),
        "python": sys.executable,
        "env_file": str(scene.env_file),
        "port": scene.port,
        "control": str(scene.control),
        "folder": str(scene.folder),
    }
    (scene.folder / "bin").mkdir()
    scripts = {scene.control: _CONTROL}
    scripts |= {scene.folder / "bin" / name: text for name, text in _SCRIPTS.items()}
    for path, text in scripts.items():
        path.write_text(text.format(**words))
        path.chmod(0o755)


_SCRIPTS = {"systemctl": _SYSTEMCTL, "docker": _DOCKER, "kubectl": _KUBECTL}


def _give_to_bytes(root: Path) -> None:
    if os.geteuid() != 0:
        return
    os.chown(root, UID, UID)
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            os.chown(os.path.join(folder, name), UID, UID)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def login_form() -> bytes:
    return urlencode({"username": "bytes", "password": PASSWORD}).encode()


def spoken(completed: command.Completed) -> dict[str, Any]:
    """The JSON document of `switch --json`."""
    told: dict[str, Any] = json.loads(completed.stdout)
    return told


@contextlib.contextmanager
def beside(run: Callable[[], None], end: threading.Event) -> Iterator[None]:
    """Have `run` go on in a thread of its own while the block does; it ends once `end` is set."""
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
