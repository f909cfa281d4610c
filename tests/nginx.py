"""A real nginx before an S3 server, with the lines that this program prints."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.servers import S3Server

SECONDS = 20.0


def program() -> str:
    found = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if found is None:
        pytest.skip("nginx is not installed (Debian: apt install nginx-light)")
    return found


@contextlib.contextmanager
def nginx_before(
    server: S3Server, lines: Sequence[str], port: int, folder: Path, *, user: str = ""
) -> Iterator[S3Server]:
    """Run nginx with these lines in its http section, until the block ends; they listen on `port`. `user`: whom its workers run as."""
    folder.mkdir()
    temporary = [f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")]
    around = [
        *([f"user {user};"] if user else []),
        f"pid {folder}/pid;",
        "daemon off;",
        "events {}",
        "http {",
        f"access_log {folder}/access;",
        *temporary,
    ]
    (folder / "nginx.conf").write_text("\n".join([*around, *lines, "}"]))
    log = folder / "error"
    process = subprocess.Popen([program(), "-p", str(folder), "-e", str(log), "-c", str(folder / "nginx.conf")])
    try:
        deadline = time.monotonic() + SECONDS
        while not _listens(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield replace(server, endpoint_url=f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(SECONDS)


def commands(folder: Path) -> tuple[str, str]:
    """The commands that test and reload an nginx that `nginx_before` runs in this folder."""
    return f"{program()} -p {folder} -e {folder}/error -c {folder}/nginx.conf -t", f"kill -HUP $(cat {folder}/pid)"


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
