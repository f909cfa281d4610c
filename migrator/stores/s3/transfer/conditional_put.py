"""Writing one whole object: on condition that its name is free, and with proof that it arrived."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from s3transfer.utils import ReadFileChunk

from migrator.core.entities import Entry, RawId
from migrator.core.equality import confirms
from migrator.core.errors import AlreadyThere, NotTheSame, StoreError, Vanished
from migrator.stores.s3.capabilities import Capabilities
from migrator.stores.s3.errors.mapping import translate
from migrator.stores.s3.http.stall import Watchdog, read_steadily
from migrator.stores.s3.parsing.etags import clean_etag, quoted
from migrator.stores.s3.transfer.object_reads import ObjectAddress, head, head_or_get
from migrator.transfer.retry import ROUNDS
from migrator.transfer.throttle import Throttle

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")

_CHUNK = 1 << 20


class Wait(Protocol):
    """Looks again until there is something: `RetryPolicy.until`."""

    def __call__(self, inspect: Callable[[], T | None]) -> T | None:
        """Look until there is something; return None if there is nothing after the patience."""
        ...


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
            AlreadyThere: If it does not: the name is taken, or our own copy is gone.
        """
        is_allowed = (
            found is None if self.own_etag is None else found is not None and confirms(found.etag, self.own_etag)
        )
        if not is_allowed:
            raise AlreadyThere("already-there", f"{place} appeared or changed meanwhile.")


def put(
    client: S3Client,
    place: ObjectAddress,
    raw_id: RawId,
    body: ReadFileChunk,
    md5: bytes,
    abilities: Capabilities,
    condition: Condition,
    throttle: Throttle,
    wait: Wait,
) -> str:
    """Write a whole object, whose MD5 is `md5`, and prove that it arrived; return its ETag.

    `wait` looks again until what was written is seen. Proof, the strongest that the server offers: its ETag is the
    content's MD5; it refuses wrong Content-MD5; else reading back.

    Raises:
        AlreadyThere: If the name is taken; nothing is written then.
        NotTheSame: If it came out different each time.
    """
    for _ in range(ROUNDS):
        etag = _put_once(client, place, raw_id, body, md5, abilities, condition, wait)
        if not abilities.etag_is_md5 and abilities.checks_md5:
            return etag or ""
        if abilities.etag_is_md5 and confirms(etag, md5.hex()):
            return md5.hex()
        if confirms(wait(lambda: _read_back(client, place, throttle)), md5.hex()):
            return etag or ""
        condition = Condition(etag)  # what is there now is our own, and damaged: only that may be replaced
    raise NotTheSame(
        "damaged-at-target",
        f"{place} was written {ROUNDS} times and came out different each time: what is there now is damaged.",
        cure="Do not rely on it. Check the server's disks and memory, and the network.",
    )


def _put_once(
    client: S3Client,
    place: ObjectAddress,
    raw_id: RawId,
    body: ReadFileChunk,
    md5: bytes,
    abilities: Capabilities,
    condition: Condition,
    wait: Wait,
) -> str | None:
    headers = condition.headers(abilities)
    if not headers:
        found = head(client, place, raw_id)
        if _is_ours(found, body, md5):
            return found.etag if found else None
        condition.check(found, place)
    content_md5 = base64.b64encode(md5).decode()
    content: Any = body if len(body) else b""
    body.seek(0)
    try:
        answer = client.put_object(
            Bucket=place.bucket,
            Key=place.key,
            Body=content,
            ContentMD5=content_md5,
            **headers,  # type: ignore[arg-type]
        )
    except Exception as error:
        fault = translate(error, str(place))
        if isinstance(fault, AlreadyThere):
            inspect = partial(
                head_or_get, client, place, raw_id
            )  # a repeated request meets the object that its first try made
            found = wait(inspect) if condition.own_etag is None else inspect()
            if found is not None and _is_ours(found, body, md5):
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
                cure="Rerun later: what it shows by then counts.",
            )
        etag = found.etag
    return etag


def _is_ours(found: Entry | None, body: ReadFileChunk, md5: bytes) -> bool:
    return found is not None and found.size == len(body) and confirms(found.etag, md5.hex())


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
