"""A proxy before an S3 server that counts what passes, and that can hold everything at a chosen request."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from tests.servers import S3Server


@dataclass(frozen=True)
class _Hold:
    verb: bytes
    after: int
    answers: bool
    only_tell: bool


@dataclass
class Gate:
    """`server` is the one behind it, to be reached through it."""

    server: S3Server
    bytes_passed: int = 0
    requests: int = 0
    connections: set[socket.socket] = field(default_factory=set)
    _hold: _Hold | None = None
    _drop: bool = False
    _seen: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _open: threading.Event = field(default_factory=threading.Event)
    _held: threading.Event = field(default_factory=threading.Event)

    def hold_after(self, count: int, verb: str, *, answers: bool = False, only_tell: bool = False) -> None:
        """Let `count` requests with this verb pass, and hold everything at the next one, or with `answers` all that is answered.

        With `only_tell` nothing is held: `is_holding` becomes true while all goes on.
        """
        with self._lock:
            self._seen = 0
            self._hold = _Hold(f"{verb} /".encode(), count, answers, only_tell)
        self._held.clear()
        if not only_tell:
            self._open.clear()

    def is_holding(self) -> bool:
        return self._held.is_set()

    def release(self, *, drop: bool = False) -> None:
        """Let all pass again: what was held too, or with `drop` without it, for a client that is gone."""
        with self._lock:
            self._hold = None
            self._drop = drop
        self._held.clear()
        self._open.set()

    def asked(self, data: bytes) -> bool:
        """Called with what a client sent; whether it may pass. A request's first bytes come together, so its verb is at the beginning."""
        with self._lock:
            self.bytes_passed += len(data)
            if data.startswith((b"GET /", b"PUT /", b"HEAD /", b"POST /", b"DELETE /")):
                self.requests += 1
            hold = self._hold
            if hold is not None and data.startswith(hold.verb):
                self._seen += 1
                if self._seen > hold.after:
                    self._held.set()
        if hold is not None and self._held.is_set() and not hold.answers and not hold.only_tell:
            self._open.wait()
            return not self._drop
        return True

    def answered(self, data: bytes) -> bool:
        with self._lock:
            self.bytes_passed += len(data)
            hold = self._hold
        if hold is not None and hold.answers and self._held.is_set():
            self._open.wait()
            return not self._drop
        return True


@contextlib.contextmanager
def gate_before(server: S3Server, port: int = 0) -> Iterator[Gate]:
    """Leaving it looks as if the server had gone; the same `port` again, as if it had come back."""
    behind = urlsplit(server.endpoint_url)
    with socket.create_server(("127.0.0.1", port), backlog=64) as listener:
        port = listener.getsockname()[1]
        gate = Gate(replace(server, endpoint_url=f"http://127.0.0.1:{port}"))
        gate.release()
        thread = threading.Thread(target=_serve, args=(listener, (behind.hostname, behind.port), gate), daemon=True)
        thread.start()
        try:
            yield gate
        finally:
            gate.release()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in list(gate.connections):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


def _serve(listener: socket.socket, behind: tuple[str | None, int | None], gate: Gate) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_relay, args=(client, behind, gate), daemon=True).start()


def _relay(client: socket.socket, behind: tuple[str | None, int | None], gate: Gate) -> None:
    """Both directions, until both have ended: servers that end each connection after an answer would else use up all descriptors."""
    with (
        contextlib.suppress(OSError),
        client,
        socket.create_connection((behind[0] or "", behind[1] or 0)) as server,
    ):
        gate.connections |= {client, server}
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=_pump, args=(server, client, gate.answered), daemon=True)
        back.start()
        _pump(client, server, gate.asked)
        back.join()
        gate.connections -= {client, server}


def _pump(origin: socket.socket, destination: socket.socket, may_pass: Callable[[bytes], bool]) -> None:
    try:
        while (data := origin.recv(1 << 18)) and may_pass(data):
            destination.sendall(data)
    except OSError:
        pass
    finally:
        for one in (origin, destination):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
