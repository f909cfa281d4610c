"""Which of S3's operations a request is, by its method, the names in its query, and whether it names a bucket or a key."""

from __future__ import annotations

from tests.dialects.wire import Request

_OF_A_BUCKET = {
    ("GET", "versioning"): "GetBucketVersioning",
    ("GET", "object-lock"): "GetObjectLockConfiguration",
    ("GET", "encryption"): "GetBucketEncryption",
    ("GET", "location"): "GetBucketLocation",
    ("GET", "uploads"): "ListMultipartUploads",
    ("GET", "versions"): "ListObjectVersions",
    ("POST", "delete"): "DeleteObjects",
}
_OF_AN_OBJECT = {
    ("POST", "uploads"): "CreateMultipartUpload",
    ("POST", "uploadId"): "CompleteMultipartUpload",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
    ("GET", "uploadId"): "ListParts",
    ("GET", "attributes"): "GetObjectAttributes",
    ("GET", "tagging"): "GetObjectTagging",
    ("PUT", "tagging"): "PutObjectTagging",
}
_PLAIN_BUCKET = {"GET": "ListObjects", "PUT": "CreateBucket", "HEAD": "HeadBucket", "DELETE": "DeleteBucket"}
_PLAIN_OBJECT = {"GET": "GetObject", "PUT": "PutObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}


def operation_of(request: Request) -> str:
    """S3's name of the operation, such as ``UploadPart``; "" for what is none."""
    if not request.bucket:
        return "ListBuckets" if request.method == "GET" else ""
    if not request.key:
        return _of_a_bucket(request)
    for (method, name), operation in _OF_AN_OBJECT.items():
        if request.method == method and name in request.query:
            return operation
    if request.method != "PUT":
        return _PLAIN_OBJECT.get(request.method, "")
    copies = "x-amz-copy-source" in request.headers
    if "partNumber" in request.query:
        return "UploadPartCopy" if copies else "UploadPart"
    return "CopyObject" if copies else "PutObject"


def _of_a_bucket(request: Request) -> str:
    for (method, name), operation in _OF_A_BUCKET.items():
        if request.method == method and name in request.query:
            return operation
    if request.method == "GET" and request.query.get("list-type") == "2":
        return "ListObjectsV2"
    return _PLAIN_BUCKET.get(request.method, "")
