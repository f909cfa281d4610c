"""Single objects: reading one so that it is surely whole, writing one so that it surely arrived."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from migrator.core.behind_thread import BehindThread
from migrator.core.entities import Entry, RawId
from migrator.core.equality import EtagCheck, confirms, is_other_state
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
from migrator.stores.s3.capabilities import Capabilities
from migrator.stores.s3.errors.mapping import translate
from migrator.stores.s3.http.stall import Watchdog, read_steadily
from migrator.stores.s3.listing.pages import Lister
from migrator.stores.s3.parsing.etags import clean_etag, quoted
from migrator.transfer.retry import ROUNDS, RetryPolicy
from migrator.transfer.throttle import Throttle

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")

_CHUNK = 1 << 20
RANGE_START = re.compile(r"bytes (\d+)-")


@dataclass(frozen=True, slots=True)
class ObjectAddress:
    """One object's address."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


class Wait(Protocol):
    """Looks again until there is something: `RetryPolicy.until`."""

    def __call__(self, look: Callable[[], T | None]) -> T | None:
        """Look until there is something; return None if there is nothing after the patience."""
        ...


class Reader(Protocol):
    """Gives an object's bytes in order."""

    is_opaque: bool
    unit: int
    """Reading can begin at multiples of this; 0 where it cannot."""

    def skip(self, size: int) -> None:
        """Leave out the next bytes, whole units, before the first `read`."""
        ...

    def read(self, size: int) -> tuple[bytes | memoryview, bytes | None]:
        """The next bytes, at most `size` unless they come as a whole part with its MD5; none at the end. Good until the next call.

        Raises StoreError.
        """
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...


class S3Content:
    """An object opened for reading, compared with its ETag at the end.

    `make_reader` begins at the first byte each time; told that it is a second reading, it asks for other ranges than the first one.
    """

    def __init__(self, place: ObjectAddress, entry: Entry, make_reader: Callable[[EtagCheck, bool], Reader]) -> None:
        self._place = place
        self._make_reader = make_reader
        self.entry = entry
        self.source_version = f"{entry.size} {entry.etag}"
        self._check = EtagCheck(entry.etag, entry.size)
        self._reader = make_reader(self._check, False)
        self._left = memoryview(b"")
        self._hashing = BehindThread("hash")

    @property
    def resume_unit(self) -> int:
        """Return the size of a part of the reader in bytes, 0 for an object that is read in one request."""
        return self._reader.unit

    def resume_with(self, data: bytes) -> None:
        """Take bytes that an earlier run read: they are hashed, and not asked for again."""
        self._update(self._check, data, None)
        self._reader.skip(len(data))

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        pieces: list[bytes] = []
        while size and (piece := self.borrow(size)):
            pieces.append(bytes(piece))
            size -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def borrow(self, size: int) -> memoryview:
        """Return up to `size` bytes of what has come, without a copy; the next call of any method takes them back."""
        if not self._left:
            self._left = memoryview(self._take(self._reader, self._check, size))
        lent, self._left = self._left[:size], self._left[size:]
        return lent

    def part(self, size: int) -> None:
        """Only `read` gives an object's bytes."""

    def finish(self) -> None:
        """Prove that what was read is the object.

        Raises:
            NotTheSame: If its digest is not the ETag's, or two readings differ where the ETag is no digest.
        """
        self._hashing.wait()
        matches = self._check.matches()
        if matches is False and not self._reader.is_opaque:
            raise NotTheSame("wrong-digest", f"What was read of {self._place} is not what its ETag says.")
        if matches is not True and self._read_again() != self._check.fingerprint:
            raise NotTheSame("unsteady-content", f"Two readings of {self._place} differ.")

    def close(self) -> None:
        """Close the reader and the thread that hashes."""
        self._reader.close()
        self._hashing.close()

    def _take(self, reader: Reader, check: EtagCheck, size: int) -> bytes | memoryview:
        self._hashing.wait()  # reading fills the memory again in which the part before is hashed
        data, md5 = reader.read(size)
        self._update(check, data, md5)
        return data

    def _update(self, check: EtagCheck, data: bytes | memoryview, md5: bytes | None) -> None:
        """Parts of large objects are hashed beside what is done with them; small objects are over too soon for that."""
        if self._reader.unit and md5 is None:
            self._hashing.submit(check.update, data)
        else:
            self._hashing.wait()  # parts that an earlier run wrote are hashed there, and come first
            check.update(data, md5)

    def _read_again(self) -> str:
        """Where no digest tells: the fingerprint of a second reading, by other requests: what damages an answer may do so each time."""
        self._reader.close()
        check = EtagCheck(self.entry.etag, self.entry.size)
        self._reader = self._make_reader(check, True)
        while self._take(self._reader, check, _CHUNK):
            pass
        self._hashing.wait()
        return check.fingerprint


class BodyReader:
    """One GET by boto3; goes on by range where its body breaks off."""

    unit = 0

    def __init__(
        self, client: S3Client, place: ObjectAddress, entry: Entry, patience: RetryPolicy, throttle: Throttle
    ) -> None:
        self._client = client
        self._throttle = throttle
        self._place = place
        self._entry = entry
        self._retry = patience.run
        self._breaks = patience.attempts()
        self._position = 0
        self.is_opaque = False
        self._watchdog = Watchdog()
        self._body = self._retry(lambda: self._open_at(0))

    def skip(self, size: int) -> None:
        """Refuse: small objects are read whole.

        Raises:
            NotImplementedError: Always; `unit` is 0.
        """
        raise NotImplementedError("small objects are read whole")

    def read(self, size: int) -> tuple[bytes, bytes | None]:
        """Return at most `size` bytes of the body, asked for again from where it broke off; (b"", None) at the end."""
        while self._position < self._entry.size:
            chunk = self._read_some(size)
            self._position += len(chunk)
            if chunk:
                return chunk, None
        return b"", None

    def close(self) -> None:
        """Close the body, which gives its connection back or drops it."""
        self._body.close()

    def _read_some(self, size: int) -> bytes:
        try:
            chunk = read_steadily(self._body, min(size, self._throttle.slice), self._watchdog)
            self._throttle.pay(len(chunk))
        except Exception as error:
            self._reopen(translate(error, str(self._place)))
            return b""
        if not chunk:
            self._reopen(Unavailable("broken-off", f"The body of {self._place} ended early."))
        return chunk

    def _reopen(self, reason: StoreError) -> None:
        if not isinstance(reason, Unavailable):
            raise reason
        self._breaks.failed(reason)
        self._body.close()
        self._watchdog = Watchdog()
        self._body = self._retry(lambda: self._open_at(self._position))

    def _open_at(self, offset: int) -> Any:
        answer = get_object(self._client, self._place, self._entry, f"bytes={offset}-" if offset else None)
        self.is_opaque = answer.is_opaque
        if not offset and answer.length != self._entry.size:
            raise changed(self._place)
        return self._at_offset(answer, offset)

    def _at_offset(self, answer: Got, offset: int) -> Any:
        """Return the body from `offset` on, also where the server ignored the range.

        Raises:
            Unavailable: If the server answered another range.
            StoreError: If the body breaks off.
        """  # noqa: DOC501 made by translate
        left = offset - answer.start
        if left < 0:
            raise Unavailable("wrong-range", f"The server answered another range of {self._place} than was asked for.")
        try:
            while left and (skipped := read_steadily(answer.body, min(left, _CHUNK), self._watchdog)):
                left -= len(skipped)
        except Exception as error:
            raise translate(error, str(self._place)) from error
        return answer.body


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
    asked: dict[str, Any] = {"Range": byte_range} if byte_range else {}
    if entry.etag is not None:
        asked["IfMatch"] = quoted(entry.etag)
    try:
        answer = client.get_object(Bucket=place.bucket, Key=place.key, **asked)
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
        f"{place} is listed with {entry.size:,} bytes and answered with another length, under the same ETag.",
        why="The server or a proxy changes contents on the way: objects stored with Content-Encoding gzip are unpacked.",
        cure="Have it give objects as they are stored (for Google Cloud Storage: set Cache-Control no-transform on this object).",
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


@dataclass(frozen=True, slots=True)
class Condition:
    """What must be at the name for a write to happen: nothing, or our own object with this ETag."""

    own_etag: str | None = None

    def headers(self, abilities: Capabilities) -> dict[str, str]:
        """The conditional header for servers that honour it; the caller looks first where this is empty."""
        if self.own_etag is None:
            return {"IfNoneMatch": "*"} if abilities.conditional_create else {}
        return {"IfMatch": quoted(self.own_etag)} if abilities.conditional_replace else {}

    def check(self, found: Entry | None, place: ObjectAddress) -> None:
        """Check that what was found allows the write.

        Raises:
            AlreadyThere: If it does not: the name is taken, or our own copy is not there any more.
        """
        is_allowed = (
            found is None if self.own_etag is None else found is not None and confirms(found.etag, self.own_etag)
        )
        if not is_allowed:
            raise AlreadyThere("already-there", f"{place} exists by now, or is not what this tool left there.")


def put(
    client: S3Client,
    place: ObjectAddress,
    raw_id: RawId,
    data: bytes,
    abilities: Capabilities,
    condition: Condition,
    throttle: Throttle,
    wait: Wait,
) -> str:
    """Write a whole object and prove that it arrived; return its ETag.

    `wait` looks again until what was written is seen. Proof, the strongest that the server offers: its ETag is the
    content's MD5; it refuses wrong Content-MD5; else reading back.

    Raises:
        AlreadyThere: If the name is taken; nothing is written then.
        NotTheSame: If it came out different each time.
    """
    digest = hashlib.md5(data, usedforsecurity=False)
    for _ in range(ROUNDS):
        etag = _put_once(client, place, raw_id, data, digest.digest(), abilities, condition, wait)
        if not abilities.etag_is_md5 and abilities.checks_md5:
            return etag or ""
        if abilities.etag_is_md5 and confirms(etag, digest.hexdigest()):
            return digest.hexdigest()
        if confirms(wait(lambda: _read_back(client, place, throttle)), digest.hexdigest()):
            return etag or ""
        condition = Condition(etag)  # what is there now is our own, and damaged: only that may be replaced
    raise NotTheSame(
        "damaged-at-target",
        f"{place} was written {ROUNDS} times and came out different each time: what is there now is damaged.",
        cure="Do not rely on it. Look at the server's disks and memory, and at the network.",
    )


def _put_once(
    client: S3Client,
    place: ObjectAddress,
    raw_id: RawId,
    data: bytes,
    md5: bytes,
    abilities: Capabilities,
    condition: Condition,
    wait: Wait,
) -> str | None:
    headers = condition.headers(abilities)
    if not headers:
        found = head(client, place, raw_id)
        if _is_ours(found, data, md5):
            return found.etag if found else None
        condition.check(found, place)
    content_md5 = base64.b64encode(md5).decode()
    try:
        answer = client.put_object(
            Bucket=place.bucket,
            Key=place.key,
            Body=data,
            ContentMD5=content_md5,
            **headers,  # type: ignore[arg-type]
        )
    except Exception as error:
        fault = translate(error, str(place))
        if isinstance(fault, AlreadyThere):
            look = partial(
                head_or_get, client, place, raw_id
            )  # a repeated request meets the object that its first try made
            found = wait(look) if condition.own_etag is None else look()
            if found is not None and _is_ours(found, data, md5):
                return found.etag
        if isinstance(fault, Vanished) and condition.own_etag is not None:
            condition.check(None, place)  # If-Match on a key that is gone is answered with 404
        raise fault from error
    etag = clean_etag(answer.get("ETag"))
    if etag is None:
        found = wait(partial(head_or_get, client, place, raw_id))
        if found is None:
            raise StoreError(
                "written-not-seen",
                f"The server says that {place} is written, and shows nothing there.",
                cure="Run the same command again later: what it shows by then counts as there.",
            )
        etag = found.etag
    return etag


def _is_ours(found: Entry | None, data: bytes, md5: bytes) -> bool:
    return found is not None and found.size == len(data) and confirms(found.etag, md5.hex())


def _read_back(client: S3Client, place: ObjectAddress, throttle: Throttle) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    try:
        body, watchdog = client.get_object(Bucket=place.bucket, Key=place.key)["Body"], Watchdog()
        for chunk in iter(lambda: read_steadily(body, min(_CHUNK, throttle.slice), watchdog), b""):
            throttle.pay(len(chunk))
            digest.update(chunk)
    except Exception as error:
        raise translate(error, str(place)) from error
    return digest.hexdigest()
