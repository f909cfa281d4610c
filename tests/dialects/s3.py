"""An honest S3 server in memory, which checks signatures, digests and conditions as S3 does.

A dialect changes single answers of it: see `rows.py`.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from tests.dialects.memory import Memory, refused
from tests.dialects.operations import operation_of
from tests.dialects.served import Served
from tests.dialects.signatures import fault_of
from tests.dialects.wire import Answer, HttpServer, Request
from tests.servers import SECRET_MARK

ACCESS_KEY, SECRET_KEY = "AKDIALECTS", f"{SECRET_MARK}-dialects"


@dataclass(frozen=True)
class Serve:
    """The honest server, for a dialect to ask or not; `unchecked` takes a request that the dialect changed after it was signed."""

    memory: Memory
    checked: Callable[[Request], Answer]
    unchecked: Callable[[Request], Answer]

    def __call__(self, request: Request) -> Answer:
        return self.checked(request)


Dialect = Callable[[Request, Serve], Answer]
"""Answers a request."""


def honestly(request: Request, serve: Serve) -> Answer:
    """The dialect of S3 itself."""
    return serve(request)


class S3Server:
    """The server: `memory` is what it has, `url` where it is."""

    def __init__(self, memory: Memory, dialect: Dialect = honestly, *, checks_signatures: bool = True) -> None:
        self.memory = memory
        self._dialect = dialect
        self._checks_signatures = checks_signatures
        self._lock = threading.Lock()
        self.url = ""

    @contextmanager
    def running(self) -> Iterator[S3Server]:
        with HttpServer(self._answer) as http:
            self.url = f"http://127.0.0.1:{http.port}"
            yield self

    def _answer(self, request: Request) -> Answer:
        request = addressed(request)
        answer = self._dialect(request, Serve(self.memory, self._serve, self._serve_unchecked))
        with self._lock:
            self.memory.asked.append((request, 0 if answer.hang_up else answer.status))
        return answer

    def _serve(self, request: Request) -> Answer:
        """The honest answer. One request at a time, as far as the memory is concerned."""
        if self._checks_signatures and (fault := fault_of(request, ACCESS_KEY, SECRET_KEY)) is not None:
            return refused(*fault)
        given = request.headers.get("content-md5")
        if given is not None and given != base64.b64encode(hashlib.md5(request.body).digest()).decode():
            return refused(400, "BadDigest")
        return self._serve_unchecked(request)

    def _serve_unchecked(self, request: Request) -> Answer:
        serve = getattr(Served(self.memory), request.operation, None)
        with self._lock:
            answer: Answer = refused(501, "NotImplemented") if serve is None else serve(request)
        return answer.with_headers({"x-amz-request-id": "R-DIALECTS"})


def addressed(request: Request) -> Request:
    """The request with its bucket, key and operation, path-style or virtual-hosted (below ``.s3.test``)."""
    host = (urlsplit(request.target).netloc or request.headers.get("host", "")).partition(":")[0]
    path = request.path.lstrip("/")
    if host.endswith(".s3.test"):
        bucket, key = host.removesuffix(".s3.test"), path
    else:
        bucket, _, key = path.partition("/")
    named = replace(request, bucket=bucket, key=key)
    return replace(named, operation=operation_of(named))
