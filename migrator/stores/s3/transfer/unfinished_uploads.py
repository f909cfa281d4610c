"""Multipart uploads that are not complete: their parts, those that an answer got lost of, and giving one up."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from migrator.core.entities import UnfinishedUpload
from migrator.core.errors import AccessDenied, BucketMissing, StoreError, Vanished
from migrator.stores.s3.errors.error_fields import code_of
from migrator.stores.s3.errors.mapping import is_unsupported, translate
from migrator.stores.s3.listing.pages import Retry
from migrator.stores.s3.parsing.etags import clean_etag
from migrator.stores.s3.transfer.object_reads import ObjectAddress, head

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CLOCKS_APART = 900.0
"""Seconds by which the server's clock may differ: with more, it refuses every signature."""


class ListedPart(NamedTuple):
    """A part that the server has, as it lists it."""

    etag: str
    size: int


def list_parts(client: S3Client, place: ObjectAddress, upload_id: str) -> dict[int, ListedPart] | None:
    """The parts that arrived, by number; None for an upload that the server does not know (any more). Raises StoreError.

    SeaweedFS lists a part that was sent again twice, and completes with either: the last one listed counts here, and only our own
    digests are completed with.
    """
    parts: dict[int, ListedPart] = {}
    marker = 0
    while True:
        try:
            answer = client.list_parts(Bucket=place.bucket, Key=place.key, UploadId=upload_id, PartNumberMarker=marker)
        except Exception as error:
            fault = translate(error, str(place))
            if code_of(error) == "NoSuchUpload" or isinstance(fault, Vanished):
                return None
            raise fault from error
        for part in answer.get("Parts", ()):
            parts[part["PartNumber"]] = ListedPart(clean_etag(part.get("ETag")) or "", part.get("Size", -1))
        following = answer.get("NextPartNumberMarker", 0)
        if not answer.get("IsTruncated") or following <= marker:
            return parts
        marker = following


class Unfinished(NamedTuple):
    """A multipart upload as a server lists it; `began_at` in seconds since 1970, 0 where it does not tell."""

    bucket: str
    key: str
    upload_id: str
    began_at: float


def list_uploads(client: S3Client, bucket: str, retry: Retry, prefix: str = "") -> Iterator[Unfinished]:
    """A bucket's unfinished uploads, whoever began them; none where there is no such bucket. Raises StoreError."""
    marker = ("", "")
    while True:

        def ask(marker: tuple[str, str] = marker) -> Any:
            more = {"KeyMarker": marker[0], "UploadIdMarker": marker[1]} if marker[0] else {}
            more |= {"Prefix": prefix} if prefix else {}
            try:
                return client.list_multipart_uploads(Bucket=bucket, **more)  # type: ignore[arg-type]
            except Exception as error:
                if code_of(error) == "NoSuchUpload":  # so `rclone serve s3` says that there is none
                    return {}
                raise translate(error, f"s3://{bucket}") from error

        try:
            page = retry(ask)
        except BucketMissing:
            return
        for upload in page.get("Uploads", ()):
            initiated = upload.get("Initiated")
            yield Unfinished(bucket, upload["Key"], upload["UploadId"], initiated.timestamp() if initiated else 0.0)
        following = (page.get("NextKeyMarker", ""), page.get("NextUploadIdMarker", ""))
        if not page.get("IsTruncated") or following == marker or not following[0]:
            return
        marker = following


def lost_uploads(client: S3Client, intent: UnfinishedUpload, retry: Retry) -> Iterator[UnfinishedUpload]:
    """What the server began after only the intent was written down: under this key, at about this time, without any part.

    None where an object has the name, for that may have come of one of them. Raises StoreError.
    """
    place = ObjectAddress(intent.bucket, intent.key)
    for found in list_uploads(client, intent.bucket, retry, intent.key):
        if found.key == intent.key and abs(found.began_at - intent.began_at) <= _CLOCKS_APART:
            upload_id = found.upload_id
            has_no_parts = retry(partial(list_parts, client, place, upload_id)) == {}
            if has_no_parts and retry(lambda: head(client, place, intent.raw_id)) is None:
                yield intent._replace(upload_id=upload_id)


def give_up(client: S3Client, upload: UnfinishedUpload) -> None:
    """Abort an upload of ours, unless it became the object that is under its name: then there is nothing left to abort.

    SeaweedFS destroys an object whose leftover upload id is aborted after completion (its issue 10663): hence the look
    first.

    Raises:
        StoreError: If the server refuses or fails.
    """  # noqa: DOC501 made by translate
    place = ObjectAddress(upload.bucket, upload.key)
    try:
        parts = list_parts(client, place, upload.upload_id)
    except StoreError as error:
        if not (isinstance(error, AccessDenied) or is_unsupported(error)):
            raise
        if head(client, place, upload.raw_id) is not None:
            return  # whether the object came of this upload cannot be found out
        parts = {}
    if parts is None:
        return
    found = head(client, place, upload.raw_id)
    if found is not None and found.size == sum(part.size for part in parts.values()):
        return
    try:
        client.abort_multipart_upload(Bucket=place.bucket, Key=place.key, UploadId=upload.upload_id)
    except Exception as error:
        if code_of(error) != "NoSuchUpload":
            raise translate(error, str(place)) from error
