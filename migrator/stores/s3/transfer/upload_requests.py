"""The requests of one multipart upload, and what its parts and its completion share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from migrator.core.entities import Entry, RawId
from migrator.core.errors import NotTheSame, StoreError
from migrator.core.protocols import UploadJournal
from migrator.stores.s3.capabilities import Capabilities
from migrator.stores.s3.errors.mapping import translate
from migrator.stores.s3.http.curl import CurlClient
from migrator.stores.s3.transfer.object_reads import ObjectAddress, head
from migrator.stores.s3.transfer.part_window import PartExecutor
from migrator.stores.s3.transfer.unfinished_uploads import list_parts
from migrator.transfer.retry import RetryPolicy
from migrator.transfer.throttle import Throttle

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UPLOAD_LOST = "upload-lost"
COPY_UNPROVEN = "copy-unproven"
PARTS_LIMITED = "parts-limited"
TOO_MANY_PARTS = ("InvalidArgument", "InvalidPartNumber", "TooManyParts", "MaxPartsExceeded", "LimitExceeded")
"""How servers refuse a part's number, or the number of parts, where parts before it were taken. AWS: InvalidArgument."""
LOST = ("NoSuchUpload", "NotImplemented")
"""Somebody aborted the upload, or the server does not let a part be sent again (`rclone serve s3`): it has to begin anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadContext:
    """What uploads are made with. `journal` None: nothing is written down, and nothing can go on.

    `limit_parts` is told how many parts the server takes, where it refuses more.
    """

    client: S3Client
    wire: CurlClient | None
    abilities: Capabilities
    executor: PartExecutor
    patience: RetryPolicy
    journal: UploadJournal | None
    throttle: Throttle
    limit_parts: Callable[[int], None]


class UploadRequests:
    """What is asked of the server for one raw file's upload; `upload_id` is "" before it is begun."""

    def __init__(self, means: UploadContext, place: ObjectAddress, raw_id: RawId) -> None:
        self.means = means
        self.client = means.client
        self.abilities = means.abilities
        self.retry = means.patience.run
        self.place = place
        self.raw_id = raw_id
        self.upload_id = ""

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Make a request about this name by boto3, once. Raises StoreError."""  # noqa: DOC501 made by translate
        try:
            call = getattr(self.client, operation)
            answer: dict[str, Any] = call(Bucket=self.place.bucket, Key=self.place.key, **parameters)
        except Exception as error:
            raise translate(error, str(self.place)) from error
        return answer

    def found(self) -> Entry | None:
        """What is at the name now."""
        return self.retry(lambda: head(self.client, self.place, self.raw_id))

    def is_lost(self) -> bool:
        """Whether the server says that it does not know the upload."""
        try:
            return list_parts(self.client, self.place, self.upload_id) is None
        except StoreError:
            return False

    def limited(self, most: int) -> NotTheSame:
        """The error after which the file is sent anew, in larger parts."""
        self.means.limit_parts(most)
        return NotTheSame(PARTS_LIMITED, f"The server takes {most} parts of {self.place} at most.")
