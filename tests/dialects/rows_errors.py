"""Errors: what servers, proxies and the client's own settings say, each by its own name, with its cause and its cure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.dialects.memory import refused
from tests.dialects.rows import ALL, Answer, Change, Request, Row, answers, turns

SAID = "The server's words: "
QUICK = ("--patience", "1")


def raw(request: Request) -> bool:
    """Whether a raw file is meant, and no probe."""
    return "-" in request.key and ".bytes" not in request.key


def inside(bucket: str) -> Callable[[Request], bool]:
    """Whether the request is for this bucket."""
    return lambda request: request.bucket == bucket


def page(status: int, server: str, text: str = "Request refused") -> Answer:
    """What a proxy answers: a web page."""
    body = f"<html><head><title>{status} {text}</title></head><body><center>{server}</center></body></html>".encode()
    return Answer(status=status, headers={"Content-Type": "text/html", "Server": server}, body=body)


def _for_now(name: str, status: int, code: str, calls: str = "PutObject") -> Row:
    """A failure that passes: the first answer to each raw file."""
    ways = {"GetObject": "down", "CopyObject": "across"}
    return Row(
        name=f"for-now-{name}",
        met="servers under load, or while they restart",
        says=f"`{calls}` answers {status} {code} once for each raw file.".replace(f"{status} {status}", str(status)),
        does="Tries again, more slowly.",
        changes=(
            Change(
                calls,
                refused(status, code, "Not now.") if not code.isdigit() else page(status, "gateway"),
                raw,
                1,
                each_key=True,
            ),
        ),
        ways=(ways.get(calls, "up"),),  # type: ignore[arg-type]
        lanes=("bulk",),
        untold=("damage", "credentials"),
    )


TEMPORARY = (
    *(_for_now(str(status), status, str(status)) for status in (408, 425, 429, 500, 502, 503, 504)),
    *(_for_now(str(status), status, str(status)) for status in (520, 521, 522, 523, 524, 525, 526, 529, 530)),
    _for_now("request-timeout", 400, "RequestTimeout"),
    _for_now("internal-error", 500, "InternalError"),
    _for_now("operation-aborted", 409, "OperationAborted"),
    _for_now("conditional-conflict", 409, "ConditionalRequestConflict"),
    _for_now("too-many-requests", 403, "TooManyRequests"),
    _for_now("throttling", 400, "ThrottlingException"),
    _for_now("slow-down", 503, "SlowDown", "GetObject"),
    _for_now("slow-down-read", 503, "SlowDownRead", "GetObject"),
    _for_now("get-429", 429, "429", "GetObject"),
    _for_now("get-520", 520, "520", "GetObject"),
    _for_now("copy-aborted", 409, "OperationAborted", "CopyObject"),
    _for_now("not-initialized", 503, "XMinioServerNotInitialized"),
    Row(
        name="for-now-for-good",
        met="a server that is down behind its gateway",
        says="Every `PutObject` of a raw file answers 502.",
        does="Stops once `--patience` ends, with exit status 3.",
        changes=(Change("PutObject", page(502, "nginx"), raw),),
        options=QUICK,
        lanes=("bulk",),
        outcomes={},
        status=3,
        error="server-failed",
    ),
)


def _full(name: str, status: int, code: str, message: str, met: str, *, calls: str = "PutObject UploadPart") -> Row:
    return Row(
        name=f"full-{name}",
        met=met,
        says=f"A write answers {status} {code}: “{message}”",
        does="Stops at once with exit status 3: the target is full, and it says how to go on.",
        changes=(answers(calls, status, code, message, when=raw),),
        lanes=("bulk",),
        outcomes={},
        status=3,
        error="target-full",
        told=("no room", f"{SAID}'{message}'", "rerun"),
        untold=("credentials the right",),
    )


FULL = (
    _full(
        "minio-quota", 400, "XMinioAdminBucketQuotaExceeded", "Bucket quota exceeded", "MinIO's hard quota of a bucket"
    ),
    _full("ceph-quota", 403, "QuotaExceeded", "Quota of the user is used up", "Ceph RGW's quotas"),
    _full(
        "minio-disks",
        507,
        "XMinioStorageFull",
        "Storage backend has reached its minimum free drive threshold.",
        "MinIO",
    ),
    _full("507", 507, "InsufficientStorage", "Disk is full", "servers of several makers"),
    _full("b2-cap", 403, "AccessDenied", "Cannot upload files, storage cap exceeded.", "Backblaze B2's caps"),
    _full("swift-413", 413, "EntityTooLarge", "Upload exceeds quota.", "OpenStack Swift's quotas"),
    _full("400-words", 400, "InvalidRequest", "The storage limit has been reached", "providers with storage plans"),
    _full("weed-volumes", 500, "InternalError", "No writable volumes", "SeaweedFS without free volumes"),
    _full("disk-500", 500, "InternalError", "write: no space left on device", "gateways over a full disk"),
    replace(
        _full(
            "parts", 400, "XMinioAdminBucketQuotaExceeded", "Bucket quota exceeded", "MinIO's quota", calls="UploadPart"
        ),
        parts=True,
        lanes=("bulk", "boto3"),
    ),
    replace(
        _full("begin", 403, "QuotaExceeded", "Quota exceeded", "Ceph RGW's quotas", calls="CreateMultipartUpload"),
        parts=True,
    ),
    replace(
        _full("copy", 403, "QuotaExceeded", "Quota exceeded", "Ceph RGW's quotas", calls="CopyObject PutObject"),
        ways=("across",),
    ),
    Row(
        name="full-account-cap",
        met="Backblaze B2's caps on traffic",
        says="`GetObject` answers 403 AccessDenied: “Download bandwidth cap exceeded”",
        does="Stops with exit status 3: the account's limit, and where to raise it.",
        changes=(answers("GetObject", 403, "AccessDenied", "Download bandwidth cap exceeded", when=raw),),
        ways=("down",),
        lanes=("bulk",),
        outcomes={},
        status=3,
        error="account-limit",
        told=("Raise the limit",),
    ),
    Row(
        name="full-one-bucket",
        met="MinIO, with a quota for each organization's bucket",
        says="Writes to one bucket answer 400 XMinioAdminBucketQuotaExceeded; the others work.",
        does="Its organization's raw files fail; the others are copied; exit status 1.",
        changes=(
            answers(
                "PutObject",
                400,
                "XMinioAdminBucketQuotaExceeded",
                "Bucket quota exceeded",
                when=lambda request: request.bucket == "new-b1" and raw(request),
            ),
        ),
        organizations=("acme", "b1", "c2"),
        per_organization=True,
        outcomes={"copied": 6, "failed": 3},
        status=1,
        error="target-full",
        told=("The bucket has no room", "Raise the quota"),
    ),
    Row(
        name="full-all-buckets",
        met="MinIO, with a quota for each organization's bucket",
        says="Writes to every bucket answer 400 XMinioAdminBucketQuotaExceeded.",
        does="Stops with exit status 3: no bucket has room.",
        changes=(answers("PutObject", 400, "XMinioAdminBucketQuotaExceeded", "Bucket quota exceeded", when=raw),),
        organizations=("acme", "b1"),
        per_organization=True,
        lanes=("bulk",),
        outcomes={},
        status=3,
        error="target-full",
        told=("all 2 buckets",),
    ),
    Row(
        name="full-request-quota",
        met="Google Cloud Storage's limits on requests",
        says="`PutObject` answers 429: “Quota exceeded for requests per minute” once for each raw file.",
        does="Tries again, more slowly.",
        changes=(
            answers(
                "PutObject",
                429,
                "TooManyRequests",
                "Quota exceeded for requests per minute",
                when=raw,
                times=1,
                each_key=True,
            ),
        ),
        lanes=("bulk",),
        untold=("no room",),
    ),
    Row(
        name="too-many-buckets",
        met="AWS and DigitalOcean: accounts may have so many buckets",
        says="`CreateBucket` answers 400 TooManyBuckets.",
        does="Names the limit, and one bucket for all as a way out.",
        changes=(
            answers("CreateBucket", 400, "TooManyBuckets", "You have attempted to create more buckets than allowed"),
        ),
        bucket_exists=False,
        lanes=("bulk",),
        outcomes={},
        status=3,
        error="too-many-buckets",
        told=("BUCKET_PER_ORG=false",),
    ),
)


ARCHIVED_CODE = "InvalidObjectState"
ARCHIVED_SAID = "The operation is not valid for the object's storage class"
ARCHIVED = (
    Row(
        name="archived-all",
        met="AWS S3 Glacier, Scaleway Glacier, OVH Cold Archive",
        says="`GetObject` of each object answers 403 InvalidObjectState.",
        does="Each fails as archived.",
        changes=(answers("GetObject", 403, ARCHIVED_CODE, ARCHIVED_SAID, when=raw),),
        ways=("down",),
        outcomes={"failed": ALL},
        status=1,
        error="archived",
        told=("restore", ARCHIVED_SAID),
        untold=("credentials the right", "access-denied"),
    ),
    Row(
        name="archived-parts",
        met="AWS S3 Glacier: large objects moved by a rule",
        says="`GetObject` of the large object answers 403 InvalidObjectState.",
        does="That one fails as archived; the others are copied.",
        changes=(
            answers(
                "GetObject",
                403,
                ARCHIVED_CODE,
                ARCHIVED_SAID,
                when=lambda request: raw(request) and _is_of_parts(request),
            ),
        ),
        ways=("down",),
        parts=True,
        outcomes={"failed": 1, "copied": 3},
        status=1,
        error="archived",
        told=("restore",),
    ),
    Row(
        name="archived-copy",
        met="AWS S3 Glacier",
        says="`CopyObject` answers 403 ObjectNotInActiveTierError.",
        does="Each fails as archived.",
        changes=(answers("CopyObject GetObject", 403, "ObjectNotInActiveTierError", "Restore it first", when=raw),),
        ways=("across",),
        outcomes={"failed": ALL},
        status=1,
        error="archived",
    ),
    Row(
        name="archived-verify",
        met="AWS S3 Glacier",
        says="`GetObject` answers 403 InvalidObjectState.",
        does="`verify` says archived, not damaged and not refused.",
        changes=(answers("GetObject", 403, ARCHIVED_CODE, ARCHIVED_SAID, when=raw),),
        command="verify",
        options=("--level", "content"),
        there=(0, 1, 2),
        outcomes={"failed": ALL},
        lanes=("bulk",),
        status=1,
        error="archived",
        told=("restore",),
    ),
)


def _is_of_parts(request: Request) -> bool:
    """Whether a range is asked for: small raw files are read whole."""
    return "range" in request.headers


def _limit(name: str, status: int, server: str, error: str, told: tuple[str, ...], *, parts: bool = False) -> Row:
    return Row(
        name=f"limit-{name}",
        met=f"{server} before the server",
        says=f"`{'UploadPart' if parts else 'PutObject'}` answers {status} with a web page of {server}.",
        does="Names the limit, whose it is, and how large it has to be.",
        changes=(Change("UploadPart" if parts else "PutObject", page(status, server), raw),),
        parts=parts,
        outcomes={"failed": 1, "copied": 3} if parts else {"failed": ALL},
        status=1,
        error=error,
        told=told,
        untold=("credentials the right",),
    )


LIMITS = (
    _limit("nginx-413", 413, "nginx/1.22.1", "body-too-large", ("client_max_body_size", "16 MiB", "parts of 8 MiB")),
    _limit("nginx-413-parts", 413, "nginx", "body-too-large", ("client_max_body_size", "8,388,608 bytes"), parts=True),
    _limit("cloudflare-413", 413, "cloudflare", "body-too-large", ("Cloudflare",)),
    _limit("apache-413", 413, "Apache/2.4.57", "body-too-large", ("LimitRequestBody",)),
    _limit("unknown-413", 413, "gateway", "body-too-large", ("client_max_body_size",)),
    _limit("411", 411, "nginx", "length-required", ("proxy_request_buffering",)),
    _limit("414", 414, "nginx", "address-too-long", ("large_client_header_buffers",)),
    _limit("431", 431, "envoy", "headers-too-large", ("session token",)),
)


def _canonical(host: str) -> str:
    return f"<CanonicalRequest>GET\n/new\n\nhost:{host}\nx-amz-date:1\n\nhost</CanonicalRequest>"


def _skewed(answer: Answer) -> Answer:
    return answer.with_headers({"Date": "Fri, 02 Jan 2015 03:04:05 GMT"})


def _refused(name: str, change: Change, met: str, says: str, does: str, error: str, told: tuple[str, ...]) -> Row:
    return Row(
        name=f"refused-{name}",
        met=met,
        says=says,
        does=does,
        changes=(change,),
        lanes=("bulk",),
        options=QUICK,
        outcomes={},
        status=3,
        error=error,
        told=told,
    )


KEYS = (
    _refused(
        "signature",
        answers("*", 403, "SignatureDoesNotMatch", "Check your key and signing method."),
        "wrong secret keys, and proxies that rewrite Host",
        "Everything answers 403 SignatureDoesNotMatch.",
        "Names both causes.",
        "credentials-refused",
        ("AWS_SECRET_ACCESS_KEY", "proxy_set_header Host"),
    ),
    _refused(
        "host",
        answers("*", 403, "SignatureDoesNotMatch", "No match.", more=_canonical("backend:9000")),
        "nginx without `proxy_set_header Host`",
        "403 SignatureDoesNotMatch, with another host in the canonical request.",
        "Names both hosts, and says that Bytes fails there too.",
        "host-rewritten",
        ("backend:9000 arrived", "Bytes fails there too"),
    ),
    _refused(
        "behind-nginx",
        Change("*", refused(403, "SignatureDoesNotMatch").with_headers({"Server": "nginx/1.22.1"})),
        "nginx before a server that tells nothing",
        "403 SignatureDoesNotMatch, and a Server header of nginx.",
        "Says that the answer names a proxy.",
        "credentials-refused",
        ("names a proxy: Server: nginx/1.22.1",),
    ),
    _refused(
        "clock",
        answers("*", 403, "RequestTimeTooSkewed", "The difference is too large."),
        "AWS, MinIO and others, where a clock is wrong",
        "403 RequestTimeTooSkewed.",
        "Names the clocks, and by how much they differ.",
        "clock-skew",
        ("timedatectl",),
    ),
    _refused(
        "clock-untold",
        Change("*", _skewed(refused(403, "AccessDenied"))),
        "`rclone serve s3`, and gateways, where a clock is wrong",
        "403 AccessDenied, with a Date that is hours off.",
        "Names the clocks: the evidence is in the answer.",
        "clock-skew",
        ("timedatectl",),
    ),
    _refused(
        "key",
        answers("*", 403, "InvalidAccessKeyId", "No such key."),
        "every server, for a key that it does not know",
        "403 InvalidAccessKeyId.",
        "Names the access key.",
        "credentials-refused",
        ("does not know this access key", "AWS_ACCESS_KEY_ID"),
    ),
    _refused(
        "token",
        answers("*", 400, "ExpiredToken", "The provided token has expired."),
        "AWS, with temporary keys",
        "400 ExpiredToken.",
        "Names the session token.",
        "credentials-refused",
        ("session token has expired",),
    ),
    _refused(
        "account",
        answers("*", 403, "AllAccessDisabled", "All access to this object has been disabled"),
        "AWS and Wasabi: accounts that are suspended or unpaid",
        "403 AllAccessDisabled.",
        "Says that the account is refused, not a right.",
        "account-refused",
        ("suspended", "has been disabled"),
    ),
    _refused(
        "proxy-login",
        Change("*", page(407, "squid")),
        "a forward proxy that wants a login",
        "407 with a web page.",
        "Names the proxy and HTTP_PROXY, and waits for `--patience`.",
        "proxy-refused",
        ("NO_PROXY",),
    ),
    _refused(
        "firewall",
        Change("*", replace(page(403, "waf"), status=403)),
        "a web application firewall",
        "403 with a web page in place of XML.",
        "Says that something before the server refused.",
        "proxy-refused",
        ("proxy",),
    ),
    Row(
        name="refused-firewall-writes",
        met="a web application firewall that looks at bodies",
        says="`PutObject` of raw files answers 403 with a web page.",
        does="Says that something before the server refused.",
        changes=(Change("PutObject", page(403, "waf"), raw),),
        outcomes={"failed": ALL},
        status=1,
        error="proxy-refused",
        told=("firewall",),
        untold=("credentials the right",),
    ),
    Row(
        name="refused-words",
        met="policies that say why in words",
        says="`PutObject` answers 403 AccessDenied: “with an explicit deny in a bucket policy”",
        does="Shows the server's words.",
        changes=(
            answers("PutObject", 403, "AccessDenied", "with an explicit deny in a bucket policy\u202e", when=raw),
        ),
        outcomes={"failed": ALL},
        status=1,
        error="access-denied",
        told=(f"{SAID}'with an explicit deny in a bucket policy",),
    ),
)
DENIED = "not authorized to perform this"
BUCKETS = (
    Row(
        name="bucket-denied-source",
        met="keys that may list all buckets, and read some",
        says="One bucket answers 403 to everything.",
        does="It counts as unreadable; the others are copied; exit status 1.",
        changes=(answers("*", 403, "AccessDenied", DENIED, when=inside("old-b1")),),
        ways=("down", "across"),
        organizations=("acme", "b1", "c2"),
        per_organization=True,
        outcomes={"copied": 6},
        status=1,
        error="access-denied",
        told=("old-b1", DENIED, "--organization"),
        lanes=("bulk",),
    ),
    Row(
        name="bucket-denied-chosen",
        met="keys that may list all buckets, and read some",
        says="One chosen organization's bucket answers 403.",
        does="The others are copied; exit status 1.",
        changes=(answers("*", 403, "AccessDenied", DENIED, when=inside("old-b1")),),
        ways=("down",),
        organizations=("acme", "b1"),
        per_organization=True,
        options=("--organization", "acme", "--organization", "b1"),
        outcomes={"copied": 3},
        status=1,
        error="access-denied",
        lanes=("bulk",),
    ),
    Row(
        name="bucket-denied-target",
        met="a policy on one bucket of many",
        says="One bucket of the target answers 403 to everything.",
        does="Its organization's raw files fail; the others are copied; exit status 1.",
        changes=(answers("*", 403, "AccessDenied", DENIED, when=inside("new-b1")),),
        ways=("up", "across"),
        organizations=("acme", "b1", "c2"),
        per_organization=True,
        outcomes={"copied": 6, "failed": 3},
        status=1,
        error="access-denied",
        told=("new-b1", DENIED),
        lanes=("bulk",),
    ),
    Row(
        name="bucket-denied-plan",
        met="a policy on one bucket of many",
        says="One bucket of the target answers 403 to everything.",
        does="`plan` says the same.",
        changes=(answers("*", 403, "AccessDenied", DENIED, when=inside("new-b1")),),
        organizations=("acme", "b1"),
        per_organization=True,
        command="plan",
        status=1,
        error="bucket-denied",
        told=("new-b1",),
        lanes=("bulk",),
    ),
    Row(
        name="bucket-denied-verify",
        met="a policy on one bucket of many",
        says="One bucket of the target answers 403 to everything.",
        does="`verify` proves the others, and exits with 1.",
        changes=(answers("*", 403, "AccessDenied", DENIED, when=inside("new-b1")),),
        organizations=("acme", "b1"),
        per_organization=True,
        there=(0, 1, 2),
        command="verify",
        outcomes={"proven": 3, "failed": 3},
        status=1,
        error="access-denied",
        lanes=("bulk",),
    ),
    Row(
        name="bucket-write-denied",
        met="a policy without s3:PutObject on one bucket of many",
        says="Writes to one bucket answer 403.",
        does="Found before anything is moved; the others are copied.",
        changes=(
            answers(
                "PutObject CreateMultipartUpload CompleteMultipartUpload AbortMultipartUpload ListParts",
                403,
                "AccessDenied",
                DENIED,
                when=inside("new-b1"),
            ),
        ),
        organizations=("acme", "b1", "c2"),
        per_organization=True,
        outcomes={"copied": 6, "failed": 3},
        status=1,
        error="bucket-denied",
        told=("s3:PutObject",),
        lanes=("bulk",),
    ),
    Row(
        name="bucket-write-denied-late",
        met="a policy that looks at conditions, on one bucket of many",
        says="`PutObject` into one bucket answers 403; harmless questions do not.",
        does="The raw files fail, the others are copied.",
        changes=(
            answers(
                "PutObject",
                403,
                "AccessDenied",
                DENIED,
                when=lambda request: inside("new-b1")(request) and raw(request),
            ),
        ),
        organizations=("acme", "b1", "c2"),
        per_organization=True,
        outcomes={"copied": 6, "failed": 3},
        status=1,
        error="access-denied",
    ),
    Row(
        name="bucket-list-denied-late",
        met="a policy without s3:ListBucket on one bucket of many",
        says="HEAD of each bucket works; the listing of one answers 403.",
        does="Its raw files fail; the others are copied.",
        changes=(answers("ListObjectsV2 ListObjects", 403, "AccessDenied", DENIED, when=inside("new-b1")),),
        organizations=("acme", "b1", "c2"),
        per_organization=True,
        outcomes={"copied": 6, "failed": 3},
        status=1,
        error="access-denied",
        lanes=("bulk",),
    ),
    Row(
        name="bucket-create-denied",
        met="a policy without s3:CreateBucket on one bucket of many",
        says="`CreateBucket` of one bucket answers 403, which Bytes calls each time.",
        does="Its raw files fail, as Bytes could not read there; the others are copied.",
        changes=(answers("CreateBucket", 403, "AccessDenied", DENIED, when=inside("new-b1")),),
        organizations=("acme", "b1", "c2"),
        per_organization=True,
        bytes_calls=True,
        outcomes={"copied": 6, "failed": 3},
        status=1,
        error="bucket-denied",
        lanes=("bulk",),
    ),
    Row(
        name="bucket-all-denied",
        met="keys without rights",
        says="Every bucket of the target answers 403 to everything.",
        does="Does not start; exit status 3.",
        changes=(answers("*", 403, "AccessDenied", DENIED, when=lambda request: request.bucket.startswith("new")),),
        organizations=("acme", "b1"),
        per_organization=True,
        outcomes={},
        status=3,
        error="access-denied",
        lanes=("bulk",),
    ),
)


def _with_other_buckets(answer: Answer) -> Answer:
    return answer.replaced("<Name>new</Name>", "<Name>other</Name>")


CREATED_ONCE = (
    Change("CreateBucket", lambda request, serve: serve(request), times=1),
    answers("CreateBucket", 409, "BucketAlreadyOwnedByYou"),
)
"""A bucket that is there is refused, as by MinIO's gateway code."""


def _has_no_md5(request: Request) -> bool:
    return request.operation == "PutObject" and "content-md5" not in request.headers


DOCTOR = (
    Row(
        name="doctor-unlisted",
        met="a bucket of another account, shared by a policy",
        says="`ListBuckets` does not name it; all calls on it work.",
        does="`doctor` looks at the bucket itself.",
        changes=(turns("ListBuckets", _with_other_buckets),),
        command="doctor",
        lanes=("boto3",),
        untold=("is missing", '"exists": false'),
    ),
    Row(
        name="doctor-every-call",
        met="JuiceFS' gateway over HTTPS",
        says="Bytes' `PutObject` answers 411, and `CreateBucket` of a bucket that is there 409.",
        does="`doctor --probe` names both, each with its cure.",
        changes=(
            *CREATED_ONCE,
            Change("PutObject", refused(411, "MissingContentLength"), _has_no_md5),
        ),
        command="doctor",
        options=("--probe", "--yes"),
        bytes_calls=True,
        bucket_exists=False,
        lanes=("boto3",),
        status=1,
        error="bytes-calls",
        told=("411", "409", "AWS_REQUEST_CHECKSUM_CALCULATION", "nginx"),
    ),
    Row(
        name="migrate-every-call",
        met="JuiceFS' gateway over HTTPS",
        says="Bytes' `PutObject` answers 411, and `CreateBucket` of a bucket that is there 409.",
        does="`migrate` does not start, and names both as `doctor` does.",
        changes=(
            *CREATED_ONCE,
            Change("PutObject", refused(411, "MissingContentLength"), _has_no_md5),
        ),
        bytes_calls=True,
        lanes=("boto3",),
        outcomes={},
        status=3,
        error="bytes-calls",
        told=("411", "409", "AWS_REQUEST_CHECKSUM_CALCULATION", "nginx"),
    ),
    Row(
        name="doctor-one-bucket-denied",
        met="a policy on one bucket of many",
        says="Writes to one bucket of the target answer 403.",
        does="`doctor` names it.",
        changes=(answers("PutObject CompleteMultipartUpload", 403, "AccessDenied", DENIED, when=inside("new-b1")),),
        organizations=("acme", "b1"),
        per_organization=True,
        command="doctor",
        lanes=("boto3",),
        status=1,
        error="rights-target",
        told=("s3:PutObject on new-b1/*",),
    ),
)


def _own(
    name: str, environment: dict[str, str | None], error: str, told: str, *, status: int = 2, command: str = "plan"
) -> Row:
    return Row(
        name=f"own-{name}",
        met="settings of this machine" if status == 2 else "networks between this machine and the server",
        says="A profile, file, token or endpoint that they name is not there."
        if status == 2
        else "The host is not known, or nothing listens there; or so with the proxy.",
        does="Says so at once with exit status 2, before any request."
        if status == 2
        else "Exit status 3 once `--patience` ends, with the cause.",
        environment={
            "AWS_EC2_METADATA_DISABLED": "true",
            **({"S3_BUCKET": "new", "BUCKET_PER_ORG": "false"} if command == "prune" else {}),
            **environment,
        },
        command=command,
        options=QUICK if command in ("plan", "migrate") and status == 3 else (),
        lanes=("boto3",),
        outcomes={},
        status=status,
        error=error,
        told=(told,),
        requests={"*": (0, 0)},
    )


_NO_KEYS: dict[str, str | None] = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
_CA: dict[str, str | None] = {"AWS_ENDPOINT_URL": "https://127.0.0.1:1", "AWS_CA_BUNDLE": "/none/ca.pem"}
OWN = (
    _own(
        "no-keys",
        {**_NO_KEYS, "AWS_CONFIG_FILE": "/none", "AWS_SHARED_CREDENTIALS_FILE": "/none"},
        "no-credentials",
        "AWS_PROFILE",
    ),
    _own("profile", {**_NO_KEYS, "AWS_PROFILE": "nobody"}, "profile-missing", "nobody"),
    *(
        _own(f"ca-bundle-{command}", _CA, "ca-bundle-unusable", "/none/ca.pem", command=command)
        for command in ("plan", "migrate", "verify", "doctor", "prune")
    ),
    _own(
        "web-identity",
        {
            **_NO_KEYS,
            "AWS_WEB_IDENTITY_TOKEN_FILE": "/none/token",
            "AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/Ops",
        },
        "aws-file-unusable",
        "/none/token",
    ),
    _own("name", {"AWS_ENDPOINT_URL": "http://s3.invalid:9000"}, "host-not-found", "s3.invalid", status=3),
    _own("port", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "connection-refused", "127.0.0.1:1", status=3),
    _own(
        "proxy",
        {"HTTP_PROXY": "http://me:hidden@127.0.0.1:1", "NO_PROXY": "", "no_proxy": None},
        "proxy-refused",
        "http://127.0.0.1:1",
        status=3,
    ),
)
ROWS = (*TEMPORARY, *FULL, *ARCHIVED, *LIMITS, *KEYS, *BUCKETS, *DOCTOR, *OWN)
