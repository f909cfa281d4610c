"""Error codes and HTTP statuses of S3 servers and of proxies before them, by what they mean.

Sources: AWS' "Error responses"; MinIO's ``api-errors.go``; Ceph's ``rgw_common.cc``; SeaweedFS' ``s3err``; Backblaze B2, Wasabi and
OpenStack Swift as their bug reports show them.
"""

from __future__ import annotations

import re

DENIED = frozenset({"AccessDenied", "Forbidden", "403", "MethodNotAllowed"})
CREDENTIALS = {
    "InvalidAccessKeyId": "the server does not know this access key",
    "SignatureDoesNotMatch": "the signature does not match",
    "InvalidTokenId": "the server does not know this session token",
    "InvalidToken": "the session token is malformed or no longer valid",
    "ExpiredToken": "the session token has expired",
    "ExpiredTokenException": "the session token has expired",
    "TokenRefreshRequired": "the session token has to be refreshed",
}
ACCOUNT = frozenset(
    {"AccountProblem", "AllAccessDisabled", "NotSignedUp", "UserSuspended", "AccountSuspended", "InvalidPayer", "402"}
)
"""The account itself is refused: unpaid, suspended, not signed up."""
ARCHIVED = frozenset({"InvalidObjectState", "ObjectNotInActiveTierError", "InvalidStorageClass.Archived"})
FULL = frozenset({"XMinioStorageFull", "InsufficientStorage", "StorageFull", "NoSpaceLeft", "DiskFull", "507"})
"""The server, or the account, has no room."""
BUCKET_FULL = frozenset(
    {
        "QuotaExceeded",
        "QuotaExceededException",
        "XMinioAdminBucketQuotaExceeded",
        "EntityTooLargeForBucketQuota",
        "BucketQuotaExceeded",
        "StorageQuotaExceeded",
    }
)
"""A quota is used up: the bucket's, or that of its owner."""
TOO_MANY_BUCKETS = frozenset({"TooManyBuckets", "BucketLimitExceeded", "XMinioTooManyBuckets"})
DAMAGED = frozenset(
    {"BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "InvalidDigest", "XAmzContentChecksumMismatch"}
)
SLOW_DOWN = frozenset(
    {
        "SlowDown",
        "SlowDownRead",
        "SlowDownWrite",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "TooManyRequests",
        "TooManyRequestsException",
        "TooManyRequestException",
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "ReducedThroughput",
        "ServerBusy",
    }
)
SLOW_DOWN_STATUSES = frozenset({429, 503, 509, 529})
FAILED_FOR_NOW = frozenset(
    {
        "OperationAborted",
        "ConditionalRequestConflict",
        "PriorRequestNotComplete",
        "RequestTimeout",
        "RequestTimeoutException",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "ServiceFailure",
        "TransientError",
        "XMinioServerNotInitialized",
        "XMinioBackendDown",
        "XMinioReadQuorum",
        "XMinioWriteQuorum",
        "InsufficientReadQuorum",
        "InsufficientWriteQuorum",
    }
)
FAILED_FOR_NOW_STATUSES = frozenset({408, 425})
"""Beside these: every status from 500 on, but for `NEVER_STATUSES`."""
NEVER_STATUSES = frozenset({501, 505, 510})
"""Statuses from 500 on that say "never", not "not now"."""
WRONG_REGION = frozenset(
    {
        "PermanentRedirect",
        "TemporaryRedirect",
        "301",
        "307",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
    }
)
SKEWED = frozenset({"RequestTimeTooSkewed", "RequestInTheFuture", "RequestExpired"})
UNSUPPORTED = frozenset(
    {"NotImplemented", "MethodNotAllowed", "NotSupported", "UnsupportedOperation", "XNotImplemented"}
)
WRITES = frozenset(
    {
        "PutObject",
        "UploadPart",
        "CreateMultipartUpload",
        "CompleteMultipartUpload",
        "CopyObject",
        "UploadPartCopy",
        "CreateBucket",
    }
)

_CAP = re.compile(
    r"(?i)\b(transactions?|download|bandwidth|egress|class [abc]) caps? (has been )?(exceeded|reached)"
    r"|(transactions?|download|bandwidth|egress)\b[^.]{0,40}\bcap exceeded|monthly .{0,30}limit (has been )?(exceeded|reached)"
)
_FULL = re.compile(
    r"(?i)storage cap|capacity (is |has been )?(exceeded|reached)|exceeds? [^.]{0,40}(capacity|storage limit)"
    r"|no space left|no (free|writable) volumes?|(not enough|insufficient|out of) ((free|disk|storage) )*(space|storage|capacity)\b"
    r"|(disk|storage|volume|drive|device|cluster|pool|system) (is |are )?(almost )?full\b"
    r"|storage (limit|allowance) (has been |is )?(exceeded|reached)"
)
_BUCKET_FULL = re.compile(
    r"(?i)\bquota\b[^.]{0,60}(exceed|reach|full|used up)"
    r"|(exceed\w*|over|above|reached)\b[^.]{0,40}\bquota\b|bucket (is |size )?(full|limit)"
)
_OF_REQUESTS = re.compile(r"(?i)\b(rate|requests?|api calls?|queries|per (second|minute)|throughput|concurren\w+)\b")


def is_cap(message: str) -> bool:
    """Whether a server's message tells of a limit on traffic or requests that an account has bought."""
    return bool(_CAP.search(message))


def is_full(message: str) -> bool:
    """Whether it tells of a server or an account without room."""
    return bool(_FULL.search(message)) and not _OF_REQUESTS.search(message)


def is_quota(message: str) -> bool:
    """Whether it tells of a quota for what is stored; quotas for requests are none."""
    return bool(_BUCKET_FULL.search(message)) and not _OF_REQUESTS.search(message)
