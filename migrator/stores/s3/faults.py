"""boto3's errors in the words of this program: classified by code and type, never by text."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore import exceptions as boto
from urllib3.exceptions import HTTPError

from migrator.doctor.calls import ADDRESSING_CODES
from migrator.errors import (
    AccessDenied,
    AlreadyThere,
    BucketMissing,
    NotTheSame,
    StoreError,
    StoreFull,
    Unavailable,
    Vanished,
)

_DENIED = {"AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden", "403", "MethodNotAllowed"}
_CREDENTIALS = {
    "InvalidAccessKeyId": "the server does not know this access key",
    "SignatureDoesNotMatch": "the secret key does not belong to this access key",
    "InvalidTokenId": "the server does not know this session token",
    "InvalidToken": "the session token is malformed or no longer valid",
    "ExpiredToken": "the session token has expired",
    "TokenRefreshRequired": "the session token has to be refreshed",
}
_FULL = {"XMinioStorageFull", "QuotaExceeded", "InsufficientStorage", "507", "EntityTooLargeForBucketQuota"}
_DAMAGED = {"BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "InvalidDigest", "XAmzContentChecksumMismatch"}
_SLOW_DOWN = {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "429", "503"}
_CONFLICT = {"OperationAborted", "ConditionalRequestConflict", "RequestTimeout"}
_WRONG_REGION = {
    "PermanentRedirect",
    "TemporaryRedirect",
    "301",
    "307",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
}
_UNSUPPORTED = {"NotImplemented", "MethodNotAllowed", "NotSupported", "UnsupportedOperation", "XNotImplemented"}
_OF_NO_OBJECT = {"ListBuckets", "ListObjectsV2", "ListMultipartUploads", "CreateBucket"}
"""Calls that S3 answers with 404 for a missing bucket alone, and then says so."""
_REQUEST_ID = re.compile(r"[\w=+/.:-]{1,128}", re.ASCII)
SKEW_CODE = "RequestTimeTooSkewed"


def code_of(error: BaseException) -> str:
    """The server's error code; for HEAD, whose answers carry none, the HTTP status."""
    if isinstance(error, boto.ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""


def status_of(error: BaseException) -> int:
    if isinstance(error, boto.ClientError):
        return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return 0


def tries_before(error: BaseException | None) -> int:
    """How often botocore had sent the request before, and got no answer that it took."""
    if isinstance(error, boto.ClientError):
        return int(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0))
    return 1


def translate(error: Exception, where: str) -> StoreError:
    """What a failed call on `where` (an ``s3://`` URL or an endpoint) means."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, boto.ClientError):
        found = _from_answer(error, where)
        found.request_id = request_id_of(error)
        return found
    return _from_transport(error, where)


def request_id_of(error: boto.ClientError) -> str:
    """What the server's log knows the request by; nothing that does not look like it."""
    known = error.response.get("ResponseMetadata", {})
    found = str(known.get("RequestId") or known.get("HTTPHeaders", {}).get("x-amz-request-id") or "")
    return found if _REQUEST_ID.fullmatch(found) else ""


def _from_answer(error: boto.ClientError, where: str) -> StoreError:
    code, status = code_of(error), status_of(error)
    if status == 404 and code != "NoSuchBucket" and error.operation_name in _OF_NO_OBJECT:
        return _of_no_server(error, code, where)
    if code in ("NoSuchKey", "404") or (status == 404 and code not in ("NoSuchBucket", "NoSuchUpload")):
        return Vanished("vanished", f"{where} is not there.")
    if code == "NoSuchBucket":
        return BucketMissing("bucket-missing", f"The bucket of {where} does not exist.")
    if code in _CREDENTIALS:
        return AccessDenied(
            "credentials-refused",
            f"The server refused the credentials for {where}: {_CREDENTIALS[code]} ({code}).",
            cure="Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, where they are set.",
        )
    if code == SKEW_CODE:
        return _clock_skew(error.response, where)
    if status == 412 or code == "PreconditionFailed":
        return AlreadyThere("already-there", f"{where} exists by now, or is not what it was.")
    if code in _FULL or status == 507:
        return StoreFull("target-full", f"The server has no room for {where} ({code}).")
    if code in _DAMAGED:
        return NotTheSame("damaged-on-the-way", f"The server received other bytes for {where} than were sent ({code}).")
    if code in ADDRESSING_CODES or code in _WRONG_REGION or status in (301, 307, 308):
        return _addressing(code, where) if code in ADDRESSING_CODES else _wrong_region(code, where)
    if code in _DENIED or status in (401, 403):
        return AccessDenied(
            "access-denied",
            f"The server does not allow this on {where} ({code}).",
            cure="Give these credentials the right.",
        )
    if code in _SLOW_DOWN or status in (429, 503):
        return Unavailable("slow-down", f"The server asks to slow down at {where} ({code}).")
    if code in _CONFLICT or (status >= 500 and status != 501):
        return Unavailable("server-failed", f"The server failed at {where} ({code}).")
    return StoreError("server-refused", f"The server refused {where} ({code}, HTTP {status}).")


def _of_no_server(error: boto.ClientError, code: str, where: str) -> StoreError:
    """What a 404 means that names no bucket. botocore makes the status the error's code where it cannot read the XML to its end."""
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    if code == "404" and "xml" in headers.get("content-type", "") and headers.get("content-length") != "0":
        return Unavailable("broken-off", f"The answer about {where} ended early.")
    return StoreError(
        "not-s3",
        f"What answers for {where} is no S3 server: it does not know the request at all ({code}).",
        why="Another service on that host answers there, or a proxy that does not pass S3's requests on.",
        cure="Check AWS_ENDPOINT_URL, its port above all: it is the S3 gateway's, such as 8333 for SeaweedFS or 9000 for MinIO.",
    )


def _from_transport(error: Exception, where: str) -> StoreError:
    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)):
        return AccessDenied(
            "no-credentials",
            f"There are no credentials for {where}.",
            cure="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE.",
        )
    if isinstance(error, boto.SSLError):
        return AccessDenied(
            "tls",
            f"The certificate of the server {_server_of(error)} is not trusted, or it speaks no TLS there, for {where}.",
            cure="Give its CA's certificates with --ca-bundle FILE or AWS_CA_BUNDLE; for a server without TLS begin the endpoint with http://.",
        )
    if isinstance(error, boto.ParamValidationError):
        return StoreError("name-refused", f"boto3 refuses the name of {where}: it breaks S3's naming rules.")
    if isinstance(error, RecursionError) or isinstance(error.__context__, RecursionError):
        return _wrong_region("307", where)
    if isinstance(error, (boto.BotoCoreError, HTTPError, OSError, ValueError)):
        what = f"The server {_server_of(error)} could not be reached or broke off for {where} ({_kind(error)})."
        return Unavailable("unreachable", " ".join(what.split()))
    raise error


def _server_of(error: Exception) -> str:
    """Scheme, host and port of the request that failed, where boto3 tells; nothing else of its URL is fit to be shown."""
    parts = urlsplit(str(getattr(error, "kwargs", {}).get("endpoint_url", "")))
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc and "@" not in parts.netloc else ""


def _kind(error: Exception) -> str:
    """The error's kind in words; its text may hold a URL with a signature."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", type(error).__name__)
    return words.lower().removesuffix(" error")


def _wrong_region(code: str, where: str) -> StoreError:
    return StoreError(
        "wrong-region",
        f"The server sends requests for {where} elsewhere ({code}).",
        why="The bucket is in another region, or the endpoint is another server's.",
        cure="Set AWS_DEFAULT_REGION (or --region) to the bucket's region and check AWS_ENDPOINT_URL.",
    )


def is_unsupported(error: BaseException) -> bool:
    """Whether the server does not know this call at all: 501, 405, or a code that says so. `error` is boto3's, or what was made of it."""
    cause = error if isinstance(error, boto.ClientError) else error.__cause__ or error
    return status_of(cause) in (405, 501) or code_of(cause) in _UNSUPPORTED


def _addressing(code: str, where: str) -> StoreError:
    return StoreError(
        "addressing",
        f"The server takes no path-style requests, as for {where} ({code}).",
        why="It wants the bucket's name in the host name (virtual-hosted addressing).",
        cure="Use an endpoint with a host name under which its buckets' names resolve, and for Bytes addressing_style = virtual, in the"
        " section s3 of the AWS configuration file.",
    )


def _clock_skew(response: Mapping[str, Any], where: str) -> StoreError:
    date = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        parsed = email.utils.parsedate_to_datetime(date).timestamp()
    except ValueError:  # none, or something else: it is the server's
        parsed = None
    seen = f" by {abs(time.time() - parsed):.0f} seconds" if parsed is not None else ""
    return AccessDenied(
        "clock-skew",
        f"The clocks of this machine and of the server at {where} differ{seen}.",
        why="S3 accepts signatures for 15 minutes.",
        cure="Set this machine's clock (timedatectl set-ntp true), or the server's.",
    )
