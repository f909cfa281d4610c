"""What a server's error answer means: its class decides what happens next, its text what the operator is told.

The order matters: what the evidence shows for certain (an archive, a full bucket, clocks that differ) comes before what a bare status
could also mean. The server's own words are added to each text.
"""

from __future__ import annotations

from collections.abc import Callable

from botocore import exceptions as boto

from migrator.core.errors import (
    AccessDenied,
    AlreadyThere,
    Archived,
    BucketFull,
    BucketMissing,
    NotTheSame,
    StoreError,
    StoreFull,
    Unavailable,
    Vanished,
)
from migrator.doctor.bytes_calls import ADDRESSING_CODES
from migrator.stores.s3.errors import codes
from migrator.stores.s3.errors.error_fields import (
    answer_of,
    code_of,
    header_of,
    raw_message_of,
    said_by,
    seconds_ahead,
    status_of,
)
from migrator.stores.s3.errors.server_limits import limit_fault
from migrator.stores.s3.errors.signature_errors import addressing, clock_skew, refused_signature, wrong_region

SKEW_REFUSED_FROM = 900.0
"""S3 takes signatures that are up to 15 minutes off (AWS, "RequestTimeTooSkewed")."""
_OF_NO_OBJECT = {"ListBuckets", "ListObjectsV2", "ListObjects", "ListMultipartUploads", "CreateBucket"}
"""Calls that S3 answers with 404 for a missing bucket alone, and then says so."""


def fault_of(error: boto.ClientError, where: str) -> StoreError:
    """The error in this program's words. Never raises."""
    found = next(fault for classify in _CLASSIFIERS if (fault := classify(error, where)) is not None)
    said = said_by(error)
    if said and not isinstance(found, (Vanished, AlreadyThere)):
        found.what = f"{found.what} The server's words: '{said}'."
    return found


def _missing(error: boto.ClientError, where: str) -> StoreError | None:
    code, status = code_of(error), status_of(error)
    if status == 404 and code != "NoSuchBucket" and error.operation_name in _OF_NO_OBJECT:
        return _of_no_server(error, code, where)
    if code in ("NoSuchKey", "404") or (status == 404 and code not in ("NoSuchBucket", "NoSuchUpload")):
        return Vanished("vanished", f"{where} is not there.")
    if code == "NoSuchBucket":
        return BucketMissing("bucket-missing", f"The bucket of {where} does not exist.")
    return None


def _of_no_server(error: boto.ClientError, code: str, where: str) -> StoreError:
    """What a 404 means that names no bucket. botocore makes the status the error's code where it cannot read the XML to its end."""
    if code == "404" and "xml" in header_of(error, "content-type") and header_of(error, "content-length") != "0":
        return Unavailable("broken-off", f"The answer about {where} ended early.")
    return StoreError(
        "not-s3",
        f"What answers for {where} is no S3 server: it does not know the request ({answer_of(error)}).",
        why="Another service, or a proxy, answers there.",
        cure="Check AWS_ENDPOINT_URL and its port: 8333 for SeaweedFS, 9000 for MinIO.",
    )


def _taken(error: boto.ClientError, where: str) -> StoreError | None:
    if status_of(error) == 412 or code_of(error) == "PreconditionFailed":
        return AlreadyThere("already-there", f"{where} appeared or changed meanwhile.")
    return None


def _archived(error: boto.ClientError, where: str) -> StoreError | None:
    if code_of(error) not in codes.ARCHIVED:
        return None
    return Archived(
        "archived",
        f"{where} is archived: it must be restored first ({answer_of(error)}).",
        why="A lifecycle rule may have moved it.",
        cure="Restore it (aws s3api restore-object, or the console), then rerun.",
    )


def _full(error: boto.ClientError, where: str) -> StoreError | None:
    """By code, and by the words of servers that have no code for it: those count for writes that were refused, not for slowness."""
    code, status, words = code_of(error), status_of(error), raw_message_of(error)
    if code in codes.TOO_MANY_BUCKETS:
        return StoreError(
            "too-many-buckets",
            f"The server makes no more buckets for this account: {where} ({answer_of(error)}).",
            why="Bytes needs a bucket for each organization.",
            cure="Have the limit raised, or use one bucket for all: S3_BUCKET=<name> and BUCKET_PER_ORG=false.",
        )
    if code in codes.BUCKET_FULL:
        return _bucket_full(error, where)
    if code in codes.FULL or status == 507:
        return _no_room(error, where)
    is_refusal = status in (400, 402, 403, 409, 413, 500) and code not in codes.SLOW_DOWN
    if is_refusal and codes.is_cap(words):
        return StoreFull(
            "account-limit",
            f"The account has reached a limit of its plan, at {where} ({answer_of(error)}).",
            why="It refuses requests until the limit is raised or its period ends.",
            cure="Raise the limit in the provider's console, or wait, then rerun.",
        )
    if is_refusal and error.operation_name in codes.WRITES:
        if codes.is_full(words):
            return _no_room(error, where)
        if codes.is_quota(words):
            return _bucket_full(error, where)
    return None


def _no_room(error: boto.ClientError, where: str) -> StoreFull:
    return StoreFull(
        "target-full",
        f"The server has no room for {where} ({answer_of(error)}).",
        why="Its disks or the account's storage limit are full.",
        cure="Make room or raise the limit, then rerun.",
    )


def _bucket_full(error: boto.ClientError, where: str) -> BucketFull:
    return BucketFull(
        "target-full",
        f"The bucket has no room for {where} ({answer_of(error)}).",
        why="A quota of the bucket, or of its owner, is used up.",
        cure="Raise the quota or make room, then rerun.",
    )


def _credentials(error: boto.ClientError, where: str) -> StoreError | None:
    code, status = code_of(error), status_of(error)
    ahead = seconds_ahead(error)
    skewed = ahead is not None and abs(ahead) >= SKEW_REFUSED_FROM and status in (400, 401, 403)
    if code in codes.SKEWED or (skewed and (code in codes.DENIED or code == "SignatureDoesNotMatch")):
        return clock_skew(ahead, where)
    if code == "SignatureDoesNotMatch":
        return refused_signature(error, where)
    if code in codes.CREDENTIALS:
        return AccessDenied(
            "credentials-refused",
            f"The server refused the credentials for {where}: {codes.CREDENTIALS[code]} ({answer_of(error)}).",
            cure="Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, where they are set.",
        )
    if code in codes.ACCOUNT or status == 402:
        return AccessDenied(
            "account-refused",
            f"The server refuses the whole account, at {where} ({answer_of(error)}).",
            why="It is suspended, unpaid or not signed up for S3.",
            cure="Settle it with the provider, then rerun.",
        )
    return None


def _damaged(error: boto.ClientError, where: str) -> StoreError | None:
    if code_of(error) not in codes.DAMAGED:
        return None
    return NotTheSame(
        "damaged-on-the-way", f"The server received other bytes for {where} than were sent ({answer_of(error)})."
    )


def _elsewhere(error: boto.ClientError, where: str) -> StoreError | None:
    code = code_of(error)
    if code in ADDRESSING_CODES:
        return addressing(code, where)
    if code in codes.WRONG_REGION or status_of(error) in (301, 307, 308):
        return wrong_region(code, where)
    return None


def _from_between(error: boto.ClientError, where: str) -> StoreError | None:
    """Answers of a proxy: its own status, or a web page where S3 sends XML."""
    status = status_of(error)
    if status == 407:
        return Unavailable(
            "proxy-refused",
            f"The proxy between this machine and the server refused the request for {where} (HTTP 407).",
            why="It wants a login, or refuses that in HTTP_PROXY or HTTPS_PROXY.",
            cure="Set HTTP_PROXY or HTTPS_PROXY to http://USER:PASSWORD@HOST:PORT, or name the host in NO_PROXY.",
        )
    is_page = "html" in header_of(error, "content-type") and code_of(error) in ("", str(status))
    if status in (400, 401, 403) and is_page:
        by = header_of(error, "server")
        named = f" (Server: {by})" if by.isprintable() and 0 < len(by) <= 60 else ""
        return AccessDenied(
            "proxy-refused",
            f"Something before the S3 server refused the request for {where}: HTTP {status}, with a web page{named}.",
            why="S3 servers answer in XML: a proxy, firewall or login page answered.",
            cure="Allow S3's requests there, or bypass it with NO_PROXY.",
        )
    return None


def _denied(error: boto.ClientError, where: str) -> StoreError | None:
    code, status = code_of(error), status_of(error)
    if code in codes.SLOW_DOWN or code in codes.FAILED_FOR_NOW:
        return None
    if code in codes.DENIED or status in (401, 403):
        return AccessDenied(
            "access-denied",
            f"The server does not allow this on {where} ({answer_of(error)}).",
            cure="Give these credentials the right.",
        )
    return None


def _for_now(error: boto.ClientError, where: str) -> StoreError | None:
    code, status = code_of(error), status_of(error)
    if code in codes.SLOW_DOWN or status in codes.SLOW_DOWN_STATUSES:
        return Unavailable("slow-down", f"The server asks to slow down at {where} ({answer_of(error)}).")
    is_failure = status >= 500 and status not in codes.NEVER_STATUSES
    if code in codes.FAILED_FOR_NOW or status in codes.FAILED_FOR_NOW_STATUSES or is_failure:
        return Unavailable("server-failed", f"The server failed at {where} ({answer_of(error)}).")
    return None


def _refused(error: boto.ClientError, where: str) -> StoreError:
    return StoreError("server-refused", f"The server refused {where} ({answer_of(error)}).")


Classifier = Callable[[boto.ClientError, str], StoreError | None]
_CLASSIFIERS: tuple[Classifier, ...] = (
    _missing,
    _taken,
    _archived,
    _full,
    _credentials,
    _damaged,
    _elsewhere,
    _from_between,
    limit_fault,
    _denied,
    _for_now,
    _refused,
)
"""Asked one after the other; the first that knows the answer names it."""
