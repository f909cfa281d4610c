"""What a server says of an object's content beyond its listing: stored checksums, the size of its parts, whether its ETag is a digest."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Protocol

from migrator.core.errors import AccessDenied, BucketMissing, StoreError, Vanished
from migrator.core.protocols import Check, Promise
from migrator.stores.s3.errors.mapping import translate
from migrator.stores.s3.parsing.etags import clean_etag
from migrator.stores.s3.transfer.object_reads import ObjectAddress, is_opaque

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SLOWLY_UP_TO = 64 << 20
"""Bytes up to which a checksum is computed in Python where no library does it: some seconds."""

_OF_PARTS = re.compile(r"(.+)-([1-9][0-9]*)")


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc:
    """A CRC as a digest: `step` takes bytes and the value so far."""

    def __init__(self, step: Callable[[bytes, int], int], width: int) -> None:
        self._step = step
        self._width = width
        self._value = 0

    def update(self, data: bytes) -> None:
        self._value = self._step(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._width, "big")


def promise_of(client: S3Client, place: ObjectAddress) -> Promise:
    """Ask the server what it says of an object's content: ETag, size of the first part, stored checksum.

    Raises:
        Vanished: If the object is gone.
        StoreError: If the server refuses or does not answer.
    """
    answer = _head(client, place, ChecksumMode="ENABLED")
    if answer is None:
        raise Vanished("vanished", f"{place} is gone.")
    etag = clean_etag(answer.get("ETag")) or ""
    part_size = _first_part(client, place) if _OF_PARTS.fullmatch(etag) else None
    kind, check = _stored_check(answer, part_size)
    digest = not is_opaque(answer.get("ServerSideEncryption"), answer.get("SSECustomerAlgorithm"))
    return Promise(etag_is_digest=digest, part_size=part_size, check=check, kind=kind)


def _head(client: S3Client, place: ObjectAddress, **more: Any) -> Mapping[str, Any] | None:
    try:
        return dict(client.head_object(Bucket=place.bucket, Key=place.key, **more))
    except Exception as error:
        fault = translate(error, str(place))
        if isinstance(fault, (Vanished, BucketMissing)):
            return None
        if isinstance(fault, AccessDenied) and "ChecksumMode" in more:
            return _head(client, place)  # checksums of objects under SSE-KMS need a right of their own
        raise fault from error


def _first_part(client: S3Client, place: ObjectAddress) -> int | None:
    """The size of the first part, from servers that know parts by their number. Others refuse, or answer with the whole object."""
    try:
        answer = _head(client, place, PartNumber=1)
    except StoreError:
        return None
    if answer is None or int(answer.get("PartsCount", 0)) < 1:
        return None
    size = answer.get("ContentLength")
    return int(size) if size is not None else None


def _stored_check(answer: Mapping[str, Any], part_size: int | None) -> tuple[str, Callable[[], Check] | None]:
    size = int(answer.get("ContentLength", SLOWLY_UP_TO + 1))
    for name, make in _digests(size).items():
        value = answer.get(f"Checksum{name}")
        if not isinstance(value, str):
            continue
        composite = _OF_PARTS.fullmatch(value)
        if composite is None and answer.get("ChecksumType") != "COMPOSITE":
            return name, partial(_WholeCheck, make, value)
        if composite is not None and part_size:
            return name, partial(_PartsCheck, make, composite.group(1), part_size)
    return "", None


@cache
def _computable() -> dict[str, tuple[Callable[[], _Digest], bool]]:
    """What S3 stores, the strongest first: how to compute it, and whether that is fast."""
    sums: dict[str, tuple[Callable[[], _Digest], bool]] = {
        "SHA256": (hashlib.sha256, True),
        "SHA1": (partial(hashlib.sha1, usedforsecurity=False), True),
    }
    try:
        from awscrt import checksums  # noqa: PLC0415 comes with botocore[crt], which not everybody has

        sums["CRC64NVME"] = (partial(_Crc, checksums.crc64nvme, 8), True)
        sums["CRC32C"] = (partial(_Crc, checksums.crc32c, 4), True)
    except (ImportError, AttributeError):
        sums["CRC64NVME"] = (partial(_Crc, partial(_slowly, 0x9A6C9329AC4BC9B5, 64), 8), False)
        sums["CRC32C"] = (partial(_Crc, partial(_slowly, 0x82F63B78, 32), 4), False)
    sums["CRC32"] = (partial(_Crc, zlib.crc32, 4), True)
    return sums


def _digests(size: int) -> dict[str, Callable[[], _Digest]]:
    return {name: make for name, (make, fast) in _computable().items() if fast or size <= SLOWLY_UP_TO}


@cache
def _table(polynomial: int) -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (polynomial if value & 1 else 0)
        table.append(value)
    return table


def _slowly(polynomial: int, bits: int, data: bytes, so_far: int) -> int:
    """A reflected CRC with all ones before and after, 10 MB a second."""
    table, ones = _table(polynomial), (1 << bits) - 1
    value = so_far ^ ones
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ ones


class _WholeCheck:
    """A checksum of the whole content."""

    def __init__(self, make: Callable[[], _Digest], value: str) -> None:
        self._digest = make()
        self._value = value

    def update(self, data: bytes) -> None:
        self._digest.update(data)

    def matches(self) -> bool | None:
        return base64.b64encode(self._digest.digest()).decode() == self._value


class _PartsCheck:
    """A checksum of the parts' checksums; parts may have been of unlike sizes, so that another one proves no difference."""

    def __init__(self, make: Callable[[], _Digest], value: str, part_size: int) -> None:
        self._make = make
        self._value = value
        self._part_size = part_size
        self._all, self._part, self._room = make(), make(), part_size

    def update(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if not self._room:
                self._end_part()
            piece = view[: self._room]
            self._part.update(bytes(piece))
            self._room -= len(piece)
            view = view[len(piece) :]

    def matches(self) -> bool | None:
        self._end_part()
        return True if base64.b64encode(self._all.digest()).decode() == self._value else None

    def _end_part(self) -> None:
        self._all.update(self._part.digest())
        self._part, self._room = self._make(), self._part_size
