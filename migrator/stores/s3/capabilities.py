"""What a server was seen to do: servers differ, and a header that is ignored protects nothing.

Source: `PUT` and its conditional headers as AWS documents them; SeaweedFS, Ceph, MinIO, JuiceFS and rclone each leave something out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from migrator.core.equality import has_md5
from migrator.core.errors import StoreError
from migrator.core.parallel_calls import run_concurrently
from migrator.stores.reserved_names import PROBE_PREFIX
from migrator.stores.s3.errors.error_fields import status_of
from migrator.stores.s3.errors.mapping import translate, translated
from migrator.stores.s3.parsing.etags import clean_etag, content_md5, quoted
from migrator.stores.s3.part_sizes import MOST_PARTS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CONTENT = b"bytes-migrator looks whether this server checks what it is sent\n"
_OTHER = b"bytes-migrator looks whether this server replaces what is there\n"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What may be relied on. The default is the weakest server: nothing is conditional, ETags say nothing."""

    conditional_create: bool = False
    conditional_replace: bool = False
    etag_is_md5: bool = False
    checks_md5: bool = False
    unsigned_payload: bool = True
    copies: bool = True
    copies_parts: bool = True
    most_parts: int = MOST_PARTS
    conditional_copy: bool = False
    """A copy to a name that is taken is refused; looked for only where source and target are one server."""

    def as_dict(self) -> dict[str, object]:
        """Return the fields as they are kept in the ledger and shown in JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, known: Mapping[str, object]) -> Capabilities | None:
        """Abilities as they were kept; None for what an other version kept."""
        kinds = {field.name: type(field.default) for field in fields(cls)}
        if set(known) != set(kinds) or not all(type(value) is kinds[name] for name, value in known.items()):
            return None
        return cls(**known)  # type: ignore[arg-type]

    def with_learned(self, learned: Mapping[str, int]) -> Capabilities:
        """These, and what a run found out."""
        numbers = ("most_parts",)
        changes: dict[str, Any] = {name: value if name in numbers else bool(value) for name, value in learned.items()}
        return replace(self, **changes)

    def in_words(self) -> str:
        """What is missing and what is done instead; empty for a server that does it all."""
        return "; ".join(self.missing())

    def missing(self) -> list[str]:
        """What is missing and what is done instead, one by one."""
        missing = []
        if not self.conditional_create:
            missing.append("it ignores If-None-Match, so each name is looked up once more before it is written")
        if not self.etag_is_md5:
            missing.append("its ETags are no MD5, so contents are proven by reading them back")
        if not self.checks_md5:
            missing.append(
                "it does not check Content-MD5, so damage on the way is found after the write, and written again"
            )
        if not self.unsigned_payload:
            missing.append("it refuses content that is not signed, so each file's SHA-256 is computed and signed")
        if not self.copies:
            missing.append(
                "it does not copy objects, or not for these credentials, so the bytes pass through this machine"
            )
        elif not self.copies_parts:
            missing.append("it does not copy in parts, so the bytes of large files pass through this machine")
        if self.most_parts < MOST_PARTS:
            missing.append(f"it takes at most {self.most_parts:,} parts of an upload, so parts are larger")
        return missing


def probe(client: S3Client, bucket: str, name: str, *, copies: bool = False) -> Capabilities:
    """Find out what the server does, by a tiny object under a name that Bytes never uses; it is removed again.

    `copies`: look too whether copies by the server can be made conditional; that takes a second such object.

    Raises:
        StoreError: If the object cannot be written.
    """
    key = f"{PROBE_PREFIX}{name}"
    with translated(f"s3://{bucket}/{key}"):
        answer = client.put_object(Bucket=bucket, Key=key, Body=_CONTENT, ContentMD5=content_md5(_CONTENT))
    etag = clean_etag(answer.get("ETag"))
    try:
        refuses = partial(_refuses, client, bucket, key)
        probes: list[Callable[[], bool]] = [
            partial(refuses, {"ContentMD5": content_md5(_OTHER)}, (400,)),
            partial(refuses, {"IfNoneMatch": "*"}, (412,)),
            partial(refuses, {"IfMatch": f'"{"0" * 32}"'}, (412,)),
            partial(_refuses_second_copy, client, bucket, key) if copies else lambda: False,
        ]
        checks_md5, keeps_what_is_there, keeps_another, refuses_copy = run_concurrently(probes)
        return Capabilities(
            etag_is_md5=has_md5(_CONTENT, etag),
            checks_md5=checks_md5,
            conditional_create=keeps_what_is_there,
            conditional_replace=keeps_another and not refuses({"IfMatch": quoted(etag or "")}, (412,)),
            conditional_copy=refuses_copy,
        )
    finally:
        _remove(client, bucket, key)


def _refuses(client: S3Client, bucket: str, key: str, condition: dict[str, str], expected: tuple[int, ...]) -> bool:
    """Whether the server refuses the same content under this condition as it should. Content-MD5: object lock demands it."""
    parameters = {"ContentMD5": content_md5(_CONTENT), **condition}
    try:
        client.put_object(Bucket=bucket, Key=key, Body=_CONTENT, **parameters)  # type: ignore[arg-type]
    except Exception as error:
        if status_of(error) in expected:
            return True
        fault = translate(error, f"s3://{bucket}/{key}")
        if fault.temporary:
            raise fault from error
        return False
    return False


def _refuses_second_copy(client: S3Client, bucket: str, key: str) -> bool:
    """Whether the server copies, and refuses to copy to a name that is taken. Ceph and MinIO's gateway refuse only a PUT so.

    Any answer but 412 is a no, for it is kept for a day and costs one HEAD a file; what was not answered says nothing.

    Raises:
        StoreError: If no answer came.
    """
    if not copies_conditionally(client):
        return False
    copy, source = f"{key}-copy", {"Bucket": bucket, "Key": key}
    try:
        client.copy_object(Bucket=bucket, Key=copy, CopySource=source)  # type: ignore[arg-type]
    except Exception as error:  # a refusal comes again when something is to be copied, and is explained then
        _raise_unanswered(error, bucket, copy)
        return False
    try:
        client.copy_object(Bucket=bucket, Key=copy, CopySource=source, IfNoneMatch="*")  # type: ignore[arg-type]
    except Exception as error:
        _raise_unanswered(error, bucket, copy)
        return status_of(error) == 412
    finally:
        _remove(client, bucket, copy)
    return False


def copies_conditionally(client: S3Client) -> bool:
    """Whether this boto3 knows the condition for copies, which came after that for writes: botocore 1.36 does not."""
    shape = client.meta.service_model.operation_model("CopyObject").input_shape
    return shape is not None and "IfNoneMatch" in shape.members


def _raise_unanswered(error: Exception, bucket: str, key: str) -> None:
    if not status_of(error):
        raise translate(error, f"s3://{bucket}/{key}") from error


def _remove(client: S3Client, bucket: str, key: str) -> None:
    try:
        client.delete_object(Bucket=bucket, Key=key)
    except Exception as error:
        fault: StoreError = translate(error, f"s3://{bucket}/{key}")
        if fault.temporary:
            raise fault from error
