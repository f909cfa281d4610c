"""The servers that are measured against: a null sink, SeaweedFS, both behind a delay. All on the loopback; all end with this process."""

from __future__ import annotations

import contextlib
import ctypes
import json
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.bench.native import Missing, Native

ACCESS_KEY, SECRET_KEY = "AKBENCH", "benchbench"
READY_SECONDS = 60.0
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Server:
    """An S3 server as clients see it. `sink` counts its requests; None for a server that does not."""

    name: str
    url: str
    ca_bundle: Path | None = None
    sink: Sink | None = field(default=None, compare=False)

    @property
    def address(self) -> str:
        return self.url.partition("://")[2]


@dataclass(frozen=True)
class Sink:
    """The null sink's own words about what it was asked, and its process."""

    url: str
    pid: int

    def counts(self) -> dict[str, int]:
        with _open(f"{self.url}/?bench-stats") as answer:
            return {name: int(value) for name, value in (line.split() for line in answer.read().decode().splitlines())}


@contextlib.contextmanager
def null_sink(
    native: Native,
    served: Mapping[str, Path] | None = None,
    *,
    tls: tuple[Path, Path] | None = None,
    verify: bool = False,
    parts: int = 0,
) -> Iterator[Server]:
    """`served` gives folders by name: folder "x" is in the buckets "x-flat", as Bytes names objects, and "x-tree", as it lies on disk.

    `parts` is the part size in bytes with which larger ones have been uploaded; 0: all in one request.
    """
    words: list[str | Path] = [native.sink]
    if parts:
        words += ["--parts", str(parts)]
    if verify:
        words.append("--verify")
    if tls:
        words += ["--tls", *tls]
    for name, folder in (served or {}).items():
        words += ["--serve", f"{name}-flat", f"{name}-tree", folder]
    with _program(words) as process:
        port = _port_of(process)
        if tls:
            yield Server("null sink, TLS", f"https://127.0.0.1:{port}", ca_bundle=tls[0])
            return
        url = f"http://127.0.0.1:{port}"
        yield Server("null sink", url, sink=Sink(url, process.pid))


@contextlib.contextmanager
def delayed(native: Native, server: Server, milliseconds: float) -> Iterator[Server]:
    """The same server, half of `milliseconds` away in each direction."""
    port = server.address.rpartition(":")[2]
    with _program([native.delay, port, str(milliseconds / 2)]) as process:
        there = f"{server.url.rpartition(':')[0]}:{_port_of(process)}"
        yield replace(server, name=f"{server.name}, {milliseconds:g} ms away", url=there)


@contextlib.contextmanager
def seaweedfs(weed: Path, folder: Path) -> Iterator[Server]:
    """SeaweedFS with a folder of its own, ready when it lists its buckets."""
    folder.mkdir(parents=True)
    port, master, volume, filer, *grpc = _free_ports(8)
    credentials = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    identity = {"name": "bench", "credentials": credentials, "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
    (folder / "identities.json").write_text(json.dumps({"identities": [identity]}))
    words = [
        *(weed, f"-logdir={folder}", "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *(f"-master.port={master}", f"-volume.port={volume}", f"-s3.port={port}", f"-filer.port={filer}"),
        *(f"-master.port.grpc={grpc[0]}", f"-volume.port.grpc={grpc[1]}", f"-s3.port.grpc={grpc[2]}"),
        *(f"-filer.port.grpc={grpc[3]}", "-filer", "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0"),
        *("-volume.max=400", "-master.volumeSizeLimitMB=1024", "-master.telemetry=false"),
        *(f"-filer.localSocket={folder}/filer.sock", f"-s3.localSocket={folder}/s3.sock"),
        f"-s3.config={folder / 'identities.json'}",
    ]
    with _program(words, log=folder / "log", cwd=folder):
        server = Server("SeaweedFS", f"http://127.0.0.1:{port}")
        _wait_for(server)
        yield server


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    if shutil.which("openssl") is None:
        raise Missing("There is no openssl program to make a certificate: apt install openssl")
    folder.mkdir(parents=True, exist_ok=True)
    cert, key = folder / "certificate.pem", folder / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    subprocess.run([*words, *names, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


@contextlib.contextmanager
def _program(
    words: Sequence[str | Path], log: Path | None = None, cwd: Path | None = None
) -> Iterator[subprocess.Popen[str]]:
    with contextlib.ExitStack() as stack:
        talk = stack.enter_context(open(log, "ab")) if log else None
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=talk or subprocess.PIPE,
            stderr=talk,
            text=True,
            cwd=cwd,
            preexec_fn=_end_with_parent,  # noqa: PLW1509  no thread runs while servers start
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def _open(url: str) -> Any:
    """Without proxies, whatever the environment says: all servers are on this machine."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _port_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    said = process.stdout.readline()
    if not said.strip().isdigit():
        raise Missing(f"{process.args} did not start: {said!r}")
    return int(said)


def _wait_for(server: Server) -> None:
    """Any answer to an unsigned request will do: without a signature it is a refusal."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            _open(server.url).close()
        except urllib.error.HTTPError as refusal:
            if refusal.code < 500:
                time.sleep(2)  # the first seconds it still answers 500 now and then
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise Missing(f"{server.name} did not get ready within {READY_SECONDS:g} seconds")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
