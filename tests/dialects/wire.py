"""HTTP for the fake S3 server: requests and answers as values, one thread for each connection, no more parsing than is needed.

`http.server` costs ten times the CPU for each request, and the table makes thousands.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, unquote, urlsplit

_LARGEST_HEAD = 64 << 10
_REASONS = {200: "OK", 204: "No Content", 206: "Partial Content", 403: "Forbidden", 404: "Not Found"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it came. `target` is the raw request target, `headers` have lower-case names; the rest is read from the two.

    `operation` is S3's name of it, such as ``UploadPart``; `bucket` and `key` are decoded, "" where the request names none.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    operation: str = ""
    bucket: str = ""
    key: str = ""

    @property
    def by_libcurl(self) -> bool:
        """Whether the bulk lane sent it: boto3 names itself, and libcurl is told to name nobody."""
        return "boto" not in self.headers.get("user-agent", "").lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is sent back. `cut`: break off after so many bytes of the body. `hang_up`: close the connection without an answer.

    `chunked`: send the body in one chunk, without a Content-Length.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    hang_up: bool = False
    chunked: bool = False

    def with_headers(self, headers: Mapping[str, str]) -> Answer:
        """The same answer with these headers besides, or instead of those of the same name."""
        return replace(self, headers={**self.headers, **headers})

    def without(self, *names: str) -> Answer:
        """The same answer without these headers."""
        return replace(
            self,
            headers={name: value for name, value in self.headers.items() if name.lower() not in map(str.lower, names)},
        )

    def replaced(self, old: str, new: str) -> Answer:
        """The same answer with another text in its body."""
        return replace(self, body=self.body.replace(old.encode(), new.encode()))


Handle = Callable[[Request], Answer]


class HttpServer:
    """Listens on a free port of 127.0.0.1 and has every request answered by `handle`. Use as a context manager."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> HttpServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, ValueError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = connection.makefile("rb", buffering=1 << 20)
            while (request := _read(stream, connection)) is not None:
                if not _send(connection, request, self._handle(request)):
                    break
        with self._lock:
            self._connections.discard(connection)


def _read(stream: object, connection: socket.socket) -> Request | None:
    readline, read = stream.readline, stream.read  # type: ignore[attr-defined]
    first: bytes = readline(_LARGEST_HEAD)
    if not first:
        return None
    method, target, _ = first.decode("latin-1").split(" ", 2)
    headers: dict[str, str] = {}
    while (line := readline(_LARGEST_HEAD).decode("latin-1").rstrip("\r\n")) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = _chunks(readline, read)
    else:
        body = read(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    if parts.netloc:  # a proxy is asked for a whole URL, and makes the Host header of it (RFC 9112, 3.2.2)
        headers["host"] = parts.netloc.removesuffix(":80")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Request(
        method=method,
        target=target,
        headers=headers,
        body=body,
        path=unquote(parts.path, errors="surrogateescape"),
        query=query,
    )


def _chunks(readline: Callable[[], bytes], read: Callable[[int], bytes]) -> bytes:
    pieces = []
    while size := int(readline().split(b";")[0], 16):
        pieces.append(read(size))
        readline()
    while readline().strip():
        pass
    return b"".join(pieces)


def _send(connection: socket.socket, request: Request, answer: Answer) -> bool:
    """Send the answer; whether the connection goes on."""
    if answer.hang_up:
        return False
    named = {name.lower() for name in answer.headers}
    lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Answer')}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    if "date" not in named:
        lines.append(f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S GMT', time.gmtime())}")
    has_no_body = request.method == "HEAD" or answer.status in (204, 304)
    if answer.chunked and not has_no_body:
        lines.append("Transfer-Encoding: chunked")
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(answer.body), answer.body) if answer.body else b"0\r\n\r\n"
    else:
        if "content-length" not in named and not (has_no_body and request.method != "HEAD"):
            lines.append(f"Content-Length: {len(answer.body)}")
        body = b"" if has_no_body else answer.body
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    connection.sendall(head + body[: answer.cut])
    return answer.cut is None
