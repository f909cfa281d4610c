"""libcurl, set up to reach servers exactly as boto3 does: endpoint, addressing, region, credentials, TLS and proxies are botocore's.

It carries what goes right. Whatever is not a clean answer is left to boto3, which knows errors, retries and explanations.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies
from s3transfer.utils import ReadFileChunk

from migrator.config.locations import DEFAULT_PORTS
from migrator.core.read_through_header import HEADER, STATUS_FOR_IT, is_from_disk
from migrator.stores.s3.boto3_clients import NEVER_SENT, Connection
from migrator.stores.s3.errors.mapping import translate
from migrator.stores.s3.http.file_body import digest_of
from migrator.stores.s3.http.signing import UNSIGNED, Keys, Signer, encoded_key, encoded_query
from migrator.stores.s3.http.stall import CRAWL_BYTES, CRAWL_SECONDS
from migrator.stores.s3.parsing.etags import quoted
from migrator.transfer.throttle import Throttle

try:
    import pycurl
except ImportError:  # no wheel for this platform: boto3 carries everything
    pycurl = None  # type: ignore[assignment]

NO_HEADERS_OF_CURL = ("Content-Type:", "Expect:", "Accept:")
SHA256_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_CONNECT_SECONDS = 10
_LARGEST_BODY = 64 << 20
_BUFFER = 256 << 10
_UPLOAD_BUFFER = 512 << 10
"""Of parts: a fifth less CPU for sending than with libcurl's 64 KiB."""
_HEADER = HEADER.lower().encode()
_CREDENTIAL_SCOPE = re.compile(r"Credential=[^/]*/\d{8}/([^/]+)/s3/aws4_request")


def is_available() -> bool:
    """Whether libcurl can be used on this machine."""
    return pycurl is not None


class Route(NamedTuple):
    """How a bucket's objects are addressed: ``<origin><base><key>``, with this Host header, signed for this region."""

    origin: str
    host: str
    base: str
    region: str


class HttpResponse(NamedTuple):
    """A complete HTTP answer. `headers` as they came."""

    status: int
    headers: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        """The last header of that name (after a 100, say), None without one."""
        found = re.findall(rb"(?im)^" + name.encode() + rb":[ \t]*([^\r\n]*)", self.headers)
        return found[-1].decode("ascii", "replace").strip() if found else None


def answer_to(curl: Any, headers: bytes, body: bytes) -> HttpResponse:
    """Return the answer that a handle got; one that a proxy took from the data folder is "not there".

    Called for each small raw file: that the name is there at all is looked for first, at a seventh of what reading the header costs.
    """
    answer = HttpResponse(curl.getinfo(pycurl.RESPONSE_CODE), headers, body)
    if _HEADER in headers.lower() and is_from_disk(answer.header(HEADER)):
        return HttpResponse(STATUS_FOR_IT, headers, b"")
    return answer


class _NotSent(Exception):
    """Carries a request as botocore would have sent it."""

    def __init__(self, request: Any) -> None:
        super().__init__()
        self.request = request


def _keep_back(request: Any, **_: Any) -> None:
    raise _NotSent(request)


class CurlClient:
    """Routes and signatures for one client's settings. Curl handles are made for, and used by, one thread each."""

    def __init__(self, connection: Connection) -> None:
        self._client = connection.client
        self._client.meta.events.register(f"before-send.s3.{NEVER_SENT}", _keep_back)
        self._ca_bundle = connection.ca_bundle or get_cert_path(True)
        self._credentials = connection.credentials
        self.throttle = connection.throttle
        self._adapting = connection.adapting
        self._routes: dict[str, Route] = {}
        self._proxies: dict[str, str] = {}
        self._version = self._adapting.version
        self._local = threading.local()

    def route(self, bucket: str) -> Route:
        """Where botocore would send a request for this bucket."""
        if self._version != self._adapting.version:
            self._version, self._routes = self._adapting.version, {}
        known = self._routes.get(bucket)
        if known is None:
            request = self._request_for(bucket)
            parts = urllib.parse.urlsplit(request.url)
            authorization = request.headers.get("Authorization", b"")
            match = _CREDENTIAL_SCOPE.search(
                authorization.decode() if isinstance(authorization, bytes) else authorization
            )
            region = match.group(1) if match else "us-east-1"
            known = Route(f"{parts.scheme}://{parts.netloc}", _host_sent(parts), parts.path[:-1], region)
            self._routes[bucket] = known
        return known

    def _request_for(self, bucket: str) -> Any:
        """Return a request for an object named ``k``, signed and not sent.

        Presigned URLs would not do: they name another host, for most of AWS the global one.

        Raises:
            StoreError: If boto3 cannot sign it.
            AssertionError: If botocore sent it, which its events rule out.
        """  # noqa: DOC501 made by translate
        try:
            self._client.get_object_torrent(Bucket=bucket, Key="k")
        except _NotSent as not_sent:
            return not_sent.request
        except Exception as error:
            raise translate(error, f"s3://{bucket}") from error
        raise AssertionError("it was sent")

    def signer(self, route: Route) -> Signer:
        """A signer for the region that botocore would sign for."""
        return Signer(self._keys, route.region)

    def payload_of(self, data: bytes | ReadFileChunk | None) -> str:
        """What is signed of a body (None for no body): its SHA-256 only where the server insists on it. A file is rewound."""
        if data is None:
            return SHA256_OF_NOTHING
        if not self._adapting.signs_payloads:
            return UNSIGNED
        return hashlib.sha256(data).hexdigest() if isinstance(data, bytes) else digest_of(data, hashlib.sha256()).hex()

    def handle(self, route: Route, largest_body: int = _LARGEST_BODY) -> Any:
        """A curl handle with all that does not change from request to request; a longer body than `largest_body` is broken off."""
        curl = pycurl.Curl()
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.TCP_NODELAY, 1)
        curl.setopt(pycurl.TCP_KEEPALIVE, 1)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.CONNECTTIMEOUT, _CONNECT_SECONDS)
        curl.setopt(pycurl.LOW_SPEED_LIMIT, CRAWL_BYTES)
        curl.setopt(pycurl.LOW_SPEED_TIME, CRAWL_SECONDS)
        curl.setopt(pycurl.FOLLOWLOCATION, 0)
        curl.setopt(pycurl.MAXFILESIZE, largest_body)
        curl.setopt(pycurl.BUFFERSIZE, _BUFFER)
        curl.setopt(pycurl.PROXY, self._proxy_for(route.origin))
        curl.setopt(pycurl.NOPROXY, "")  # what no_proxy means is decided already, by Python's rules and not by curl's
        curl.setopt(pycurl.CAINFO, self._ca_bundle)
        return curl

    def _proxy_for(self, origin: str) -> str:
        """The proxy that botocore would use, "" for none. Found once: it costs as much CPU as five requests."""
        known = self._proxies.get(origin)
        if known is None:
            known = self._proxies[origin] = get_environ_proxies(origin).get(origin.partition(":")[0], "")
        return known

    def list_page(self, bucket: str, query: Mapping[str, str]) -> HttpResponse | None:
        """A GET on the bucket itself, None where it did not come to an answer."""
        route = self.route(bucket)
        return self._request("GET", route, route.base.rstrip("/") or "/", query=encoded_query(query))

    def get_range(self, bucket: str, key: str, start: int, part: memoryview, etag: str | None) -> HttpResponse | None:
        """Fill `part` from an object that still has this ETag; None where no answer came, or one of another length."""
        more = {"range": f"bytes={start}-{start + len(part) - 1}"}
        if etag is not None:
            more["if-match"] = quoted(etag)
        route = self.route(bucket)
        body = _Filling(part)
        answer = self._request("GET", route, f"{route.base}{encoded_key(key)}", more=more, take=body)
        return answer if body.is_full else None

    def put_part(
        self, bucket: str, key: str, query: Mapping[str, str], data: ReadFileChunk, md5: bytes
    ) -> HttpResponse | None:
        """One part of a multipart upload, None where it did not come to an answer."""
        route = self.route(bucket)
        more = {"content-md5": base64.b64encode(md5).decode()}
        path = f"{route.base}{encoded_key(key)}"
        return self._request("PUT", route, path, query=encoded_query(query), more=more, data=data)

    def _request(
        self,
        method: str,
        route: Route,
        path: str,
        *,
        query: str = "",
        more: Mapping[str, str] | None = None,
        data: ReadFileChunk | None = None,
        take: Callable[[bytes], int | None] | None = None,
    ) -> HttpResponse | None:
        """`take` gets the answer's body, which is empty in what is returned then."""
        curl, signer = self._of_this_thread(route)
        headers, pieces = io.BytesIO(), list[bytes]()  # joined once: a buffer that grows is new memory each time
        payload = self.payload_of(data)
        lines = signer.headers(method, route.host, path, query=query, payload=payload, more=more or {})
        if data is None:
            curl.setopt(pycurl.HTTPGET, 1)
        else:
            body = _Sending(data)
            curl.setopt(pycurl.UPLOAD, 1)
            curl.setopt(pycurl.INFILESIZE_LARGE, len(data))
            curl.setopt(pycurl.READFUNCTION, body.read)
            curl.setopt(pycurl.SEEKFUNCTION, body.seek)
        curl.setopt(pycurl.URL, f"{route.origin}{path}{'?' if query else ''}{query}")
        curl.setopt(pycurl.HTTPHEADER, [*lines, *NO_HEADERS_OF_CURL])
        curl.setopt(pycurl.HEADERFUNCTION, headers.write)
        curl.setopt(pycurl.WRITEFUNCTION, take or pieces.append)
        if self.throttle.is_on:
            self.throttle.pay(0, requests=1)
            curl.setopt(pycurl.NOPROGRESS, take is None and data is None)
            curl.setopt(pycurl.XFERINFOFUNCTION, _Meter(self.throttle))
        try:
            curl.perform()
        except pycurl.error:
            return None
        curl.setopt(pycurl.WRITEFUNCTION, len)  # the handle would hold on to the other, and to what it fills
        return answer_to(curl, headers.getvalue(), b"".join(pieces))

    def _of_this_thread(self, route: Route) -> tuple[Any, Signer]:
        kept: dict[tuple[str, str], tuple[Any, Signer]] = self._local.__dict__.setdefault("kept", {})
        place = (route.origin, route.region)
        if place not in kept:
            curl = self.handle(route)
            if hasattr(pycurl, "UPLOAD_BUFFERSIZE"):  # newer than 7.45.3, the oldest that is allowed
                curl.setopt(pycurl.UPLOAD_BUFFERSIZE, _UPLOAD_BUFFER)
            kept[place] = (curl, self.signer(route))
        return kept[place]

    def _keys(self) -> Keys:
        try:
            frozen = self._credentials.get_frozen_credentials()
        except Exception as error:
            raise translate(error, "the credentials") from error
        return Keys(frozen.access_key or "", frozen.secret_key or "", frozen.token)


class _Filling:
    """Takes a body piece by piece into memory that is there already; one that is longer is broken off."""

    def __init__(self, part: memoryview) -> None:
        self._part = part
        self._filled = 0

    @property
    def is_full(self) -> bool:
        return self._filled == len(self._part)

    def __call__(self, data: bytes) -> int | None:
        end = self._filled + len(data)
        if end > len(self._part):
            self._filled = -1
            return 0
        self._part[self._filled : end] = data
        self._filled = end
        return None


class _Sending:
    """Gives a file to libcurl piece by piece, from its beginning again where a connection that was kept turns out to be closed.

    What fails here is left to boto3, which reads the file again and knows what to say.
    """

    def __init__(self, data: ReadFileChunk) -> None:
        self._data = data
        self._data.seek(0)

    def read(self, size: int) -> bytes | int:
        try:
            return self._data.read(size)
        except Exception:
            return pycurl.READFUNC_ABORT

    def seek(self, offset: int, _from_start: int) -> int:
        self._data.seek(offset)
        return pycurl.SEEKFUNC_OK


class _Meter:
    """Told by curl how much of one request has passed; holds it up until that is paid for."""

    def __init__(self, throttle: Throttle) -> None:
        self._throttle = throttle
        self._passed = 0

    def __call__(self, expected_down: int, down: int, expected_up: int, up: int) -> int:
        fresh, self._passed = down + up - self._passed, down + up
        if fresh > 0:
            self._throttle.pay(fresh)
        return 0


def _host_sent(url: urllib.parse.SplitResult) -> str:
    """The Host header that libcurl, as every client, sends for a URL: without the scheme's default port, so none may be signed."""
    default = DEFAULT_PORTS.get(url.scheme)
    return url.netloc.removesuffix(f":{default}") if url.port == default else url.netloc
