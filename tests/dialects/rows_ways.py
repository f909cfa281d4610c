"""Calls that a server does not know or does not allow, and late answers."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from tests.dialects.rows import Change, Request, Row, answers, refused
from tests.dialects.signatures import region_of


def is_unsigned(request: Request) -> bool:
    return request.headers.get("x-amz-content-sha256") == "UNSIGNED-PAYLOAD"


def is_not_for(region: str) -> Callable[[Request], bool]:
    """Requests that are signed for another region."""
    return lambda request: region_of(request) != region


def is_path_style(request: Request) -> bool:
    host = urlsplit(request.target).netloc or request.headers["host"]
    return bool(request.bucket) and not host.startswith(f"{request.bucket}.")


def has_no_digest(request: Request) -> bool:
    is_told = any(name.startswith(("x-amz-checksum-", "content-md5")) for name in request.headers)
    return bool(request.key) and not is_told


ROWS = (
    Row(
        name="s3",
        met="AWS S3, and servers that answer as it does",
        says="Nothing: every documented call works.",
        does="Sends one request for each small file, and one for each part.",
        ways=("up", "down", "across"),
        parts=True,
        bytes_calls=True,
    ),
    Row(
        name="s3-each",
        met="AWS S3, with a bucket for each organization",
        says="Nothing: every documented call works.",
        does="The same, in the bucket of each organization.",
        ways=("up", "down", "across"),
        organizations=("acme", "b1"),
        per_organization=True,
    ),
    Row(
        name="default-port",
        met="an endpoint that names the default port of its scheme (`http://host:80`)",
        says="Clients send `Host` without the port, and servers check the signature over what was sent.",
        does="Signs the host as it is sent, in both lanes: no request costs a 403 first.",
        ways=("up", "down"),
        parts=True,
        environment={"AWS_ENDPOINT_URL": "http://s3.test:80", "HTTP_PROXY": "{url}", "http_proxy": "{url}"},
        check=lambda run: not run.memory.count(status=403),
    ),
    Row(
        name="unsigned-denied",
        met="a bucket policy against `x-amz-content-sha256: UNSIGNED-PAYLOAD`, as AWS recommends",
        says="403 AccessDenied for content that is not signed.",
        does="Signs the content from then on, in both lanes, and reports it once.",
        changes=(answers("*", 403, "AccessDenied", when=is_unsigned),),
        ways=("up", "down"),
        parts=True,
        requests={"PutObject": (0, 10), "UploadPart": (0, 3)},
        check=lambda run: run.memory.count(status=403) <= 1,
    ),
    Row(
        name="unsigned-digest",
        met="servers that take no UNSIGNED-PAYLOAD",
        says="400 InvalidDigest for content that is not signed.",
        does="Signs the content from then on, and says nothing of damage.",
        changes=(answers("*", 400, "InvalidDigest", when=is_unsigned),),
        untold=("other bytes", "damaged"),
        check=lambda run: run.memory.count("PutObject", status=400) <= 2,
    ),
    Row(
        name="unsigned-hashed",
        met="servers that hash every body and compare",
        says="400 XAmzContentSHA256Mismatch for content that is not signed.",
        does="Signs the content from then on, and says nothing of damage.",
        changes=(answers("*", 400, "XAmzContentSHA256Mismatch", when=is_unsigned),),
        untold=("other bytes", "damaged"),
    ),
    Row(
        name="unsigned-not-implemented",
        met="gateways without UNSIGNED-PAYLOAD",
        says="501 NotImplemented for content that is not signed.",
        does="Signs the content from then on.",
        changes=(answers("*", 501, "NotImplemented", when=is_unsigned),),
    ),
    Row(
        name="region-told",
        met="Garage, MinIO with MINIO_REGION, and other servers with a region of their own",
        says="400 AuthorizationHeaderMalformed with the right region for requests that are signed for another one.",
        does="Takes over the region, names it as the setting that Bytes needs, and prints it with the settings.",
        changes=(
            answers(
                "*", 400, "AuthorizationHeaderMalformed", more="<Region>garage</Region>", when=is_not_for("garage")
            ),
        ),
        ways=("up", "down", "across"),
        told=("AWS_DEFAULT_REGION=garage",),
        bytes_calls=True,
    ),
    Row(
        name="region-told-in-words",
        met="servers and proxies that name the region in the message alone",
        says="400 AuthorizationHeaderMalformed: the region 'us-east-1' is wrong; expecting 'eu-west-1'.",
        does="Takes over the region, and names it as the setting that Bytes needs.",
        changes=(
            answers(
                "*",
                400,
                "AuthorizationHeaderMalformed",
                "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'",
                when=is_not_for("eu-west-1"),
            ),
        ),
        told=("AWS_DEFAULT_REGION=eu-west-1",),
    ),
    Row(
        name="region-not-told",
        met="servers with a region of their own that keep it to themselves",
        says="400 AuthorizationHeaderMalformed without the right region.",
        does="Stops before anything is moved, and names the setting.",
        changes=(answers("*", 400, "AuthorizationHeaderMalformed", when=is_not_for("garage")),),
        ways=("up", "down"),
        lanes=("bulk",),
        outcomes={},
        status=3,
        error="wrong-region",
        told=("AWS_DEFAULT_REGION",),
    ),
    Row(
        name="redirect-permanent",
        met="AWS for a bucket of another region, behind a fixed endpoint",
        says="301 PermanentRedirect with the bucket's region in a header.",
        does="Takes over the region.",
        changes=(
            Change(
                "*",
                refused(301, "PermanentRedirect").with_headers({"x-amz-bucket-region": "eu-west-1"}),
                is_not_for("eu-west-1"),
            ),
        ),
        told=("AWS_DEFAULT_REGION=eu-west-1",),
    ),
    Row(
        name="redirect-temporary",
        met="load balancers and buckets that move",
        says="307 TemporaryRedirect without a region.",
        does="Stops before anything is moved, and names region and endpoint as what to check.",
        changes=(answers("*", 307, "TemporaryRedirect"),),
        lanes=("bulk",),
        outcomes={},
        status=3,
        error="wrong-region",
        told=("AWS_ENDPOINT_URL",),
    ),
    Row(
        name="virtual-hosted-only",
        met="Alibaba OSS, Tencent COS, Volcengine TOS",
        says="403 SecondLevelDomainForbidden for path-style requests.",
        does="Goes on with the bucket in the host name. Bytes cannot: `bytes-calls` says which setting it needs.",
        changes=(answers("*", 403, "SecondLevelDomainForbidden", when=is_path_style),),
        ways=("up", "down", "across"),
        environment={"AWS_ENDPOINT_URL": "http://s3.test", "HTTP_PROXY": "{url}", "http_proxy": "{url}"},
        parts=True,
    ),
    Row(
        name="virtual-hosted-only-bytes",
        met="Alibaba OSS, Tencent COS, Volcengine TOS",
        says="403 SecondLevelDomainForbidden for path-style requests, Bytes' own included.",
        does="Stops before anything is moved, with `bytes-calls` and the setting that cures it.",
        changes=(answers("*", 403, "SecondLevelDomainForbidden", when=is_path_style),),
        lanes=("bulk",),
        environment={"AWS_ENDPOINT_URL": "http://s3.test", "HTTP_PROXY": "{url}", "http_proxy": "{url}"},
        bytes_calls=True,
        outcomes={},
        status=3,
        told=("bytes-calls", "addressing_style"),
    ),
    Row(
        name="virtual-hosted-only-at-an-address",
        met="the same servers, by an IP address as endpoint",
        says="403 SecondLevelDomainForbidden, and no host name to put the bucket before.",
        does="Stops before anything is moved, and names the addressing.",
        changes=(answers("*", 403, "SecondLevelDomainForbidden"),),
        lanes=("bulk",),
        outcomes={},
        status=3,
        error="addressing",
        told=("virtual",),
    ),
    Row(
        name="object-lock-md5",
        met="AWS and others for buckets with object lock",
        says="400 InvalidRequest for a `PutObject` without Content-MD5 or checksum.",
        does="Sends Content-MD5 with every object, probes too.",
        changes=(
            answers(
                "PutObject",
                400,
                "InvalidRequest",
                "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters",
                when=has_no_digest,
            ),
        ),
        parts=True,
        untold=("ignores If-None-Match",),
        requests={"HeadObject": (0, 3)},
    ),
)
