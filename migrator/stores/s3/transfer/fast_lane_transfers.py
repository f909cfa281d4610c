"""What the fast lane copies: small raw files from disk to S3, from S3 to a target, and from bucket to bucket."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import re
from functools import partial
from urllib.parse import quote

from migrator.core.entities import Entry, RawFile
from migrator.core.equality import confirms, has_md5, is_plain_md5, is_same_state, share_digest
from migrator.core.errors import NotTheSame, Unavailable
from migrator.core.outcomes import Action, Outcome, Result, Step
from migrator.core.protocols import Target
from migrator.core.size_thresholds import SMALL_UP_TO
from migrator.stores.disk.source import DiskSource
from migrator.stores.s3.http.curl import CurlClient, HttpResponse
from migrator.stores.s3.parsing.etags import clean_etag, quoted
from migrator.stores.s3.source import S3Source
from migrator.stores.s3.target import S3Target
from migrator.stores.s3.transfer.fast_lane import Arrived, Ended, ObjectRequest, etag_of
from migrator.stores.s3.transfer.object_reads import ObjectAddress

_COPIED = re.compile(rb"<CopyObjectResult[\s>].*?<ETag>([^<]*)</ETag>", re.DOTALL)
_ERROR = re.compile(rb"<Error[\s>]")


class Upload:
    """Disk to S3. Only where the server honours If-None-Match and makes the ETag an MD5: elsewhere boto3 has to look around."""

    def __init__(self, source: DiskSource, target: S3Target, wire: CurlClient) -> None:
        self._source = source
        self._target = target
        self._wire = wire

    def begin(self, raw_file: RawFile, step: Step) -> ObjectRequest | Result | None:
        """Read the file and return the PUT; for one to be compared, its outcome if its MD5 is the ETag, else None."""
        source, target = self._source, self._target
        if step.source.size > SMALL_UP_TO:
            return None
        if step.action is Action.COMPARE:
            return _present_on_disk(source, raw_file, step, step.target)
        abilities = target.abilities
        if step.action is not Action.COPY or not (abilities.conditional_create and abilities.etag_is_md5):
            return None
        target.prepare(raw_file.organization)
        content, entry = source.read_whole(raw_file, SMALL_UP_TO)
        return _put(self._wire, target.place(raw_file), content, step._replace(source=entry))


class Download:
    """S3 to a target that stores content. Only objects whose ETag has the form of an MD5; the careful lane knows the others."""

    def __init__(self, source: S3Source, target: Target, wire: CurlClient) -> None:
        self._source = source
        self._target = target
        self._wire = wire

    def begin(self, raw_file: RawFile, step: Step) -> ObjectRequest | Result | None:
        """Return the GET; for one to be compared, its outcome if the file's MD5 is the ETag, else None."""
        source, target = step.source, self._target
        if source.size > SMALL_UP_TO or not is_plain_md5(source.etag):
            return None
        if step.action is Action.COMPARE:
            return _present_on_disk(target, raw_file, step, source) if isinstance(target, DiskSource) else None
        if step.action is not Action.COPY:
            return None
        return get(self._wire, self._source.place(raw_file), source, partial(self._got, raw_file, source))

    def _got(self, raw_file: RawFile, entry: Entry, answer: HttpResponse) -> Ended:
        return Arrived(entry, self._target.store(raw_file, _Whole(entry, proven_body(answer, entry))))


class BucketToBucket:
    """S3 to S3: copied by the server where both ends are one, else read and written.

    Only objects whose ETag is a plain MD5. A copy is proven by its own ETag, or by reading it back where that tells nothing.
    """

    def __init__(self, source: S3Source, target: S3Target, wires: tuple[CurlClient, CurlClient]) -> None:
        self._source = source
        self._target = target
        self._from, self._to = wires
        self._one_server = target.is_same_server(source)

    @property
    def _server_copies(self) -> bool:
        return self._one_server and self._target.abilities.copies

    def begin(self, raw_file: RawFile, step: Step) -> ObjectRequest | Result | None:
        """Return the copy by the server, or the GET whose body is put after it; for one to be compared, its outcome."""
        if step.source.size > SMALL_UP_TO or not is_plain_md5(step.source.etag):
            return None
        if step.action is Action.COMPARE:
            return _present(step) if is_same_state(step.target, step.source) else None
        abilities = self._target.abilities
        can_put = abilities.conditional_create and abilities.etag_is_md5
        if step.action is not Action.COPY or not (self._server_copies or can_put):
            return None
        self._target.prepare(raw_file.organization)
        if not self._server_copies:
            return get(self._from, self._source.place(raw_file), step.source, partial(self._got, raw_file, step))
        if self._target.abilities.conditional_copy:
            return self._copy(raw_file, step, {"if-none-match": "*"})
        on_head = partial(self._on_head, raw_file, step)
        return ObjectRequest(self._to, "HEAD", self._target.place(raw_file), {}, on_head, expects=(404,))

    def _on_head(self, raw_file: RawFile, step: Step, answer: HttpResponse) -> Ended:
        """Copy to a name that is free; the careful lane finds out what holds one that is not."""
        return self._copy(raw_file, step, {}) if answer.status == 404 else step

    def _copy(self, raw_file: RawFile, step: Step, condition: dict[str, str]) -> ObjectRequest:
        origin = self._source.place(raw_file)
        more = {
            "x-amz-copy-source": quote(f"{origin.bucket}/{origin.key}", safe="/-_.~"),
            "x-amz-copy-source-if-match": quoted(step.source.etag or ""),
            **condition,
        }
        return ObjectRequest(self._to, "PUT", self._target.place(raw_file), more, partial(self._copied, raw_file, step))

    def _copied(self, raw_file: RawFile, step: Step, answer: HttpResponse) -> Ended:
        """Read the answer to CopyObject: its status of 200 is sent before the copy is made (AWS, "CopyObject").

        Raises:
            Unavailable: If its body is an error.
        """
        copied = _COPIED.search(answer.body)
        if _ERROR.search(answer.body):
            raise Unavailable(
                "broken-answer", f"The copy to {self._target.place(raw_file)} was answered with an error."
            )
        etag = clean_etag(html.unescape(copied.group(1).decode("utf-8", "replace"))) if copied else None
        if etag is not None and share_digest(etag, step.source.etag):
            return Result(step.source, Outcome.COPIED, version=etag)
        entry = Entry(step.source.raw_id, step.source.size)
        return get(self._to, self._target.place(raw_file), entry, partial(self._read_back, step))

    def _read_back(self, step: Step, answer: HttpResponse) -> Ended:
        """Proven by its content; a copy that differs was made by this program, which may replace it."""
        there = etag_of(answer)
        if has_md5(answer.body, step.source.etag) and len(answer.body) == step.source.size:
            return Result(step.source, Outcome.COPIED, version=there or "")
        return _damaged(step, there)

    def _got(self, raw_file: RawFile, step: Step, answer: HttpResponse) -> Ended:
        return _put(self._to, self._target.place(raw_file), proven_body(answer, step.source), step)


def get(
    wire: CurlClient, place: ObjectAddress, entry: Entry, finish: partial[Ended], *, held: int = 0
) -> ObjectRequest:
    """A request for a whole object, which still has to be the one that was listed as `entry`, if that tells an ETag."""
    more = {"if-match": quoted(entry.etag)} if entry.etag is not None else {}
    return ObjectRequest(wire, "GET", place, more, finish, size=entry.size, held=held)


def proven_body(answer: HttpResponse, entry: Entry) -> bytes:
    """Return the content that was answered.

    Raises:
        NotTheSame: If its size or MD5 is not the entry's.
    """
    if len(answer.body) != entry.size or not has_md5(answer.body, entry.etag):
        raise NotTheSame("wrong-digest", f"What was read of {entry.raw_id} is not what was listed.")
    return answer.body


def _put(wire: CurlClient, place: ObjectAddress, content: bytes, step: Step) -> ObjectRequest:
    """A request that writes an object under a free name; the server refuses content that is not this any more."""
    digest = hashlib.md5(content, usedforsecurity=False)
    more = {"content-md5": base64.b64encode(digest.digest()).decode(), "if-none-match": "*"}
    finish = partial(_written, step, digest.hexdigest())
    return ObjectRequest(wire, "PUT", place, more, finish, size=len(content), content=content)


def _written(step: Step, digest: str, answer: HttpResponse) -> Ended:
    etag = etag_of(answer)
    if confirms(etag, digest):  # on S3 it is durable then, and nothing is left to publish
        return Result(step.source, Outcome.COPIED, version=digest)
    return _damaged(step, etag)


def _damaged(step: Step, etag: str | None) -> Step:
    """The step for the careful lane: what is there now was written by this program, and may be replaced.

    A server that checks nothing keeps what was damaged on the way.
    """
    if etag is None:
        return step
    return step._replace(target=Entry(step.source.raw_id, step.source.size, etag), own_version=etag)


def _present(step: Step) -> Result:
    return Result(step.source, Outcome.PRESENT, version=step.target.version if step.target is not None else "")


def _present_on_disk(disk: DiskSource, raw_file: RawFile, step: Step, listed: Entry | None) -> Result | None:
    """The outcome of a file whose MD5 is the ETag of the object as listed; None proves nothing: the file copier then looks."""
    if listed is None or not is_plain_md5(listed.etag):
        return None
    content, _ = disk.read_whole(raw_file, SMALL_UP_TO)
    return _present(step) if has_md5(content, listed.etag) else None


class _Whole:
    """Content that is here already, and proven."""

    resume_unit = 0

    def __init__(self, entry: Entry, body: bytes) -> None:
        self.entry = entry
        self.source_version = f"{entry.size} {entry.etag}"
        self._body = io.BytesIO(body)

    def resume_with(self, data: bytes) -> None:
        raise NotImplementedError("it is here already")

    def read(self, size: int) -> bytes:
        return self._body.read(size)

    def borrow(self, size: int) -> memoryview:
        return memoryview(self._body.read(size))

    def part(self, size: int) -> None:
        """It is in memory already."""

    def finish(self) -> None:
        """Its digest was compared before it came here."""
