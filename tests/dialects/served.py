"""The honest answers of S3, an operation each: what AWS documents, for the calls that Bytes and this program make."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

from tests.dialects.memory import Memory, Stored, Upload, in_parts, md5, refused
from tests.dialects.wire import Answer, Request

SMALLEST_PART = 5 << 20
_XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_MODIFIED = 1_790_000_000


def _xml(name: str, inner: str) -> Answer:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} {_XMLNS}>{inner}</{name}>'
    return Answer(headers={"Content-Type": "application/xml"}, body=text.encode())


def _tags(**values: object) -> str:
    return "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in values.items())


def _moment() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(_MODIFIED))


class Served:
    """A method for each operation, named after it."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    # --- buckets ------------------------------------------------------------------------------------------------------

    def ListBuckets(self, request: Request) -> Answer:
        listed = "".join(
            f"<Bucket>{_tags(Name=name, CreationDate=_moment())}</Bucket>" for name in sorted(self._memory.buckets)
        )
        return _xml("ListAllMyBucketsResult", f"<Owner><ID>me</ID></Owner><Buckets>{listed}</Buckets>")

    def CreateBucket(self, request: Request) -> Answer:
        self._memory.buckets.setdefault(request.bucket, {})
        return Answer(headers={"Location": f"/{request.bucket}"})

    def HeadBucket(self, request: Request) -> Answer:
        return Answer() if request.bucket in self._memory.buckets else refused(404, "NoSuchBucket")

    def DeleteBucket(self, request: Request) -> Answer:
        if self._memory.buckets.get(request.bucket):
            return refused(409, "BucketNotEmpty")
        return Answer(status=204) if self._memory.buckets.pop(request.bucket, None) is not None else _no_bucket()

    def GetBucketVersioning(self, request: Request) -> Answer:
        return _xml("VersioningConfiguration", "")

    def GetObjectLockConfiguration(self, request: Request) -> Answer:
        return refused(404, "ObjectLockConfigurationNotFoundError")

    def GetBucketEncryption(self, request: Request) -> Answer:
        return refused(404, "ServerSideEncryptionConfigurationNotFoundError")

    # --- listings -----------------------------------------------------------------------------------------------------

    def ListObjectsV2(self, request: Request) -> Answer:
        token = request.query.get("continuation-token", "")
        after = bytes.fromhex(token).decode() if token else request.query.get("start-after", "")
        return self._listed(request, after, version=2)

    def ListObjects(self, request: Request) -> Answer:
        return self._listed(request, request.query.get("marker", ""), version=1)

    def _listed(self, request: Request, after: str, *, version: int) -> Answer:
        bucket = self._memory.buckets.get(request.bucket)
        if bucket is None:
            return _no_bucket()
        query = request.query
        prefix, delimiter, most = (
            query.get("prefix", ""),
            query.get("delimiter", ""),
            int(query.get("max-keys", "1000")),
        )
        names = list(_grouped(sorted(bucket, key=str.encode), prefix, delimiter))
        names = [name for name in names if name[0].encode() > after.encode() and not (name[1] and name[0] == after)]
        shown, is_cut = names[:most], len(names) > most
        encode: Callable[[str], str] = quote if query.get("encoding-type") == "url" else escape
        inner = _tags(Name=request.bucket, Prefix=prefix, MaxKeys=most, IsTruncated=str(is_cut).lower())
        inner += "<EncodingType>url</EncodingType>" if "encoding-type" in query else ""
        inner += f"<Delimiter>{escape(delimiter)}</Delimiter>" if delimiter else ""
        last = shown[-1][0] if shown else ""
        if version == 2:
            inner += _tags(KeyCount=len(shown)) + (_tags(NextContinuationToken=last.encode().hex()) if is_cut else "")
        elif is_cut and delimiter:
            inner += f"<NextMarker>{encode(last)}</NextMarker>"
        for name, is_group in shown:
            if is_group:
                inner += f"<CommonPrefixes><Prefix>{encode(name)}</Prefix></CommonPrefixes>"
            else:
                inner += f"<Contents><Key>{encode(name)}</Key>{_described(bucket[name])}</Contents>"
        return _xml("ListBucketResult", inner)

    # --- objects ------------------------------------------------------------------------------------------------------

    def PutObject(self, request: Request) -> Answer:
        return self._stored(request, Stored(request.body, md5(request.body)))

    def CopyObject(self, request: Request) -> Answer:
        found = self._copied(request)
        if isinstance(found, Answer):
            return found
        stored = self._stored(request, Stored(found, md5(found)))
        if stored.status != 200:
            return stored
        return _xml("CopyObjectResult", _tags(LastModified=_moment(), ETag=f'"{md5(found)}"'))

    def GetObject(self, request: Request) -> Answer:
        return self._read(request)

    def HeadObject(self, request: Request) -> Answer:
        found = self._memory.buckets.get(request.bucket, {}).get(request.key)
        number = request.query.get("partNumber")
        if found is None or number is None:
            return self._read(request)
        size = found.parts[int(number) - 1] if found.parts else len(found.content)
        more = {"x-amz-mp-parts-count": str(len(found.parts))} if found.parts else {}
        return _headers_of(found).with_headers({**more, "Content-Length": str(size)})

    def DeleteObject(self, request: Request) -> Answer:
        bucket = self._memory.buckets.get(request.bucket)
        if bucket is None:
            return _no_bucket()
        bucket.pop(request.key, None)
        return Answer(status=204)

    def DeleteObjects(self, request: Request) -> Answer:
        bucket = self._memory.buckets.get(request.bucket)
        if bucket is None:
            return _no_bucket()
        keys = [unescaped(part.split("</Key>")[0]) for part in request.body.decode().split("<Key>")[1:]]
        for key in keys:
            bucket.pop(key, None)
        return _xml("DeleteResult", "".join(f"<Deleted>{_tags(Key=key)}</Deleted>" for key in keys))

    def _read(self, request: Request) -> Answer:
        found = self._memory.buckets.get(request.bucket, {}).get(request.key)
        if found is None:
            return refused(404, "NoSuchKey" if request.bucket in self._memory.buckets else "NoSuchBucket")
        wanted = request.headers.get("if-match")
        if wanted is not None and wanted.strip('"') != found.etag:
            return refused(412, "PreconditionFailed")
        answer, given = _headers_of(found), request.headers.get("range")
        if given is None:
            return replace(answer, body=found.content).with_headers({"Content-Length": str(len(found.content))})
        first, _, last = given.removeprefix("bytes=").partition("-")
        begin, end = int(first), min(int(last) if last else len(found.content) - 1, len(found.content) - 1)
        if begin >= len(found.content):
            return refused(416, "InvalidRange")
        span = {"Content-Range": f"bytes {begin}-{end}/{len(found.content)}", "Content-Length": str(end - begin + 1)}
        return replace(answer, status=206, body=found.content[begin : end + 1]).with_headers(span)

    def _stored(self, request: Request, fresh: Stored) -> Answer:
        bucket = self._memory.buckets.get(request.bucket)
        if bucket is None:
            return _no_bucket()
        if (refusal := _refusal(request.headers, bucket.get(request.key))) is not None:
            return refusal
        bucket[request.key] = fresh
        return Answer(headers={"ETag": f'"{fresh.etag}"'})

    def _copied(self, request: Request) -> bytes | Answer:
        """What is to be copied, by the headers of a copy."""
        bucket, _, key = unquote(request.headers["x-amz-copy-source"]).lstrip("/").partition("/")
        found = self._memory.buckets.get(bucket, {}).get(key)
        if found is None:
            return refused(404, "NoSuchKey")
        wanted = request.headers.get("x-amz-copy-source-if-match")
        if wanted is not None and wanted.strip('"') != found.etag:
            return refused(412, "PreconditionFailed")
        given = request.headers.get("x-amz-copy-source-range")
        if given is None:
            return found.content
        first, _, last = given.removeprefix("bytes=").partition("-")
        return found.content[int(first) : int(last) + 1]

    # --- uploads in parts ---------------------------------------------------------------------------------------------

    def CreateMultipartUpload(self, request: Request) -> Answer:
        if request.bucket not in self._memory.buckets:
            return _no_bucket()
        upload_id = f"upload-{len(self._memory.asked)}-{len(self._memory.uploads)}"
        self._memory.uploads[upload_id] = Upload(request.bucket, request.key)
        return _xml("InitiateMultipartUploadResult", _tags(Bucket=request.bucket, Key=request.key, UploadId=upload_id))

    def UploadPart(self, request: Request) -> Answer:
        return self._part(request, request.body)

    def UploadPartCopy(self, request: Request) -> Answer:
        found = self._copied(request)
        if isinstance(found, Answer):
            return found
        taken = self._part(request, found)
        if taken.status != 200:
            return taken
        return _xml("CopyPartResult", _tags(LastModified=_moment(), ETag=taken.headers["ETag"]))

    def _part(self, request: Request, content: bytes) -> Answer:
        upload = self._memory.uploads.get(request.query["uploadId"])
        if upload is None or (upload.bucket, upload.key) != (request.bucket, request.key):
            return refused(404, "NoSuchUpload")
        if not 1 <= int(request.query["partNumber"]) <= 10_000:
            return refused(400, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
        etag = md5(content)
        upload.parts[int(request.query["partNumber"])] = (content, etag)
        return Answer(headers={"ETag": f'"{etag}"'})

    def ListParts(self, request: Request) -> Answer:
        upload = self._memory.uploads.get(request.query["uploadId"])
        if upload is None:
            return refused(404, "NoSuchUpload")
        listed = "".join(
            f"<Part>{_tags(PartNumber=number, LastModified=_moment(), Size=len(content))}<ETag>&quot;{etag}&quot;</ETag></Part>"
            for number, (content, etag) in sorted(upload.parts.items())
        )
        names = _tags(Bucket=upload.bucket, Key=upload.key, UploadId=request.query["uploadId"], IsTruncated="false")
        return _xml("ListPartsResult", names + listed)

    def ListMultipartUploads(self, request: Request) -> Answer:
        if request.bucket not in self._memory.buckets:
            return _no_bucket()
        moment = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        listed = "".join(
            f"<Upload>{_tags(Key=upload.key, UploadId=upload_id, Initiated=moment)}</Upload>"
            for upload_id, upload in sorted(self._memory.uploads.items())
            if upload.bucket == request.bucket and upload.key.startswith(request.query.get("prefix", ""))
        )
        return _xml("ListMultipartUploadsResult", _tags(Bucket=request.bucket, IsTruncated="false") + listed)

    def AbortMultipartUpload(self, request: Request) -> Answer:
        gone = self._memory.uploads.pop(request.query["uploadId"], None)
        return Answer(status=204) if gone is not None else refused(404, "NoSuchUpload")

    def CompleteMultipartUpload(self, request: Request) -> Answer:
        upload = self._memory.uploads.get(request.query["uploadId"])
        if upload is None:
            return refused(404, "NoSuchUpload")
        named = list(_parts_named(request.body.decode()))
        pieces = [upload.parts.get(number, (b"", ""))[0] for number, _ in named]
        if not named or any(upload.parts.get(number, (b"", ""))[1] != etag for number, etag in named):
            return refused(400, "InvalidPart")
        if any(len(piece) < SMALLEST_PART for piece in pieces[:-1]):
            return refused(400, "EntityTooSmall")
        whole = in_parts(pieces)
        stored = self._stored(request, whole)
        if stored.status != 200:
            return stored
        del self._memory.uploads[request.query["uploadId"]]
        told = _tags(Location=request.target, Bucket=request.bucket, Key=request.key, ETag=f'"{whole.etag}"')
        return _xml("CompleteMultipartUploadResult", told)


def _no_bucket() -> Answer:
    return refused(404, "NoSuchBucket")


def _described(stored: Stored) -> str:
    tags = _tags(LastModified=_moment(), Size=len(stored.content), StorageClass="STANDARD")
    return f"{tags}<ETag>&quot;{stored.etag}&quot;</ETag>"


def _headers_of(stored: Stored) -> Answer:
    modified = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(_MODIFIED))
    return Answer(
        headers={
            "ETag": f'"{stored.etag}"',
            "Last-Modified": modified,
            "Accept-Ranges": "bytes",
            "Content-Type": "binary/octet-stream",
            "Content-Length": str(len(stored.content)),
        }
    )


def _refusal(headers: Mapping[str, str], there: Stored | None) -> Answer | None:
    """What the conditions of a write say of what is there."""
    if headers.get("if-none-match") == "*" and there is not None:
        return refused(412, "PreconditionFailed")
    wanted = headers.get("if-match")
    if wanted is None:
        return None
    if there is None:
        return refused(404, "NoSuchKey")
    return None if there.etag == wanted.strip('"') else refused(412, "PreconditionFailed")


def _grouped(keys: Sequence[str], prefix: str, delimiter: str) -> Iterator[tuple[str, bool]]:
    """Keys under a prefix, and once each what they have in common up to the delimiter; whether it is such a group."""
    last = ""
    for key in keys:
        if not key.startswith(prefix):
            continue
        at = key.find(delimiter, len(prefix)) if delimiter else -1
        if at < 0:
            yield key, False
        elif (group := key[: at + len(delimiter)]) != last:
            last = group
            yield group, True


def _parts_named(body: str) -> Iterator[tuple[int, str]]:
    for part in body.split("<Part>")[1:]:
        number = part.split("<PartNumber>")[1].split("</PartNumber>")[0]
        etag = unescaped(part.split("<ETag>")[1].split("</ETag>")[0])
        yield int(number), etag.strip('"')


def unescaped(text: str) -> str:
    """Text as it was before it went into XML."""
    for escaped, plain in (("&quot;", '"'), ("&#34;", '"'), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(escaped, plain)
    return text
