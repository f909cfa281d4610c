"""A stand-in Bytes, and a real nginx before its S3 server, for tests of `switch --read-through`."""

from __future__ import annotations

import contextlib
import grp
import random
import sys
import threading
import time
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from pathlib import Path

from migrator.doctor.nginx_lines import nginx_lines
from tests import nginx, oracle, switch_scene
from tests.bytes_service import UID
from tests.servers import S3Server, free_ports
from tests.switch_scene import Scene, beside


@dataclass(frozen=True)
class Through:
    """The scene, and nginx' file, which `nginx_before` includes."""

    scene: Scene
    file: Path
    folder: Path
    user: str
    listen: str
    server: S3Server

    def words(self, *more: str) -> tuple[str, ...]:
        """`switch --read-through`, as an operator would type it."""
        test, reload = nginx.commands(self.folder)
        told = (
            "--nginx-file",
            str(self.file),
            "--nginx-test",
            test,
            "--nginx-reload",
            reload,
            "--nginx-user",
            self.user,
        )
        return self.scene.to_s3("--read-through", *told, "--nginx-listen", self.listen, *more)

    def is_reading_through(self) -> bool:
        return self.file.exists() and "bytes-migrator read-through" in self.file.read_text()


@contextlib.contextmanager
def installed(
    server: S3Server, naming: oracle.Naming, *, raw_files: int = 30, has_file: bool = True
) -> Iterator[Through]:
    """nginx runs before the server; with `has_file` by the lines of `runbook`, and Bytes' new settings name it.

    Its workers are in Bytes' group, where this machine has a group of that number. As Bytes makes its folders, they may not pass them.
    """
    listens_at, other = free_ports(2)
    listen = f"127.0.0.1:{listens_at}"
    through = replace(server, endpoint_url=f"http://{listen}") if has_file else server
    with switch_scene.installed(through, naming, raw_files=raw_files) as scene:
        file = scene.folder / "conf.d" / "bytes-s3.conf"
        file.parent.mkdir()
        if has_file:
            file.write_text("\n".join(nginx_lines(server.endpoint_url, listen=listen)) + "\n")
        user, named = _user()
        lines = (f"include {file.parent}/*.conf;", "server {", f"listen 127.0.0.1:{other};", "}")
        folder = scene.folder / "nginx"
        with nginx.nginx_before(server, lines, other, folder, user=user):
            yield Through(scene, file, folder, named, listen, server)


def _user() -> tuple[str, str]:
    """As nginx' configuration has it, and as `--nginx-user` has it."""
    with contextlib.suppress(KeyError):
        return f"nobody {grp.getgrgid(UID).gr_name}", f"nobody:{UID}"
    return "root", "root"


@dataclass
class Reader:
    """Asks Bytes for random raw files without pause. `unreadable`: Bytes answered, and not with the raw file; `down` are times without
    an answer, in seconds since the epoch. `seconds_without`: from each read before a failure to the next one after it, in all."""

    scene: Scene
    contents: dict[str, bytes]
    read: int = 0
    unreadable: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    down: list[float] = field(default_factory=list)
    longest: float = 0.0
    seconds_without: float = 0.0
    _end: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        with beside(self._run, self._end):
            yield

    def _run(self) -> None:
        chance, names = random.Random(11), sorted(self.contents)
        read_at, has_failed = time.monotonic(), False
        while not self._end.is_set():
            raw_id = chance.choice(names)
            try:
                content = self.scene.read(raw_id)
            except urllib.error.HTTPError as error:
                self.unreadable.append(f"{raw_id}: {error.code}")
                sys.stderr.write(f"{raw_id}: {error.code}\n")
                has_failed = True
            except (OSError, HTTPException):  # an answer that is cut off is none
                self.down.append(time.time())
                has_failed = True
            else:
                self.read += 1
                self.wrong += [raw_id] if content != self.contents[raw_id] else []
                now = time.monotonic()
                self.longest = max(self.longest, now - read_at)
                self.seconds_without += now - read_at if has_failed else 0.0
                read_at, has_failed = now, False
