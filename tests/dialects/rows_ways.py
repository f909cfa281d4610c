"""Calls that a server does not know or does not allow, and late answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from tests.dialects.rows import Answer, Change, Request, Row, Serve, answers, refused, turns
from tests.dialects.signatures import region_of


def is_unsigned(request: Request) -> bool:
    return request.headers.get("x-amz-content-sha256") == "UNSIGNED-PAYLOAD"


def is_not_for(region: str) -> Callable[[Request], bool]:
    """Requests that are signed for another region."""
    return lambda request: region_of(request) != region


def is_path_style(request: Request) -> bool:
    host = urlsplit(request.target).netloc or request.headers["host"]
    return bool(request.bucket) and not host.startswith(f"{request.bucket}.")


def is_raw_file(request: Request) -> bool:
    """Whether it is about a raw file, and not about one of the program's probes."""
    return request.key.startswith("acme/")


def is_conditional(request: Request) -> bool:
    return "if-none-match" in request.headers or "if-match" in request.headers


def real(request: Request) -> bool:
    """Whether it is an upload of a raw file that exists: rights are looked at with one that does not."""
    return is_raw_file(request) and request.query.get("uploadId", "").startswith("upload-")


def lost(request: Request, serve: Serve) -> Answer:
    """Carried out, and never answered."""
    serve(request)
    return Answer(hang_up=True)


def carried_out_then(status: int, code: str) -> Callable[[Request, Serve], Answer]:
    """Carried out, and answered with an error."""

    def answer(request: Request, serve: Serve) -> Answer:
        serve(request)
        return refused(status, code)

    return answer


def ignoring_conditions(request: Request, serve: Serve) -> Answer:
    """Carried out as if there were no condition."""
    headers = {name: value for name, value in request.headers.items() if name not in ("if-none-match", "if-match")}
    return serve.unchecked(replace(request, headers=headers))


def late(written_by: str, status: int, looks: int, calls: str = "HeadObject") -> Change:
    """What was written by an operation is seen late: the first `looks` by HEAD, or by other `calls`, are answered with this status."""

    def answer(request: Request, serve: Serve) -> Answer | None:
        asked = [one for one, _ in serve.memory.asked if one.key == request.key]
        written = [place for place, one in enumerate(asked) if one.operation == written_by]
        if not written or sum(one.operation in calls.split() for one in asked[written[0] :]) >= looks:
            return None
        return refused(status, "NoSuchKey" if status == 404 else "AccessDenied")

    return Change(calls, answer, is_raw_file)


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
        met="an endpoint with its scheme's default port (`http://host:80`)",
        says="`Host` is sent, and signed, without the port.",
        does="Signs the host as it is sent.",
        ways=("up", "down"),
        parts=True,
        environment={"AWS_ENDPOINT_URL": "http://s3.test:80", "HTTP_PROXY": "{url}", "http_proxy": "{url}"},
        check=lambda run: not run.memory.count(status=403),
    ),
    Row(
        name="unsigned-denied",
        met="a bucket policy against `x-amz-content-sha256: UNSIGNED-PAYLOAD`, as AWS recommends",
        says="403 AccessDenied for content that is not signed.",
        does="Signs the content from then on, and reports it once.",
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
        says="400 AuthorizationHeaderMalformed with the right region for requests signed for another.",
        does="Takes over the region, and prints it as a setting that Bytes needs.",
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
        name="region-told-doctor",
        met="Garage, MinIO with MINIO_REGION, and other servers with a region of their own",
        says="400 AuthorizationHeaderMalformed with the right region for requests signed for another.",
        does="`doctor` names it, and tries Bytes' calls with it.",
        changes=(
            answers(
                "*", 400, "AuthorizationHeaderMalformed", more="<Region>garage</Region>", when=is_not_for("garage")
            ),
        ),
        lanes=("bulk",),
        command="doctor",
        options=("--probe", "--yes"),
        bytes_calls=True,
        outcomes={},
        error="region-of-server",
        told=("AWS_DEFAULT_REGION=garage", "Bytes' own calls work"),
    ),
    Row(
        name="region-told-verify",
        met="Garage, MinIO with MINIO_REGION, and other servers with a region of their own",
        says="400 AuthorizationHeaderMalformed with the right region for requests signed for another.",
        does="`verify` reads with the region that the server names.",
        changes=(
            answers(
                "*", 400, "AuthorizationHeaderMalformed", more="<Region>garage</Region>", when=is_not_for("garage")
            ),
        ),
        lanes=("bulk",),
        command="verify",
        options=("--engine", "local"),
        there=(0, 1, 2),
        outcomes={},
    ),
    Row(
        name="region-told-in-words",
        met="servers and proxies that name the region in the message alone",
        says="400 AuthorizationHeaderMalformed: the region 'us-east-1' is wrong; expecting 'eu-west-1'.",
        does="Takes over the region, and names it as a setting that Bytes needs.",
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
        does="Stops before anything is moved, and names region and endpoint.",
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
        does="Puts the bucket into the host name; `bytes-calls` says which setting Bytes needs.",
        changes=(answers("*", 403, "SecondLevelDomainForbidden", when=is_path_style),),
        ways=("up", "down", "across"),
        environment={"AWS_ENDPOINT_URL": "http://s3.test", "HTTP_PROXY": "{url}", "http_proxy": "{url}"},
        parts=True,
    ),
    Row(
        name="virtual-hosted-only-bytes",
        met="Alibaba OSS, Tencent COS, Volcengine TOS",
        says="403 SecondLevelDomainForbidden for path-style requests, Bytes' own included.",
        does="Stops before anything is moved, with the setting that cures it.",
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
    Row(
        name="copy-not-implemented",
        met="gateways without server-side copies",
        says="501 NotImplemented to CopyObject and UploadPartCopy.",
        does="The bytes pass through this machine.",
        changes=(answers("CopyObject UploadPartCopy", 501, "NotImplemented"),),
        ways=("across",),
        parts=True,
        error="server-abilities",
        told=("pass through this machine",),
        requests={"CopyObject": (1, 12), "UploadPartCopy": (0, 4)},
    ),
    Row(
        name="copy-not-allowed",
        met="proxies that allow some methods and headers only",
        says="405 MethodNotAllowed to CopyObject and UploadPartCopy.",
        does="The bytes pass through this machine.",
        changes=(answers("CopyObject UploadPartCopy", 405, "MethodNotAllowed"),),
        ways=("across",),
        parts=True,
    ),
    Row(
        name="copy-denied",
        met="policies that deny requests with x-amz-copy-source",
        says="403 AccessDenied to CopyObject and UploadPartCopy.",
        does="The bytes pass through this machine.",
        changes=(answers("CopyObject UploadPartCopy", 403, "AccessDenied"),),
        ways=("across",),
        parts=True,
    ),
    Row(
        name="copy-invalid",
        met="gateways before several stores",
        says="400 InvalidRequest to CopyObject: the source cannot be copied.",
        does="The bytes pass through this machine.",
        changes=(answers("CopyObject UploadPartCopy", 400, "InvalidRequest"),),
        ways=("across",),
        parts=True,
    ),
    Row(
        name="copy-parts-not-implemented",
        met="SeaweedFS, `rclone serve s3`",
        says="501 to UploadPartCopy, while CopyObject works.",
        does="Copies small objects at the server, large ones through this machine.",
        changes=(answers("UploadPartCopy", 501, "NotImplemented"),),
        ways=("across",),
        lanes=("boto3",),
        parts=True,
        requests={"CopyObject": (5, 5), "PutObject": (0, 6)},
    ),
    Row(
        name="copy-condition-not-implemented",
        met="servers with conditional writes, and without conditional copies",
        says="501 NotImplemented to CopyObject with If-None-Match.",
        does="Looks whether the name is free, then copies.",
        changes=(
            answers("CopyObject", 501, "NotImplemented", when=lambda request: "if-none-match" in request.headers),
        ),
        ways=("across",),
        lanes=("boto3",),
        requests={"GetObject": (0, 1)},
    ),
    Row(
        name="copy-etag-late",
        met="stores that are consistent after some seconds",
        says="A copied object is 404 to HEAD for a while, and the copy's answer has another ETag.",
        does="Looks again until it is seen; nothing is copied twice.",
        changes=(
            late("CopyObject", 404, 3),
            turns("CopyObject", lambda answer: replace(answer, body=re.sub(rb"[0-9a-f]{32}", b"0" * 32, answer.body))),
        ),
        ways=("across",),
        lanes=("boto3",),
        requests={"CopyObject": (5, 5)},
    ),
    Row(
        name="complete-seen-late",
        met="stores that are consistent after some seconds",
        says="HEAD is 404 for some seconds after CompleteMultipartUpload; GET is right at once.",
        does="Looks by GET too. No second upload, nothing aborted.",
        changes=(late("CompleteMultipartUpload", 404, 4),),
        parts=True,
        requests={"CreateMultipartUpload": (1, 1), "UploadPart": (3, 3), "AbortMultipartUpload": (1, 1)},
    ),
    Row(
        name="complete-forbidden-at-first",
        met="a store whose HEAD was 403 for some seconds after completing",
        says="HEAD is 403 for some seconds after CompleteMultipartUpload.",
        does="Looks again until it is seen. No second upload, nothing aborted.",
        changes=(late("CompleteMultipartUpload", 403, 4),),
        parts=True,
        requests={"CreateMultipartUpload": (1, 1), "UploadPart": (3, 3), "AbortMultipartUpload": (1, 1)},
    ),
    Row(
        name="complete-shown-late-everywhere",
        met="stores that are consistent after some seconds",
        says="HEAD and GET are 404 for some seconds after CompleteMultipartUpload.",
        does="Looks again within `--patience`. No second upload, nothing aborted.",
        changes=(late("CompleteMultipartUpload", 404, 6, "HeadObject GetObject"),),
        parts=True,
        lanes=("bulk",),
        requests={"CreateMultipartUpload": (1, 1), "UploadPart": (3, 3), "AbortMultipartUpload": (1, 1)},
    ),
    Row(
        name="complete-answer-lost",
        met="proxies with a shorter time limit than completing takes",
        says="The answer to CompleteMultipartUpload is lost; the upload is then unknown; the object shows later.",
        does="Waits until the object is seen. No second upload, nothing aborted.",
        changes=(
            late("CompleteMultipartUpload", 404, 6, "HeadObject GetObject"),
            Change("CompleteMultipartUpload", lost, real, times=1),
        ),
        parts=True,
        requests={"CreateMultipartUpload": (1, 1), "UploadPart": (3, 3), "AbortMultipartUpload": (1, 1)},
    ),
    Row(
        name="complete-gateway-timeout",
        met="nginx and load balancers before a slow server",
        says="504 to CompleteMultipartUpload, which is carried out; the upload is then unknown.",
        does="Waits until the object is seen. No second upload, nothing aborted.",
        changes=(
            late("CompleteMultipartUpload", 404, 6, "HeadObject GetObject"),
            Change("CompleteMultipartUpload", carried_out_then(504, "GatewayTimeout"), real, times=1),
        ),
        parts=True,
        lanes=("boto3",),
        requests={"CreateMultipartUpload": (1, 1), "UploadPart": (3, 3), "AbortMultipartUpload": (1, 1)},
    ),
    Row(
        name="complete-never-seen",
        met="a server that takes longer to complete than `--patience`",
        says="The answer to CompleteMultipartUpload is lost, and the object does not show.",
        does="The file fails; nothing is aborted or sent again. The next run finds it.",
        changes=(
            late("CompleteMultipartUpload", 404, 10_000, "HeadObject GetObject"),
            Change("CompleteMultipartUpload", lost, real, times=1),
        ),
        parts=True,
        lanes=("bulk",),
        options=("--patience", "1"),
        outcomes={"copied": 3, "failed": 1},
        status=1,
        error="completed-not-seen",
        requests={"CreateMultipartUpload": (1, 1), "UploadPart": (3, 3), "AbortMultipartUpload": (1, 1)},
    ),
    Row(
        name="complete-condition-not-implemented",
        met="servers that honour If-None-Match for PutObject alone",
        says="501 NotImplemented to CompleteMultipartUpload with If-None-Match.",
        does="Looks whether the name is free, then completes.",
        changes=(
            answers(
                "CompleteMultipartUpload",
                501,
                "NotImplemented",
                when=lambda request: "if-none-match" in request.headers,
            ),
        ),
        parts=True,
        requests={"CreateMultipartUpload": (1, 1), "UploadPart": (3, 3)},
    ),
    Row(
        name="put-answer-lost",
        met="connections that break",
        says="The answers to PutObject are lost once for each object, and HEAD is 404 for a while.",
        does="Sends again, and recognizes its own object.",
        changes=(
            late("PutObject", 404, 4),
            Change("PutObject", lost, is_raw_file, times=1, each_key=True),
        ),
        requests={"PutObject": (6, 16)},
    ),
    Row(
        name="put-without-etag",
        met="gateways that answer a PUT without an ETag",
        says="200 to PutObject without an ETag, and HEAD is 404 for a while.",
        does="Looks until the object is seen. Nothing is sent again.",
        changes=(
            late("PutObject", 404, 4),
            turns("PutObject", lambda answer: answer.without("ETag"), when=is_raw_file),
        ),
        lanes=("boto3",),
        check=lambda run: run.memory.count("PutObject") <= 8,
    ),
    Row(
        name="no-conditions",
        met="older SeaweedFS, `rclone serve s3`, older Ceph",
        says="501 NotImplemented to any conditional write.",
        does="Looks each name up before it is written; `server-abilities` says so once.",
        changes=(answers("PutObject CompleteMultipartUpload CopyObject", 501, "NotImplemented", when=is_conditional),),
        ways=("up", "across"),
        parts=True,
        error="server-abilities",
    ),
    Row(
        name="conditions-ignored",
        met="older MinIO, many gateways",
        says="Conditional headers are ignored.",
        does="Looks each name up before it is written; `server-abilities` says so once.",
        changes=(Change("PutObject CompleteMultipartUpload CopyObject", ignoring_conditions, is_conditional),),
        ways=("up", "across"),
        error="server-abilities",
        told=("ignores If-None-Match",),
    ),
    Row(
        name="parts-not-listed",
        met="gateways that do not list parts",
        says="501 NotImplemented to ListParts and ListMultipartUploads.",
        does="Uploads; after an interruption all parts are sent again.",
        changes=(answers("ListParts ListMultipartUploads", 501, "NotImplemented"),),
        parts=True,
    ),
    Row(
        name="parts-few",
        met="Scaleway (1,000 parts), and others with a limit of their own",
        says="400 InvalidArgument to UploadPart with a number beyond the limit.",
        does="Begins anew in larger parts, and remembers the limit.",
        changes=(
            answers(
                "UploadPart",
                400,
                "InvalidArgument",
                "Part number must be an integer between 1 and 2, inclusive",
                when=lambda request: int(request.query["partNumber"]) > 2,
            ),
        ),
        parts=True,
        error="server-abilities",
        told=("at most 2 parts",),
        check=lambda run: not run.memory.uploads,
    ),
    Row(
        name="parts-few-at-completing",
        met="gateways that count the parts at the end",
        says="400 TooManyParts to CompleteMultipartUpload with more than one part.",
        does="Begins anew in larger parts, and remembers the limit.",
        changes=(
            answers(
                "CompleteMultipartUpload", 400, "TooManyParts", when=lambda request: request.body.count(b"<Part>") > 1
            ),
        ),
        parts=True,
        lanes=("boto3",),
        error="server-abilities",
        check=lambda run: not run.memory.uploads,
    ),
    Row(
        name="attributes-not-known",
        met="most servers but AWS",
        says="501 NotImplemented to GetObjectAttributes, tags, versions, object lock and encryption settings.",
        does="Nothing of it is needed.",
        changes=(
            answers(
                "GetObjectAttributes GetObjectTagging GetBucketVersioning GetObjectLockConfiguration GetBucketEncryption",
                501,
                "NotImplemented",
            ),
        ),
        ways=("up", "down", "across"),
        requests={"GetObjectAttributes": (0, 0), "GetObjectTagging": (0, 0)},
    ),
)
