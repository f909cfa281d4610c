"""Requests for one object, whole or a range: GET of what was listed and of nothing else, HEAD, and what answers leave out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from migrator.core.entities import Entry, RawId
from migrator.core.equality import confirms, is_other_state
from migrator.core.errors import (
    AccessDenied,
    AlreadyThere,
    BucketMissing,
    NotTheSame,
    SourceChanged,
    StoreError,
    Unavailable,
    Vanished,
)
from migrator.stores.s3.errors.mapping import translate
from migrator.stores.s3.listing.pages import Lister
from migrator.stores.s3.parsing.etags import clean_etag, quoted

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RANGE_START = re.compile(r"bytes (\d+)-")


@dataclass(frozen=True, slots=True)
class ObjectAddress:
    """One object's address."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """An answer to GET: `start` is the offset of its first byte, `is_opaque` whether its ETag cannot be an MD5 (SSE-KMS, SSE-C)."""

    body: Any
    start: int
    length: int
    is_opaque: bool


def get_object(client: S3Client, place: ObjectAddress, entry: Entry, byte_range: str | None) -> Got:
    """Open the object that was listed as `entry`, or a range of it.

    Raises:
        SourceChanged: If it is another object by now.
        StoreError: If the server refuses, fails, or unpacks the content.
    """  # noqa: DOC501 made by changed
    parameters: dict[str, Any] = {"Range": byte_range} if byte_range else {}
    if entry.etag is not None:
        parameters["IfMatch"] = quoted(entry.etag)
    try:
        answer = client.get_object(Bucket=place.bucket, Key=place.key, **parameters)
    except Exception as error:
        fault = translate(error, str(place))
        if isinstance(fault, AlreadyThere):
            raise changed(place) from error
        raise fault from error
    etag = clean_etag(answer.get("ETag"))
    if is_other_state(etag, entry):
        raise changed(place)
    _refuse_unpacked(answer, place, entry, etag)
    match = RANGE_START.match(answer.get("ContentRange") or "bytes 0-")
    return Got(
        body=answer["Body"],
        start=int(match.group(1)) if match else entry.size,
        length=answer.get("ContentLength", entry.size),
        is_opaque=is_opaque(answer.get("ServerSideEncryption"), answer.get("SSECustomerAlgorithm")),
    )


def _refuse_unpacked(answer: Any, place: ObjectAddress, entry: Entry, etag: str | None) -> None:
    """Refuse an object that is still the listed one, by its ETag, and is answered with another length.

    Google Cloud Storage does so with objects that are stored as gzip ("decompressive transcoding").

    Raises:
        SourceChanged: If the ETag is another one.
        NotTheSame: If the ETag is the listed one.
    """  # noqa: DOC501 made by changed
    ranged = (answer.get("ContentRange") or "").rpartition("/")[2]
    total = int(ranged) if ranged.isdigit() else answer.get("ContentLength") if not ranged else None
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    is_marked = headers.get("warning", "").startswith("214") and "content-encoding" not in headers
    if (total is None or total == entry.size) and not is_marked:
        return
    if not confirms(etag, entry.etag):
        raise changed(place)
    raise NotTheSame(  # tried again, for a proxy that breaks one answer looks the same
        "unpacked-on-the-way",
        f"{place} is listed with {entry.size:,} bytes and answered with another length.",
        why="The server or a proxy unpacks objects stored with Content-Encoding gzip.",
        cure="Have it send them as stored (Google Cloud Storage: set Cache-Control no-transform).",
    )


def is_opaque(encryption: str | None, customer_algorithm: str | None) -> bool:
    """Whether the ETag cannot be an MD5 of the content: SSE-KMS (one key or two layers) and SSE-C (AWS, "Object")."""
    return (encryption or "").startswith("aws:kms") or bool(customer_algorithm)


def changed(place: ObjectAddress) -> SourceChanged:
    """Return the error for an object that is not any more what was listed."""
    return SourceChanged("source-changed", f"{place} is another object than was listed.")


def head(client: S3Client, place: ObjectAddress, raw_id: RawId) -> Entry | None:
    """The object's entry at this moment, None where there is none. Raises StoreError."""
    try:
        answer = client.head_object(Bucket=place.bucket, Key=place.key)
    except Exception as error:
        fault = translate(error, str(place))
        if isinstance(fault, (Vanished, BucketMissing)):
            return None
        raise fault from error
    modified = answer.get("LastModified")
    modified_ns = int(modified.timestamp() * 1e9) if modified else 0
    size, etag = answer.get("ContentLength"), clean_etag(answer.get("ETag"))
    if size is None or etag is None:
        size, etag = _as_listed(client, place, size, etag)
    return Entry(raw_id, size, etag, modified_ns, modified_ns)


def _as_listed(client: S3Client, place: ObjectAddress, size: int | None, etag: str | None) -> tuple[int, str | None]:
    """Return size and ETag, from the listing where HEAD does not tell them.

    Raises:
        StoreError: If the listing fails, and HEAD told no size.
        Unavailable: If neither tells the size.
    """
    listed = None
    try:
        listed = Lister(client, lambda ask: ask()).has(place.bucket, place.key)
    except StoreError:
        if size is None:
            raise
    if listed is None or (size is not None and listed.size != size):
        if size is None:
            raise Unavailable("broken-answer", f"The answer about {place} has no length.")
        return size, etag
    return listed.size, etag or listed.etag


def head_or_get(client: S3Client, place: ObjectAddress, raw_id: RawId) -> Entry | None:
    """As `head`, for what was written a moment ago: some servers show an object to GET before HEAD knows it. Raises StoreError."""
    try:
        found, refusal = head(client, place, raw_id), None
    except AccessDenied as error:
        found, refusal = None, error
    if found is not None:
        return found
    try:
        answer = client.get_object(Bucket=place.bucket, Key=place.key, Range="bytes=0-0")
        answer["Body"].close()
    except Exception as error:
        fault = translate(error, str(place))
        if refusal is None and not fault.temporary:
            return None
        raise (refusal or fault) from error
    total = (answer.get("ContentRange") or "").rpartition("/")[2]
    size = int(total) if total.isdigit() else answer.get("ContentLength", -1)
    return Entry(raw_id, size, clean_etag(answer.get("ETag")))


def first_part_size(client: S3Client, place: ObjectAddress) -> int | None:
    """Of how many bytes an object's first part was; None where the server does not tell. Raises StoreError."""
    try:
        answer = client.head_object(Bucket=place.bucket, Key=place.key, PartNumber=1)
    except Exception as error:
        fault = translate(error, str(place))
        if fault.temporary or isinstance(fault, (Vanished, BucketMissing)):
            raise fault from error
        return None
    return answer.get("ContentLength") if answer.get("PartsCount") else None
