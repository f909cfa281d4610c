"""The bulk lane: small raw files between disk and S3 on libcurl, many at once in one thread.

It carries only what goes right: a whole small file that is answered as expected and proven by its MD5. Everything else is declined, and
goes by boto3. boto3 costs 1 to 2 ms of CPU a file and gets slower with threads; this costs a tenth.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import pycurl

from migrator.core.entities import Entry, RawFile
from migrator.core.errors import MigratorError, NotTheSame
from migrator.core.outcomes import Action, Outcome, Result, Step
from migrator.core.protocols import Answer, Receipt, Target
from migrator.core.size_classes import SMALL_UP_TO
from migrator.stores.disk.source import DiskSource
from migrator.stores.s3.http.curl import NO_HEADERS_OF_CURL, Route, Wire, encoded_key
from migrator.stores.s3.http.signing import Signer
from migrator.stores.s3.parsing.etags import clean_etag, quoted
from migrator.stores.s3.source import S3Receipt, S3Source, S3Target
from migrator.stores.s3.transfer.single import Place
from migrator.transfer.adaptive_concurrency import Pace
from migrator.transfer.equality import is_plain_md5
from migrator.transfer.file_copier import Stored

_BYTES_UNDER_WAY = 32 << 20
_ENDED_AT_MOST = 256
_ETAG = re.compile(rb"(?im)^etag:[ \t]*([^\r\n]*)")
_SLOW_DOWN = (408, 425, 429)
"""Beside these, every status from 500 on asks for fewer requests at a time."""

Carried = Stored | Answer | tuple[object, str, Step]


class Call(NamedTuple):
    """What to send for a step. `digest` is the content's MD5 in hex; `entry` the source as it was read."""

    method: str
    place: Place
    content: bytes
    more: dict[str, str]
    digest: str
    entry: Entry


class Job(Protocol):
    """One direction of the lane: what to ask, and what to make of the answer. Whatever raises a MigratorError is declined."""

    wire: Wire
    method: str

    def takes(self, step: Step) -> bool: ...

    def holds_same(self, raw_file: RawFile, step: Step) -> bool:
        """Whether the disk's content has the MD5 that is the object's ETag. False proves nothing: the careful lane then looks."""
        ...

    def begin(self, raw_file: RawFile, step: Step) -> Call: ...

    def finish(self, raw_file: RawFile, call: Call, etag: str | None, body: bytes) -> Receipt:
        """What a 200 proves, and its receipt."""
        ...

    def damaged(self, step: Step, etag: str | None) -> Step:
        """The step for the careful lane after a 200 that proved damage."""
        ...


class Upload:
    """Disk to S3. Only where the server honours If-None-Match and makes the ETag an MD5: elsewhere boto3 has to look around."""

    method = "PUT"

    def __init__(self, source: DiskSource, target: S3Target, wire: Wire) -> None:
        self._source = source
        self._target = target
        self.wire = wire

    def takes(self, step: Step) -> bool:
        if step.source.size > SMALL_UP_TO:
            return False
        if step.action is Action.COMPARE:
            return step.target is not None and is_plain_md5(step.target.etag)
        abilities = self._target.abilities
        return step.action is Action.COPY and abilities.conditional_create and abilities.etag_is_md5

    def holds_same(self, raw_file: RawFile, step: Step) -> bool:
        return _has_md5(self._source, raw_file, step.target)

    def begin(self, raw_file: RawFile, step: Step) -> Call:
        self._target.prepare(raw_file.organization)
        content, entry = self._source.read_whole(raw_file, SMALL_UP_TO)
        digest = hashlib.md5(content, usedforsecurity=False)
        more = {"content-md5": base64.b64encode(digest.digest()).decode(), "if-none-match": "*"}
        return Call("PUT", self._target.place(raw_file), content, more, digest.hexdigest(), entry)

    def finish(self, raw_file: RawFile, call: Call, etag: str | None, body: bytes) -> Receipt:
        if etag != call.digest:
            raise NotTheSame("damaged-on-the-way", f"{call.place} was answered with another ETag.")
        return S3Receipt(call.digest)

    def damaged(self, step: Step, etag: str | None) -> Step:
        """What is there now was written by us and may be replaced: a server that checks nothing keeps what was damaged on the way."""
        if etag is None:
            return step
        return step._replace(target=Entry(step.source.raw_id, step.source.size, etag), own_mark=etag)


class Download:
    """S3 to disk. Only objects whose ETag has the form of an MD5; the careful lane knows the others."""

    method = "GET"

    def __init__(self, source: S3Source, target: Target, wire: Wire) -> None:
        self._source = source
        self._target = target
        self.wire = wire

    def takes(self, step: Step) -> bool:
        is_ours = step.action in (Action.COPY, Action.COMPARE)
        return is_ours and step.source.size <= SMALL_UP_TO and is_plain_md5(step.source.etag)

    def holds_same(self, raw_file: RawFile, step: Step) -> bool:
        return isinstance(self._target, DiskSource) and _has_md5(self._target, raw_file, step.source)

    def begin(self, raw_file: RawFile, step: Step) -> Call:
        more = {"if-match": quoted(step.source.etag or "")}
        return Call("GET", self._source.place(raw_file), b"", more, step.source.etag or "", step.source)

    def finish(self, raw_file: RawFile, call: Call, etag: str | None, body: bytes) -> Receipt:
        if len(body) != call.entry.size or hashlib.md5(body, usedforsecurity=False).hexdigest() != call.digest:
            raise NotTheSame("wrong-digest", f"What was read of {call.place} is not what was listed.")
        return self._target.store(raw_file, _Whole(call.entry, body))

    def damaged(self, step: Step, etag: str | None) -> Step:
        return step


def _has_md5(disk: DiskSource, raw_file: RawFile, entry: Entry | None) -> bool:
    content, _ = disk.read_whole(raw_file, SMALL_UP_TO)
    return entry is not None and hashlib.md5(content, usedforsecurity=False).hexdigest() == entry.etag


class _Whole:
    """Content that is here already, and proven."""

    resume_unit = 0

    def __init__(self, entry: Entry, body: bytes) -> None:
        self.entry = entry
        self.stamp = f"{entry.size} {entry.etag}"
        self._body = io.BytesIO(body)

    def accept(self, data: bytes) -> None:
        raise NotImplementedError("it is here already")

    def read(self, size: int) -> bytes:
        return self._body.read(size)

    def part(self, size: int) -> None:
        """It is in memory already."""

    def finish(self) -> None:
        """Its digest was compared before it came here."""


class _Request:
    """A curl handle and what is under way on it."""

    __slots__ = ("began", "body", "call", "curl", "headers", "origin", "raw_file", "step", "ticket")

    def __init__(self, curl: Any, method: str, origin: str) -> None:
        self.curl = curl
        self.origin = origin
        self.body = io.BytesIO()
        self.headers = io.BytesIO()
        curl.setopt(pycurl.HEADERFUNCTION, self.headers.write)
        curl.setopt(pycurl.WRITEFUNCTION, self.body.write)
        if method != "GET":
            curl.setopt(pycurl.CUSTOMREQUEST, method)

    def is_for(self, ticket: object, raw_file: RawFile, step: Step, call: Call) -> None:
        for buffer in (self.headers, self.body):
            buffer.seek(0)
            buffer.truncate()
        self.ticket, self.raw_file, self.step, self.call = ticket, raw_file, step, call
        self.began = time.monotonic()


class BulkLane:
    """Used by one thread. `largest_window` bounds how many requests it has under way."""

    def __init__(self, job: Job, *, largest_window: int) -> None:
        self._job = job
        self._pace = Pace(largest_window)
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, largest_window)
        self._idle: dict[str, list[_Request]] = {}
        self._requests: dict[Any, _Request] = {}
        self._signers: dict[Route, Signer] = {}
        self._ended: deque[Carried] = deque()
        self._bytes = 0
        self._throttle = job.wire.throttle
        self._paid_at = 0.0
        self.under_way = 0

    @property
    def has_room(self) -> bool:
        sent = self.under_way - len(self._ended)
        is_free = sent < self._pace.window and len(self._ended) < _ENDED_AT_MOST and self._bytes < _BYTES_UNDER_WAY
        return is_free and not self._throttle.seconds_until(self._paid_at)

    def takes(self, step: Step) -> bool:
        return self._job.takes(step)

    def submit(self, ticket: object, organization: str, step: Step) -> None:
        self.under_way += 1
        raw_file = RawFile(organization, step.source.raw_id)
        try:
            if step.action is Action.COMPARE:
                same = self._job.holds_same(raw_file, step)
                mark = step.target.mark if step.target is not None else ""
                present = Answer(ticket, Result(step.source, Outcome.PRESENT, mark=mark))
                self._ended.append(present if same else (ticket, organization, step))
                return
            self._send(self._job.begin(raw_file, step), ticket, raw_file, step)
        except MigratorError:
            self._ended.append((ticket, organization, step))

    def carried(self, timeout: float) -> Iterator[Carried]:
        """What has ended; waits up to `timeout` seconds for the first."""
        self._multi.perform()
        self._take_ended()
        unpaid = self._throttle.seconds_until(self._paid_at)
        timeout = min(timeout, unpaid) if unpaid else timeout
        if not self._ended and self.under_way:
            self._multi.select(timeout)
            self._multi.perform()
            self._take_ended()
        elif not self._ended and unpaid:
            time.sleep(timeout)
        while self._ended:
            self.under_way -= 1
            yield self._ended.popleft()

    def close(self) -> None:
        for request in self._requests.values():
            self._multi.remove_handle(request.curl)
            request.curl.close()
        self._multi.close()

    def _send(self, call: Call, ticket: object, raw_file: RawFile, step: Step) -> None:
        route = self._job.wire.route(call.place.bucket)
        path = f"{route.base}{encoded_key(call.place.key)}"
        headers = self._headers(route, path, call)
        idle = self._idle.setdefault(route.origin, [])
        request = idle.pop() if idle else self._new_request(route)
        request.is_for(ticket, raw_file, step, call)
        curl = request.curl
        curl.setopt(pycurl.URL, f"{route.origin}{path}")
        curl.setopt(pycurl.HTTPHEADER, headers)
        if call.method == "PUT":
            curl.setopt(pycurl.POSTFIELDS, call.content)
        self._requests[curl] = request
        self._bytes += step.source.size
        self._paid_at = self._throttle.charge(step.source.size, requests=1)
        self._multi.add_handle(curl)

    def _headers(self, route: Route, path: str, call: Call) -> list[str]:
        signer = self._signers.get(route)
        if signer is None:
            signer = self._signers[route] = self._job.wire.signer(route)
        payload = self._job.wire.payload_of(call.content if call.method == "PUT" else None)
        lines = signer.headers(call.method, route.host, path, payload=payload, more=call.more)
        return [*lines, *NO_HEADERS_OF_CURL]

    def _new_request(self, route: Route) -> _Request:
        return _Request(self._job.wire.handle(route, 2 * SMALL_UP_TO), self._job.method, route.origin)

    def _take_ended(self) -> None:
        waiting = 1
        clean = 0
        while waiting:
            waiting, good, broken = self._multi.info_read()
            for curl in good:
                clean += self._end(self._released(curl), answered=True)
            for curl, _, _ in broken:
                self._end(self._released(curl), answered=False)
        if clean:
            self._pace.answered(clean)

    def _released(self, curl: Any) -> _Request:
        self._multi.remove_handle(curl)
        request = self._requests.pop(curl)
        self._bytes -= request.step.source.size
        return request

    def _end(self, request: _Request, *, answered: bool) -> bool:
        """Take what a request came to; True for a clean success."""
        call, raw_file = request.call, request.raw_file
        status = request.curl.getinfo(pycurl.RESPONSE_CODE) if answered else 0
        if answered:
            self._idle[request.origin].append(request)
        else:
            request.curl.close()
        if not answered or status in _SLOW_DOWN or status >= 500:
            self._pace.throttled()
        step = request.step
        if 200 <= status < 300:  # some servers answer 201, 202 or 204; what it proves is looked at below
            etag = _etag_in(request.headers.getvalue())
            try:
                receipt = self._job.finish(raw_file, call, etag, request.body.getvalue())
            except NotTheSame:
                step = self._job.damaged(step, etag)
            except MigratorError:
                pass  # the careful lane meets it too, and knows what it means
            else:
                result = Result(call.entry, Outcome.COPIED)
                self._ended.append(Stored(request.ticket, raw_file, result, receipt, request.began))
                return True
        self._ended.append((request.ticket, raw_file.organization, step))
        return False


def _etag_in(headers: bytes) -> str | None:
    found = _ETAG.findall(headers)
    return clean_etag(found[-1].decode("ascii", "replace").strip()) if found else None
