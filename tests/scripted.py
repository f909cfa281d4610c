"""A tiny HTTP server that answers what a test tells it to, and keeps what it was asked."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from migrator.config.locations import S3Access, S3Location, Secret
from migrator.core.naming import SingleBucket
from tests.servers import SECRET_MARK


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """`cut` sends only so many bytes of the body and then breaks off; status 0 breaks off without any answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None


Script = Callable[[Asked, int], Reply]
"""The reply to a request and its number, from 0."""


@dataclass
class Scripted:
    """The server, as long as the test wants it."""

    url: str
    asked: list[Asked]

    def location(self, bucket: str = "bucket") -> S3Location:
        access = S3Access(
            endpoint_url=self.url,
            region="us-east-1",
            access_key_id="AKSCRIPTED",
            secret_access_key=Secret(f"{SECRET_MARK}-secret"),
            session_token=Secret(f"{SECRET_MARK}-token"),
        )
        return S3Location(naming=SingleBucket(bucket), access=access)


@contextlib.contextmanager
def scripted(script: Script) -> Iterator[Scripted]:
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            request = Asked(self.command, self.path, dict(self.headers), self.rfile.read(length))
            asked.append(request)
            reply = script(request, len(asked) - 1)
            if not reply.status:
                self.close_connection = True
                return
            self.send_response_only(reply.status)
            self.send_header("Content-Length", reply.headers.get("Content-Length", str(len(reply.body))))
            for name, value in reply.headers.items():
                if name != "Content-Length":
                    self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body[: reply.cut])
            if reply.cut is not None:
                self.close_connection = True

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer

        def log_message(self, format: str, *args: object) -> None:
            """Tests print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield Scripted(f"http://127.0.0.1:{server.server_address[1]}", asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def always(reply: Reply) -> Script:
    return lambda asked, number: reply


def in_turn(*replies: Reply) -> Script:
    """One after the other; the last one for ever."""
    return lambda asked, number: replies[min(number, len(replies) - 1)]


def page(
    *keys: str, bucket: str = "bucket", truncated: str = "false", token: str = "", etag: str = "&quot;e&quot;"
) -> Reply:
    """A page of ListObjectsV2."""
    contents = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>"
        f"<ETag>{etag}</ETag><Size>3</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for key in keys
    )
    following = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{bucket}</Name><Prefix></Prefix><KeyCount>{len(keys)}</KeyCount><MaxKeys>1000</MaxKeys>"
        f"<IsTruncated>{truncated}</IsTruncated>{following}{contents}</ListBucketResult>"
    )
    return Reply(200, text.encode(), {"Content-Type": "application/xml"})


def error(status: int, code: str) -> Reply:
    text = f"<Error><Code>{code}</Code><Message>text of the server</Message></Error>"
    return Reply(status, text.encode(), {"Content-Type": "application/xml"})
