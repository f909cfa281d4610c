"""A proxy before an S3 server that does to requests what rules tell it: break off, answer nonsense, damage, stall, redirect.

It speaks HTTP/1.1, over TLS if it is given a certificate, and passes ``Host`` and everything else on as it came, so signatures stay
valid. Each connection has a thread; which request is hit depends on its method, its path and how often that was asked, never on which
thread came first.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import re
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from tests.servers import S3Server

LISTING = r"[?&]list-type=2"
RAW_FILE = r"/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
"""Whole raw files: neither the first look's tiny object nor parts of uploads."""

CONTENT = r"/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}($|\?(.*&)?partNumber=)"
"""Whole raw files and parts of them."""

_NOT_PASSED_ON = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect"}
_WITHOUT_BODY = (204, 304)
_LONGEST_LINE = 1 << 16

Headers = tuple[tuple[str, str], ...]


class Ended(Exception):
    """Nothing more is to be done on this connection."""


@dataclass(frozen=True)
class Reply:
    """What a client is answered. `length` is what Content-Length says: None leaves it off, and the end of the connection ends the body."""

    status: int
    headers: Headers = ()
    body: bytes = b""
    length: int | None = -1

    def header(self, name: str) -> str:
        return next((value for known, value in self.headers if known.lower() == name.lower()), "")

    def with_header(self, name: str, value: str) -> Reply:
        others = tuple(pair for pair in self.headers if pair[0].lower() != name.lower())
        return replace(self, headers=(*others, (name, value)))

    def with_body(self, body: bytes) -> Reply:
        return replace(self, body=body, length=-1)


Fault = Callable[["Exchange"], None]
"""Does with one request as it likes. Whatever it neither answered nor ended is closed."""


@dataclass(frozen=True)
class Rule:
    """When a fault happens: the first rule that hits decides, and all that fit have counted the request.

    `method` "" is any; `path` is searched in path and query; `nth` counts (from 1) the requests that both fit; `tries` only the first so
    many of each path, so that trying again helps; `probability` is decided by `seed`, method, the name at the path's end and its count.
    """

    fault: Fault
    method: str = ""
    path: str = ""
    nth: frozenset[int] = frozenset()
    tries: int = 0
    probability: float = 1.0
    seed: int = 0
    name: str = ""


@dataclass
class Seen:
    """What passed: requests and bytes of bodies by method, and how often each fault happened, by its rule's name."""

    requests: Counter[str] = field(default_factory=Counter)
    bytes_up: Counter[str] = field(default_factory=Counter)
    bytes_down: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    contents: Counter[str] = field(default_factory=Counter)
    """Bytes of raw files' own contents, parts included, "up" and "down"."""
    agents: Counter[str] = field(default_factory=Counter)
    """Requests by the first word of User-Agent, in lower case without version: "pycurl", "boto3"."""
    log: list[tuple[str, str, str]] = field(default_factory=list)
    """(method, path and query, the fault's name or "")"""


@dataclass
class Proxy:
    """`server` is the one behind it, to be reached through it. Rules may be changed at any time."""

    server: S3Server
    behind: S3Server
    rules: Sequence[Rule] = ()
    tls: ssl.SSLContext | None = None
    env: dict[str, str] = field(default_factory=dict)
    """What a client needs beside the server's own settings: the CA's certificates."""
    seen: Seen = field(default_factory=Seen)
    ended: threading.Event = field(default_factory=threading.Event)
    _fitting: Counter[int] = field(default_factory=Counter)
    _asked: Counter[tuple[int, str, str]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _open: set[socket.socket] = field(default_factory=set)

    def client(self) -> Any:
        """A boto3 client that reaches the server without this proxy."""
        return self.behind.client()

    def calm(self) -> None:
        """No faults from here on."""
        self.rules = ()

    def choose(self, method: str, target: str, agent: str = "") -> Rule | None:
        with self._lock:
            self.seen.requests[method] += 1
            self.seen.agents[agent.partition("/")[0].lower()] += 1
            chosen = next(iter([rule for rule in self.rules if self._hits(rule, method, target)]), None)
            name = (chosen.name or getattr(chosen.fault, "__name__", "fault")) if chosen is not None else ""
            if chosen is not None:
                self.seen.faults[name] += 1
            self.seen.log.append((method, target, name))
            return chosen

    def count_bytes(self, direction: str, exchange: Exchange, count: int) -> None:
        counter = self.seen.bytes_up if direction == "up" else self.seen.bytes_down
        with self._lock:
            counter[exchange.method] += count
            if re.search(CONTENT, exchange.target):
                self.seen.contents[direction] += count

    def _hits(self, rule: Rule, method: str, target: str) -> bool:
        if (rule.method and rule.method != method) or not re.search(rule.path, target):
            return False
        self._fitting[id(rule)] += 1
        key = (id(rule), method, target)
        self._asked[key] += 1
        if rule.nth and self._fitting[id(rule)] not in rule.nth:
            return False
        if rule.tries and self._asked[key] > rule.tries:
            return False
        if rule.probability >= 1:
            return True
        name = target.rpartition("/")[2]  # buckets are called differently each time
        return random.Random(f"{rule.seed} {method} {name} {self._asked[key]}").random() < rule.probability

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open.add(client)
            threading.Thread(target=self._converse, args=(client,), daemon=True).start()

    def close(self) -> None:
        self.ended.set()
        with self._lock:
            left, self._open = self._open, set()
        for one in left:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _converse(self, client: socket.socket) -> None:
        address = urlsplit(self.behind.endpoint_url).netloc
        upstream = http.client.HTTPConnection(address, timeout=60)
        try:
            client = self.tls.wrap_socket(client, server_side=True) if self.tls is not None else client
        except OSError:  # a certificate that the client does not trust, say
            client.close()
            return
        try:
            with client, client.makefile("rb") as received, contextlib.suppress(Ended, OSError):
                while (exchange := Exchange.begun(self, client, received, upstream)) is not None:
                    exchange.run()
        finally:
            upstream.close()
            with self._lock:
                self._open.discard(client)


class Exchange:
    """One request and what becomes of it. Its body is read when it is asked for."""

    def __init__(
        self, proxy: Proxy, client: socket.socket, received: BinaryIO, upstream: http.client.HTTPConnection
    ) -> None:
        self.proxy = proxy
        self.method, self.target = "", ""
        self.headers: Headers = ()
        self._client = client
        self._received = received
        self._upstream = upstream
        self._left = 0
        self._answered = False

    @classmethod
    def begun(
        cls, proxy: Proxy, client: socket.socket, received: BinaryIO, upstream: http.client.HTTPConnection
    ) -> Exchange | None:
        """The next request on a connection, None at its end."""
        line = received.readline(_LONGEST_LINE).decode("latin-1")
        if not line.strip():
            return None
        exchange = cls(proxy, client, received, upstream)
        exchange.method, exchange.target, _ = line.split(" ", 2)
        headers = []
        while stripped := (line := received.readline(_LONGEST_LINE).decode("latin-1")).rstrip("\r\n"):
            name, _, value = stripped.partition(":")
            headers.append((name, value.strip()))
        if not line:  # the client is gone: half a request is none
            return None
        exchange.headers = tuple(headers)
        exchange._left = int(exchange.header("content-length") or 0)
        return exchange

    def header(self, name: str) -> str:
        return next((value for known, value in self.headers if known.lower() == name.lower()), "")

    def run(self) -> None:
        rule = self.proxy.choose(self.method, self.target, self.header("user-agent"))
        if rule is None:
            self.reply(self.forward())
            return
        rule.fault(self)
        if not self._answered:
            raise Ended

    # --- what faults are made of

    def body(self) -> bytes:
        """What is left of the request's body."""
        return self.some_of_body(self._left)

    def some_of_body(self, count: int) -> bytes:
        if self._left and "100-continue" in self.header("expect").lower():
            self._client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        wanted = min(count, self._left)
        data = self._received.read(wanted)
        self._left -= len(data)
        self.proxy.count_bytes("up", self, len(data))
        if len(data) < wanted:  # the client is gone: what it did not say whole must not reach the server as if it had
            raise Ended
        return data

    def forward(self, body: bytes | None = None) -> Reply:
        """Send the request on, with this body instead of its own, and take the whole answer. Once more if the server had hung up."""
        data = self.body() if body is None else body
        for is_last in (False, True):
            try:
                return self._forwarded(data)
            except (OSError, http.client.HTTPException):
                self._upstream.close()
                if is_last:
                    raise Ended from None
        raise AssertionError("unreachable")

    def reply(self, reply: Reply) -> None:
        """Answer, and go on with the connection if that is possible."""
        self._read_the_rest()
        self.send_head(reply)
        if self.method != "HEAD" and reply.status not in _WITHOUT_BODY:
            self.send(reply.body)
        self._answered = True
        if reply.length is None:
            raise Ended

    def send_head(self, reply: Reply) -> None:
        reason = http.client.responses.get(reply.status, "Unknown")
        lines = [f"HTTP/1.1 {reply.status} {reason}"]
        lines += [f"{name}: {value}" for name, value in reply.headers if name.lower() not in _NOT_PASSED_ON]
        if reply.length is None:
            lines.append("Connection: close")
        elif self.method == "HEAD":
            lines.append(f"Content-Length: {reply.header('content-length') or 0}")
        elif reply.status not in _WITHOUT_BODY:
            lines.append(f"Content-Length: {len(reply.body) if reply.length < 0 else reply.length}")
        self._client.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def send(self, data: bytes) -> None:
        self._client.sendall(data)
        self.proxy.count_bytes("down", self, len(data))

    def reset(self) -> None:
        """Break the connection off with RST."""
        self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Ended

    def hang_up(self) -> None:
        """End the connection with FIN."""
        raise Ended

    def _read_the_rest(self) -> None:
        """An answer that comes before the whole request would leave the rest to be read as the next one."""
        if self._left:
            self.body()

    def _forwarded(self, data: bytes) -> Reply:
        self._upstream.putrequest(self.method, self.target, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers:
            if name.lower() not in _NOT_PASSED_ON:
                self._upstream.putheader(name, value.encode("latin-1"))
        if data or self.header("content-length"):
            self._upstream.putheader("Content-Length", str(len(data)))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may have answered before it had all
            self._upstream.endheaders(data or None)
        answer = self._upstream.getresponse()
        return Reply(answer.status, tuple(answer.getheaders()), answer.read())


@contextlib.contextmanager
def proxy_before(
    server: S3Server, *rules: Rule, tls: ssl.SSLContext | None = None, env: Mapping[str, str] | None = None
) -> Iterator[Proxy]:
    """`tls` makes it speak https; `env` is then what makes a client trust it."""
    scheme = "http" if tls is None else "https"
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        port = listener.getsockname()[1]
        reached = replace(server, endpoint_url=f"{scheme}://127.0.0.1:{port}")
        proxy = Proxy(reached, server, rules, tls, dict(env or {}))
        thread = threading.Thread(target=proxy.serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            proxy.close()


# --- answers that the server never gave ------------------------------------------------------------------------------


def error(status: int, code: str, *headers: tuple[str, str]) -> Reply:
    text = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>told by a rule</Message></Error>'
    return Reply(status, (("Content-Type", "application/xml"), *headers), text.encode())


SLOW_DOWN = error(503, "SlowDown")
TOO_MANY = error(429, "TooManyRequests", ("Retry-After", "1"))
INTERNAL_ERROR = error(500, "InternalError")
BAD_GATEWAY = Reply(502, (("Content-Type", "text/html"),), b"<html><body>Bad Gateway</body></html>")
EMPTY = Reply(200)
HTML = Reply(
    200, (("Content-Type", "text/html"),), b"<html><head><title>Sign in</title></head><body>Wifi</body></html>"
)


def answer(reply: Reply) -> Fault:
    """Without asking the server."""
    return lambda exchange: exchange.reply(reply)


def redirect(status: int, to: str) -> Fault:
    """`to` is the other server's URL; the path is kept."""

    def send_elsewhere(exchange: Exchange) -> None:
        code = {301: "PermanentRedirect", 307: "TemporaryRedirect"}.get(status, "Redirect")
        exchange.reply(error(status, code, ("Location", f"{to}{exchange.target}")))

    return send_elsewhere


# --- broken connections ----------------------------------------------------------------------------------------------


def reset_before_answer(exchange: Exchange) -> None:
    exchange.body()
    exchange.reset()


def hang_up_before_answer(exchange: Exchange) -> None:
    """As a server does that closes an idle connection in the moment in which it is used."""
    exchange.hang_up()


def hang_up_after_answer(exchange: Exchange) -> None:
    """Keep-alive was promised, and is not kept."""
    exchange.reply(exchange.forward())
    exchange.hang_up()


def lost_answer(exchange: Exchange) -> None:
    """The server did what it was asked; nobody hears of it."""
    exchange.forward()
    exchange.reset()


def reset_in_request(after: int = 1) -> Fault:
    def break_off_upwards(exchange: Exchange) -> None:
        exchange.some_of_body(after)
        exchange.reset()

    return break_off_upwards


def reset_in_answer(share: float = 0.5) -> Fault:
    def break_off_downwards(exchange: Exchange) -> None:
        reply = exchange.forward()
        exchange.send_head(reply)
        exchange.send(reply.body[: int(len(reply.body) * share)])
        exchange.reset()

    return break_off_downwards


def cut(share: float = 0.5, *, tells_length: bool = True) -> Fault:
    """The body ends early, and orderly; without a length nobody can tell by HTTP alone."""

    def end_early(exchange: Exchange) -> None:
        reply = exchange.forward()
        exchange.send_head(reply if tells_length else replace(reply, length=None))
        exchange.send(reply.body[: int(len(reply.body) * share)])
        exchange.hang_up()

    return end_early


def add(extra: bytes, *, tells_length: bool = True) -> Fault:
    """More bytes than the object has."""

    def go_on_too_long(exchange: Exchange) -> None:
        reply = exchange.forward()
        longer = reply.with_body(reply.body + extra)
        exchange.reply(longer if tells_length else replace(longer, length=None))

    return go_on_too_long


def stall(exchange: Exchange) -> None:
    """Neither an answer nor an end, until the proxy ends."""
    exchange.body()
    exchange.proxy.ended.wait()


def slowly(seconds_a_byte: float) -> Fault:
    """The answer's body, byte by byte."""

    def trickle(exchange: Exchange) -> None:
        reply = exchange.forward()
        exchange.send_head(reply)
        for index in range(len(reply.body)):
            exchange.send(reply.body[index : index + 1])
            if exchange.proxy.ended.wait(seconds_a_byte):
                exchange.hang_up()
        exchange.hang_up()

    return trickle


def after(seconds: float) -> Fault:
    """The right answer, late."""

    def wait_and_answer(exchange: Exchange) -> None:
        reply = exchange.forward()
        exchange.proxy.ended.wait(seconds)
        exchange.reply(reply)

    return wait_and_answer


# --- damage ----------------------------------------------------------------------------------------------------------


def flipped(data: bytes) -> bytes:
    """One bit in the middle is another."""
    if not data:
        return data
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1 :]


def flip_in_request(exchange: Exchange) -> None:
    exchange.reply(exchange.forward(flipped(exchange.body())))


def flip_in_answer(exchange: Exchange) -> None:
    reply = exchange.forward()
    exchange.reply(reply.with_body(flipped(reply.body)))


def wrong_etag(exchange: Exchange) -> None:
    exchange.reply(exchange.forward().with_header("ETag", f'"{"0" * 31}1"'))


def no_etag(exchange: Exchange) -> None:
    reply = exchange.forward()
    exchange.reply(replace(reply, headers=tuple(pair for pair in reply.headers if pair[0].lower() != "etag")))


def changed_body(change: Callable[[bytes], bytes]) -> Fault:
    def change_answer(exchange: Exchange) -> None:
        reply = exchange.forward()
        exchange.reply(reply.with_body(change(reply.body)))

    return change_answer


def emptied_etags(exchange: Exchange) -> None:
    """A listing without ETags, as JuiceFS' gateway gives it."""
    reply = exchange.forward()
    exchange.reply(reply.with_body(re.sub(rb"<ETag>[^<]*</ETag>", b"", reply.body)))


# --- ranges ----------------------------------------------------------------------------------------------------------


def ignore_range(exchange: Exchange) -> None:
    """The whole object with 200, whatever part was asked for."""
    bucket, _, key = unquote(urlsplit(exchange.target).path).lstrip("/").partition("/")
    exchange.body()
    found = exchange.proxy.client().get_object(Bucket=bucket, Key=key)
    exchange.reply(Reply(200, (("ETag", found["ETag"]),), found["Body"].read()))


def wrong_content_range(exchange: Exchange) -> None:
    """Says that it is another range than was asked for."""
    reply = exchange.forward()
    found = re.match(r"bytes (\d+)-(\d+)/(\d+)", reply.header("content-range"))
    if found is None:
        exchange.reply(reply)
        return
    start, end, size = (int(number) for number in found.groups())
    exchange.reply(reply.with_header("Content-Range", f"bytes {start + 1}-{end + 1}/{size}"))


# --- listings --------------------------------------------------------------------------------------------------------

_CONTENTS = re.compile(rb"<Contents>.*?</Contents>", re.DOTALL)


def _reordered(body: bytes, order: Callable[[list[bytes]], list[bytes]]) -> bytes:
    blocks = _CONTENTS.findall(body)
    if len(blocks) < 2:
        return body
    begin, end = body.index(blocks[0]), body.rindex(blocks[-1]) + len(blocks[-1])
    return body[:begin] + b"".join(order(blocks)) + body[end:]


out_of_order = changed_body(lambda body: _reordered(body, lambda blocks: blocks[::-1]))
duplicated = changed_body(lambda body: _reordered(body, lambda blocks: [*blocks, blocks[-1]]))
truncated_xml = changed_body(lambda body: body[: len(body) * 2 // 3])
of_another_bucket = changed_body(lambda body: re.sub(rb"<Name>[^<]*</Name>", b"<Name>another</Name>", body))
without_token = changed_body(
    lambda body: re.sub(rb"<NextContinuationToken>[^<]*</NextContinuationToken>", b"", body).replace(
        b"<IsTruncated>false<", b"<IsTruncated>true<"
    )
)


def always_the_same_token(exchange: Exchange) -> None:
    """There is more, for ever, and always at the same place."""
    body = re.sub(rb"<NextContinuationToken>[^<]*</NextContinuationToken>", b"", exchange.forward().body)
    body = body.replace(b"<IsTruncated>false</IsTruncated>", b"<IsTruncated>true</IsTruncated>")
    token = b"<NextContinuationToken>again</NextContinuationToken></ListBucketResult>"
    exchange.reply(Reply(200, (("Content-Type", "application/xml"),), body.replace(b"</ListBucketResult>", token)))


def in_turn(*faults: Fault) -> Fault:
    """A different one each time, by the path and how often it was asked: for storms of everything."""

    def one_of_them(exchange: Exchange) -> None:
        number = len(exchange.proxy.seen.log)
        random.Random(f"{exchange.method} {exchange.target} {number}").choice(faults)(exchange)

    return one_of_them
