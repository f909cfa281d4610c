"""Large objects in parts: each part proven by its MD5, the whole by the ETag that its parts must give."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from migrator.errors import AlreadyThere, NotTheSame, StoreError, Unavailable, Vanished
from migrator.model import RawId
from migrator.protocols import Content
from migrator.stores.s3.abilities import Abilities
from migrator.stores.s3.faults import code_of, translate
from migrator.stores.s3.listing import Retry
from migrator.stores.s3.objects import Condition, Place, head
from migrator.stores.s3.pages import clean_etag
from migrator.transfer.integrity import etag_of_parts
from migrator.transfer.parts import part_size_for, parts_in_flight

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PARTS_IN_MEMORY = 4


class PartLane:
    """The threads that send parts, and the bound on how many parts of all files are in memory at once."""

    def __init__(self, jobs: int) -> None:
        workers = min(jobs, _PARTS_IN_MEMORY)
        self.pool = ThreadPoolExecutor(workers, thread_name_prefix="part")
        self.room = threading.BoundedSemaphore(workers)

    def close(self) -> None:
        self.pool.shutdown(cancel_futures=True)


class Upload:
    """One multipart upload, from its beginning to its completion or abortion."""

    def __init__(
        self, client: S3Client, place: Place, raw_id: RawId, *, abilities: Abilities, lane: PartLane, retry: Retry
    ) -> None:
        self._client = client
        self._place = place
        self._raw_id = raw_id
        self._abilities = abilities
        self._lane = lane
        self._retry = retry
        self._id = ""

    def send(self, content: Content, condition: Condition) -> str:
        """Send the whole content and complete; returns the ETag. Raises AlreadyThere with nothing changed at the name."""
        if not condition.headers(self._abilities):
            condition.check(self._retry(lambda: head(self._client, self._place, self._raw_id)), self._place)
        self._id = self._retry(self._begin)
        try:
            digests = self._send_parts(content)
            content.finish()
            return self._complete(digests, content.entry.size, condition)
        except BaseException:
            self._abort()
            raise

    def _begin(self) -> str:
        answer = self._call("create_multipart_upload", {})
        upload_id = answer.get("UploadId")
        if not upload_id:
            raise Unavailable("broken-answer", f"The server began an upload of {self._place} and did not say which.")
        return str(upload_id)

    def _send_parts(self, content: Content) -> list[bytes]:
        part_size, in_flight = part_size_for(content.entry.size), parts_in_flight(content.entry.size)
        under_way: deque[Future[bytes]] = deque()
        digests: list[bytes] = []
        number = 0
        try:
            while True:
                self._lane.room.acquire()
                try:
                    data = content.read(part_size)
                except BaseException:
                    self._lane.room.release()
                    raise
                if not data:
                    self._lane.room.release()
                    break
                number += 1
                under_way.append(self._lane.pool.submit(self._send_part, number, data))
                del data
                if len(under_way) >= in_flight:
                    digests.append(under_way.popleft().result())
            digests.extend(future.result() for future in under_way)
        finally:
            for future in under_way:
                if future.cancel():
                    self._lane.room.release()
                else:
                    future.exception()
        return digests

    def _send_part(self, number: int, data: bytes) -> bytes:
        try:
            digest = hashlib.md5(data, usedforsecurity=False)
            asked = {
                "UploadId": self._id,
                "PartNumber": number,
                "Body": data,
                "ContentMD5": base64.b64encode(digest.digest()).decode(),
            }
            for _ in range(3):
                etag = clean_etag(self._retry(lambda: self._call("upload_part", asked)).get("ETag"))
                if etag == digest.hexdigest() or not self._abilities.etag_is_md5:
                    return digest.digest()
            raise NotTheSame(
                "damaged-on-the-way", f"Part {number} of {self._place} arrived as something else, three times."
            )
        finally:
            self._lane.room.release()

    def _complete(self, digests: list[bytes], size: int, condition: Condition) -> str:
        parts = [{"PartNumber": number, "ETag": f'"{md5.hex()}"'} for number, md5 in enumerate(digests, 1)]
        asked = {
            "UploadId": self._id,
            "MultipartUpload": {"Parts": parts},
            **condition.headers(self._abilities),
        }
        expected = etag_of_parts(digests)
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
            if head(self._client, self._place, self._raw_id) is None:
                self._call("abort_multipart_upload", {"UploadId": self._id})

    def _call(self, operation: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        try:
            call = getattr(self._client, operation)
            answer: dict[str, Any] = call(Bucket=self._place.bucket, Key=self._place.key, **asked)
        except Exception as error:
            raise translate(error, str(self._place)) from error
        return answer
