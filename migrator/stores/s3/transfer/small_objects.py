"""The fast lane: requests for small raw files by libcurl, many in flight in one thread.

It carries only what goes right: whole small objects, answered as expected and proven. Everything else is declined, and goes by boto3.
boto3 costs 1 to 2 ms of CPU a file and gets slower with threads; this costs a tenth. What is asked, and what an answer proves, is a
`Job`'s: copies in `small_copies`, proofs in `small_proofs`.
"""

from __future__ import annotations

import io
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import pycurl

from migrator.core.entities import Entry, RawFile
from migrator.core.errors import MigratorError, Unavailable
from migrator.core.outcomes import Outcome, Result, Step
from migrator.core.protocols import Receipt, SinkAnswer
from migrator.core.size_classes import SMALL_UP_TO
from migrator.stores.s3.http.curl import NO_HEADERS_OF_CURL, CurlClient, HttpResponse, Route, answer_to, encoded_key
from migrator.stores.s3.http.curl_loop import CurlLoop
from migrator.stores.s3.http.signing import Signer
from migrator.stores.s3.parsing.etags import clean_etag
from migrator.stores.s3.transfer.object_requests import ObjectAddress
from migrator.transfer.adaptive_concurrency import AdaptiveConcurrency
from migrator.transfer.file_copier import Settled, Stored

_BYTES_UNDER_WAY = 32 << 20
_ENDED_AT_MOST = 256
_ETAG = re.compile(rb"(?im)^etag:[ \t]*([^\r\n]*)")
_SLOW_DOWN = (408, 425, 429)
"""Beside these, every status from 500 on asks for fewer requests at a time."""

Carried = Stored | Settled | SinkAnswer | tuple[object, str, Step]


class Arrived(NamedTuple):
    """Content that is at the target, proven. `entry` is the source as it was read."""

    entry: Entry
    receipt: Receipt


class ObjectRequest(NamedTuple):
    """A request for one raw file.

    `finish` says what its answer proves: content that arrived, an outcome, the next request for the same raw file, or a step, which
    declines the raw file; so does a MigratorError. It is given answers with a status of 2xx, and those of `expects`.
    `more`: headers with lower-case names. `size`: bytes of content that pass, of which memory and `--bandwidth` are thought.
    """

    wire: CurlClient
    method: str
    place: ObjectAddress
    more: dict[str, str]
    finish: Callable[[HttpResponse], Ended]
    size: int = 0
    content: bytes = b""
    held: int = 0
    """Bytes that `finish` keeps in memory besides."""
    expects: tuple[int, ...] = ()


Ended = Arrived | Result | ObjectRequest | Step


class Job(Protocol):
    """What the lane is for: which raw files, and the first request for each. Whatever raises a MigratorError is declined."""

    def takes(self, step: Step) -> bool:
        """Return True if this job can do the step; must be cheap, and ask nobody."""
        ...

    def begin(self, raw_file: RawFile, step: Step) -> ObjectRequest | Result | None:
        """The first request; or what is known without one. None declines the raw file."""
        ...


class _Request:
    """A curl handle and what is in flight on it."""

    __slots__ = ("began", "body", "call", "curl", "headers", "kind", "raw_file", "step", "ticket")

    def __init__(self, curl: Any, method: str, kind: tuple[int, str, str]) -> None:
        self.curl = curl
        self.kind = kind
        self.body = io.BytesIO()
        self.headers = io.BytesIO()
        curl.setopt(pycurl.HEADERFUNCTION, self.headers.write)
        curl.setopt(pycurl.WRITEFUNCTION, self.body.write)
        if method == "HEAD":
            curl.setopt(pycurl.NOBODY, 1)
        elif method != "GET":
            curl.setopt(pycurl.CUSTOMREQUEST, method)

    def is_for(self, ticket: object, raw_file: RawFile, step: Step, call: ObjectRequest, began: float) -> None:
        for buffer in (self.headers, self.body):
            buffer.seek(0)
            buffer.truncate()
        self.ticket, self.raw_file, self.step, self.call, self.began = ticket, raw_file, step, call, began

    def answer(self) -> HttpResponse:
        return answer_to(self.curl, self.headers.getvalue(), self.body.getvalue())


class SmallObjectLane:
    """Used by one thread. `largest_window` bounds how many raw files it has in flight."""

    def __init__(self, job: Job, wire: CurlClient, *, largest_window: int) -> None:
        self._job = job
        self._pace = AdaptiveConcurrency(largest_window)
        self._loop = CurlLoop(largest_window)
        self._idle: dict[tuple[int, str, str], list[_Request]] = {}
        self._requests: dict[Any, _Request] = {}
        self._signers: dict[tuple[int, Route], Signer] = {}
        self._ended: deque[Carried] = deque()
        self._bytes = 0
        self._throttle = wire.throttle
        self._paid_at = 0.0
        self.under_way = 0

    @property
    def has_room(self) -> bool:
        """Return True if requests in flight, unfetched answers and bytes in memory leave room, and the rate allows it."""
        sent = self.under_way - len(self._ended)
        is_free = sent < self._pace.window and len(self._ended) < _ENDED_AT_MOST and self._bytes < _BYTES_UNDER_WAY
        return is_free and not self._throttle.seconds_until(self._paid_at)

    def takes(self, step: Step) -> bool:
        """Return True if its job can do the step."""
        return self._job.takes(step)

    def submit(self, ticket: object, organization: str, step: Step) -> None:
        """Begin with a raw file and send its request; what fails here is answered as left to the file copier."""
        self.under_way += 1
        raw_file = RawFile(organization, step.source.raw_id)
        try:
            begun = self._job.begin(raw_file, step)
            if isinstance(begun, ObjectRequest):
                self._send(begun, ticket, raw_file, step, time.monotonic())
                return
        except MigratorError:
            begun = None
        self._ended.append((ticket, organization, step) if begun is None else SinkAnswer(ticket, begun))

    def carried(self, timeout: float) -> Iterator[Carried]:
        """What has ended; waits up to `timeout` seconds for the first."""
        unpaid = self._throttle.seconds_until(self._paid_at) if self._paid_at else 0.0
        timeout = min(timeout, unpaid) if unpaid else timeout
        if self.under_way:
            self._take_ended(0.0 if self._ended else timeout)
        elif unpaid:
            time.sleep(timeout)
        while self._ended:
            self.under_way -= 1
            yield self._ended.popleft()

    def close(self) -> None:
        """Give up requests in flight and close all connections."""
        for request in self._requests.values():
            self._loop.remove(request.curl)
            request.curl.close()
        self._loop.close()

    def _send(self, call: ObjectRequest, ticket: object, raw_file: RawFile, step: Step, began: float) -> None:
        route = call.wire.route(call.place.bucket)
        path = f"{route.base}{encoded_key(call.place.key)}"
        headers = self._headers(route, path, call)
        kind = (id(call.wire), route.origin, call.method)
        idle = self._idle.setdefault(kind, [])
        request = idle.pop() if idle else _Request(call.wire.handle(route, 2 * SMALL_UP_TO), call.method, kind)
        request.is_for(ticket, raw_file, step, call, began)
        curl = request.curl
        curl.setopt(pycurl.URL, f"{route.origin}{path}")
        curl.setopt(pycurl.HTTPHEADER, headers)
        if call.method == "PUT":
            curl.setopt(pycurl.POSTFIELDS, call.content)
        self._requests[curl] = request
        self._bytes += call.size + call.held
        self._paid_at = self._throttle.charge(call.size, requests=1)
        self._loop.add(curl)

    def _headers(self, route: Route, path: str, call: ObjectRequest) -> list[str]:
        place = (id(call.wire), route)
        signer = self._signers.get(place)
        if signer is None:
            signer = self._signers[place] = call.wire.signer(route)
        payload = call.wire.payload_of(call.content or None)
        lines = signer.headers(call.method, route.host, path, payload=payload, more=call.more)
        return [*lines, *NO_HEADERS_OF_CURL]

    def _take_ended(self, timeout: float) -> None:
        clean = 0
        for curl, answered in self._loop.wait(timeout):
            clean += self._end(self._released(curl), answered=answered)
        if clean:
            self._pace.answered(clean)

    def _released(self, curl: Any) -> _Request:
        self._loop.remove(curl)
        request = self._requests.pop(curl)
        self._bytes -= request.call.size + request.call.held
        return request

    def _end(self, request: _Request, *, answered: bool) -> bool:
        """Take what a request came to; True for a clean success."""
        call, step = request.call, request.step
        ended: Ended = step
        if answered:
            answer = request.answer()
            self._idle[request.kind].append(request)
            if answer.status in _SLOW_DOWN or answer.status >= 500:
                self._pace.throttled()
            elif 200 <= answer.status < 300 or answer.status in call.expects:
                ended = self._finished(call, answer, step)  # some servers answer 201, 202 or 204
        else:
            request.curl.close()
            self._pace.throttled()
        return self._take(ended, request.ticket, request.raw_file, step, request.began)

    def _finished(self, call: ObjectRequest, answer: HttpResponse, step: Step) -> Ended:
        try:
            return call.finish(answer)
        except Unavailable:
            self._pace.throttled()
        except MigratorError:
            pass  # the careful lane meets it too, and knows what it means
        return step

    def _take(self, ended: Ended, ticket: object, raw_file: RawFile, step: Step, began: float) -> bool:
        """Go on with what a raw file came to; True if that is its end, and a good one."""
        if isinstance(ended, ObjectRequest):
            try:
                self._send(ended, ticket, raw_file, step, began)
            except MigratorError:
                self._ended.append((ticket, raw_file.organization, step))
            return False
        if isinstance(ended, Step):
            self._ended.append((ticket, raw_file.organization, ended))
            return False
        if isinstance(ended, Arrived):
            result = Result(ended.entry, Outcome.COPIED)
            self._ended.append(Stored(ticket, raw_file, result, ended.receipt, began))
        else:
            self._ended.append(Settled(ticket, raw_file, ended, began))
        return True


def etag_of(answer: HttpResponse) -> str | None:
    """The answer's ETag without quotes, None without one."""
    found = _ETAG.findall(answer.headers)
    return clean_etag(found[-1].decode("ascii", "replace").strip()) if found else None
