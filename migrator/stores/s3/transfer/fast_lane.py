"""The fast lane: requests for small raw files by libcurl, many in flight in one thread.

It carries only what goes right: whole small objects, answered as expected and proven. Everything else is declined, and goes by boto3.
boto3 costs 1 to 2 ms of CPU a file and gets slower with threads; this costs a tenth. What is asked, and what an answer proves, is a
`Job`'s: copies in `fast_lane_transfers`, proofs in `fast_lane_proofs`.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import pycurl

from migrator.core.entities import Entry, RawFile
from migrator.core.errors import MigratorError, Unavailable
from migrator.core.outcomes import Outcome, Result, Step
from migrator.core.protocols import Receipt, SinkAnswer
from migrator.core.size_thresholds import SMALL_UP_TO
from migrator.stores.s3.http.curl import NO_HEADERS_OF_CURL, CurlClient, HttpResponse, Route, answer_to
from migrator.stores.s3.http.curl_loop import CurlLoop
from migrator.stores.s3.http.signing import Signer, encoded_key
from migrator.stores.s3.parsing.etags import clean_etag
from migrator.stores.s3.transfer.object_reads import ObjectAddress
from migrator.transfer.adaptive_concurrency import AdaptiveConcurrency
from migrator.transfer.file_copier import Stored
from migrator.transfer.retry import RetryPolicy

_BYTES_UNDER_WAY = 32 << 20
_ENDED_AT_MOST = 256
_ETAG = re.compile(rb"(?im)^etag:[ \t]*([^\r\n]*)")
_SLOW_DOWN = (408, 425, 429)
"""Beside these, every status from 500 on asks for fewer requests at a time."""

Carried = Stored | SinkAnswer | tuple[object, str, Step]


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

    def begin(self, raw_file: RawFile, step: Step) -> ObjectRequest | Result | None:
        """The first request; or what is known without one. None where the raw file is none for this job."""
        ...


class _Request:
    """A curl handle and what is in flight on it."""

    __slots__ = ("began", "body", "call", "curl", "headers", "kind", "raw_file", "step", "ticket")

    ticket: object
    raw_file: RawFile
    step: Step
    call: ObjectRequest
    began: float

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


class SmallObjectLane:
    """Used by one thread. `largest_window` bounds how many raw files it has in flight."""

    def __init__(self, job: Job, wire: CurlClient, *, patience: RetryPolicy, largest_window: int) -> None:
        """`patience` is told of each raw file that goes all its way: the server is there, and lets us."""
        self._job = job
        self._patience = patience
        self._pace = AdaptiveConcurrency(largest_window)
        self._loop = CurlLoop(largest_window)
        self._idle: dict[tuple[int, str, str], list[_Request]] = {}
        self._requests: dict[Any, _Request] = {}
        self._signers: dict[tuple[int, Route], Signer] = {}
        self._ended: list[Carried] = []
        self._bytes = 0
        self._throttle = wire.throttle
        self._paid_at = 0.0
        self.under_way = 0

    @property
    def has_room(self) -> bool:
        """Return True if requests in flight, unfetched answers and bytes in memory leave room, and the rate allows it."""
        sent = self.under_way - len(self._ended)
        is_free = sent < self._pace.window and len(self._ended) < _ENDED_AT_MOST and self._bytes < _BYTES_UNDER_WAY
        return is_free and not (self._paid_at and self._throttle.seconds_until(self._paid_at))

    def submit(self, ticket: object, organization: str, step: Step) -> bool:
        """Begin with a raw file and send its request; False for one that is not for this lane, or fails here: nothing was begun."""
        raw_file = RawFile(organization, step.source.raw_id)
        try:
            begun = self._job.begin(raw_file, step)
            if begun is None:
                return False
            if isinstance(begun, ObjectRequest):
                self._send(begun, ticket, raw_file, step, time.monotonic())
            else:
                self._ended.append(SinkAnswer(ticket, begun))
        except MigratorError:
            return False
        self.under_way += 1
        return True

    def carried(self, timeout: float) -> list[Carried]:
        """What has ended; waits up to `timeout` seconds for the first."""
        unpaid = self._throttle.seconds_until(self._paid_at) if self._paid_at else 0.0
        timeout = min(timeout, unpaid) if unpaid else timeout
        if self.under_way:
            self._take_ended(0.0 if self._ended else timeout)
        elif unpaid:
            time.sleep(timeout)
        ended, self._ended = self._ended, []
        self.under_way -= len(ended)
        return ended

    def close(self) -> None:
        """Give up requests in flight and close all connections."""
        for request in self._requests.values():
            self._loop.remove(request.curl)
            request.curl.close()
        self._loop.close()

    def _send(self, call: ObjectRequest, ticket: object, raw_file: RawFile, step: Step, began: float) -> None:
        wire = call.wire
        route = wire.route(call.place.bucket)
        signer = self._signers.get((id(wire), route))
        if signer is None:
            signer = self._signers[id(wire), route] = wire.signer(route)
        path = f"{route.base}{encoded_key(call.place.key)}"
        payload = wire.payload_of(call.content or None)
        headers = signer.headers(call.method, route.host, path, payload=payload, more=call.more)
        kind = (id(wire), route.origin, call.method)
        idle = self._idle.setdefault(kind, [])
        request = idle.pop() if idle else _Request(wire.handle(route, 2 * SMALL_UP_TO), call.method, kind)
        for buffer in (request.headers, request.body):
            buffer.seek(0)
            buffer.truncate()
        request.ticket, request.raw_file, request.step = ticket, raw_file, step
        request.call, request.began = call, began
        curl = request.curl
        curl.setopt(pycurl.URL, f"{route.origin}{path}")
        curl.setopt(pycurl.HTTPHEADER, [*headers, *NO_HEADERS_OF_CURL])
        if call.method == "PUT":
            curl.setopt(pycurl.POSTFIELDS, call.content)
        self._requests[curl] = request
        self._bytes += call.size + call.held
        if self._throttle.is_on:
            self._paid_at = self._throttle.charge(call.size, requests=1)
        self._loop.add(curl)

    def _take_ended(self, timeout: float) -> None:
        clean = 0
        for curl, answered in self._loop.wait(timeout):
            self._loop.remove(curl)
            request = self._requests.pop(curl)
            self._bytes -= request.call.size + request.call.held
            clean += self._end(request, answered=answered)
        if clean:
            self._pace.answered(clean)

    def _end(self, request: _Request, *, answered: bool) -> bool:
        """Go on with what a request came to; True if that is the raw file's end, and a good one."""
        ticket, raw_file, step, began = request.ticket, request.raw_file, request.step, request.began
        if answered:
            ended = self._finished(request)
        else:
            ended = step
            request.curl.close()
            self._pace.throttled()
        if isinstance(ended, ObjectRequest):
            try:
                self._send(ended, ticket, raw_file, step, began)
            except MigratorError:
                ended = step
            else:
                return False
        if isinstance(ended, Step):
            self._ended.append((ticket, raw_file.organization, ended))
            return False
        self._patience.carried(began, raw_file.organization)
        if isinstance(ended, Result):
            self._ended.append(SinkAnswer(ticket, ended))
        else:
            self._ended.append(Stored(ticket, raw_file, Result(ended.entry, Outcome.COPIED), ended.receipt))
        return True

    def _finished(self, request: _Request) -> Ended:
        """What the answer proves; the step itself where it proves nothing."""
        call = request.call
        answer = answer_to(request.curl, request.headers.getvalue(), request.body.getvalue())
        self._idle[request.kind].append(request)
        if answer.status in _SLOW_DOWN or answer.status >= 500:
            self._pace.throttled()
        elif 200 <= answer.status < 300 or answer.status in call.expects:  # some servers answer 201, 202 or 204
            try:
                return call.finish(answer)
            except Unavailable:
                self._pace.throttled()
            except MigratorError:
                pass  # the careful lane meets it too, and knows what it means
        return request.step


def etag_of(answer: HttpResponse) -> str | None:
    """The answer's ETag without quotes, None without one."""
    found = _ETAG.findall(answer.headers)
    return clean_etag(found[-1].decode("ascii", "replace").strip()) if found else None
