"""Large objects in parts: each part proven by its MD5, the whole by the ETag that its parts must give."""

from __future__ import annotations

import base64
import hashlib
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from migrator.errors import AlreadyThere, NotTheSame, StoreError, Unavailable, Vanished
from migrator.model import RawId
from migrator.protocols import Content
from migrator.stores.s3.abilities import Abilities
from migrator.stores.s3.faults import code_of, translate
from migrator.stores.s3.listing import Retry
from migrator.stores.s3.objects import Condition, Place, head
from migrator.stores.s3.pages import clean_etag
from migrator.stores.s3.parts import PartLane
from migrator.stores.s3.wire import Wire
from migrator.transfer.integrity import etag_of_parts
from migrator.transfer.parts import part_size_for, parts_in_flight

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_TRIES_A_PART = 3


class _Part(NamedTuple):
    """A part that arrived: its digest, and the ETag that the server gave it."""

    number: int
    md5: bytes
    etag: str


class Upload:
    """One multipart upload, from its beginning to its completion or abortion."""

    def __init__(
        self,
        client: S3Client,
        wire: Wire | None,
        place: Place,
        raw_id: RawId,
        *,
        abilities: Abilities,
        lane: PartLane,
        retry: Retry,
    ) -> None:
        self._client = client
        self._wire = wire
        self._place = place
        self._raw_id = raw_id
        self._abilities = abilities
        self._lane = lane
        self._retry = retry
        self._id = ""
        self._expected = ""

    def send(self, content: Content, condition: Condition) -> str:
        """Send the whole content and complete; returns the ETag. Raises AlreadyThere with nothing changed at the name."""
        condition.check(self._retry(lambda: head(self._client, self._place, self._raw_id)), self._place)
        self._id = self._retry(self._begin)
        try:
            sent = self._send_parts(content)
            content.finish()
            return self._complete(sent, content.entry.size, condition)
        except BaseException:
            self._abort()
            raise

    def _begin(self) -> str:
        answer = self._call("create_multipart_upload", {})
        upload_id = answer.get("UploadId")
        if not upload_id:
            raise Unavailable("broken-answer", f"The server began an upload of {self._place} and did not say which.")
        return str(upload_id)

    def _send_parts(self, content: Content) -> list[_Part]:
        part_size, in_flight = part_size_for(content.entry.size), parts_in_flight(content.entry.size)
        under_way: deque[Future[_Part]] = deque()
        sent: list[_Part] = []
        try:
            while (data := self._read_part(content, part_size)) is not None:
                under_way.append(self._lane.submit(self._send_part, len(sent) + len(under_way) + 1, data))
                del data
                if len(under_way) >= in_flight:
                    sent.append(self._lane.take(under_way.popleft()))
            while under_way:
                sent.append(self._lane.take(under_way.popleft()))
        finally:
            while under_way:
                self._lane.drop(under_way.pop())
        return sent

    def _read_part(self, content: Content, part_size: int) -> bytes | None:
        self._lane.reserve()
        data = b""
        try:
            data = content.read(part_size)
        finally:
            if not data:
                self._lane.release()
        return data or None

    def _send_part(self, number: int, data: bytes) -> _Part:
        digest = hashlib.md5(data, usedforsecurity=False)
        for _ in range(_TRIES_A_PART):
            etag = self._over_wire(number, data, digest.digest()) or self._by_boto3(number, data, digest.digest())
            if etag == digest.hexdigest() or not self._abilities.etag_is_md5:
                return _Part(number, digest.digest(), etag or digest.hexdigest())
        raise NotTheSame(
            "damaged-on-the-way", f"Part {number} of {self._place} arrived as something else, three times."
        )

    def _over_wire(self, number: int, data: bytes, md5: bytes) -> str | None:
        if self._wire is None:
            return None
        query = {"partNumber": str(number), "uploadId": self._id}
        answer = self._wire.put_part(self._place.bucket, self._place.key, query, data, md5)
        return clean_etag(answer.header("etag")) if answer is not None and answer.status == 200 else None

    def _by_boto3(self, number: int, data: bytes, md5: bytes) -> str | None:
        asked = {
            "UploadId": self._id,
            "PartNumber": number,
            "Body": data,
            "ContentMD5": base64.b64encode(md5).decode(),
        }
        return clean_etag(self._retry(lambda: self._call("upload_part", asked)).get("ETag"))

    def _complete(self, sent: list[_Part], size: int, condition: Condition) -> str:
        parts = [{"PartNumber": part.number, "ETag": f'"{part.etag}"'} for part in sent]
        asked = {
            "UploadId": self._id,
            "MultipartUpload": {"Parts": parts},
            **condition.headers(self._abilities),
        }
        expected = etag_of_parts([part.md5 for part in sent])
        answered = self._retry(lambda: self._completed(asked))
        found = self._retry(lambda: head(self._client, self._place, self._raw_id))
        if found is None:
            raise NotTheSame("damaged-at-target", f"The server completed {self._place}, and it is not there.")
        if found.etag == expected and found.size == size:
            return expected
        if answered is None:  # refused, or the answer got lost: what is there may be anybody's
            raise AlreadyThere("already-there", f"{self._place} exists by now.")
        if found.size != size or (answered != expected and self._abilities.etag_is_md5):
            raise NotTheSame("damaged-at-target", f"{self._place} was completed, and is not what was sent.")
        return found.etag or ""

    def _completed(self, asked: Mapping[str, Any]) -> str | None:
        """The ETag that completing answered; None where the answer got lost and the object itself has to tell."""
        try:
            return clean_etag(self._call("complete_multipart_upload", asked).get("ETag"))
        except Vanished:
            return None
        except AlreadyThere:
            return None
        except StoreError as error:
            if code_of(error.__cause__ or error) == "NoSuchUpload":
                return None
            raise

    def _abort(self) -> None:
        """Give the parts back; only ever our own upload, which did not become an object.

        SeaweedFS destroys an object whose leftover upload id is aborted after completion (its issue 10663): hence the look first.
        """
        with suppress(StoreError):
            if not self._expected or self._is_not_there():
                self._call("abort_multipart_upload", {"UploadId": self._id})

    def _is_not_there(self) -> bool:
        """Whether what is under the name, if anything, cannot be what this upload completed."""
        found = head(self._client, self._place, self._raw_id)
        return found is None or (found.etag != self._expected and self._abilities.etag_is_md5)

    def _call(self, operation: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        try:
            call = getattr(self._client, operation)
            answer: dict[str, Any] = call(Bucket=self._place.bucket, Key=self._place.key, **asked)
        except Exception as error:
            raise translate(error, str(self._place)) from error
        return answer
