"""Looks into buckets over plain HTTP: a signed request costs a fifth of boto3's, and looking at what arrived was most of a test's CPU.

Nothing here is this project's own code or boto3's. Signatures: AWS, "Signature Calculations for the Authorization Header".
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import hmac
import http.client
import queue
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_plus, urlsplit

PLAIN_ACCESS = "tests_plain_access"
"""The attribute under which a test's client has the `Access` that it was made from; one over TLS has none."""
_TRIES = 4
_BLOCK = 1 << 20


class Refused(AssertionError):
    """The server did not give what was asked for; `status` is HTTP's."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(f"{what}: HTTP status {status}")
        self.status = status


class Access(NamedTuple):
    """A server that speaks HTTP without TLS, and the keys for it."""

    endpoint_url: str
    access_key: str
    secret_key: str
    region: str


class Plain:
    """Reads and puts objects, and lists, by path-style addresses. A context manager: leaving it closes its connections."""

    def __init__(self, access: Access) -> None:
        self._access = access
        parts = urlsplit(access.endpoint_url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._idle: queue.SimpleQueue[http.client.HTTPConnection] = queue.SimpleQueue()

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *_: object) -> None:
        while not self._idle.empty():
            self._idle.get().close()

    def digests(self, places: list[tuple[str, str]], *, workers: int) -> list[tuple[int, str]]:
        """Size and SHA-256 of each (bucket, key), read to its end; in the order of `places`."""
        if len(places) < 2 * workers:
            return [self._digest(place) for place in places]
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(self._digest, places))

    def objects(self, bucket: str) -> Iterator[tuple[str, int, str]]:
        """Key, size and ETag of all that is in a bucket; nothing if there is no such bucket."""
        token = None
        while True:
            query = {"encoding-type": "url", "list-type": "2", **({"continuation-token": token} if token else {})}
            try:
                with self._answer_to("GET", bucket, "", query) as answer:
                    page = ET.fromstring(answer.read())
            except Refused as refused:
                if refused.status == 404:
                    return
                raise
            is_encoded = _text(page, "EncodingType") == "url"
            for entry in page.iter(f"{_namespace(page)}Contents"):
                key = _text(entry, "Key")
                yield (
                    unquote_plus(key) if is_encoded else key,
                    int(_text(entry, "Size")),
                    _text(entry, "ETag").strip('"'),
                )
            token = _text(page, "NextContinuationToken") if _text(page, "IsTruncated") == "true" else ""
            if not token:
                return

    def has_bucket(self, bucket: str) -> bool:
        """Whether it is there."""
        try:
            with self._answer_to("HEAD", bucket) as answer:
                answer.read()
        except Refused as refused:
            if refused.status == 404:
                return False
            raise
        return True

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Put an object whole, over what is there."""
        with self._answer_to("PUT", bucket, key, body=content) as answer:
            answer.read()

    def _digest(self, place: tuple[str, str]) -> tuple[int, str]:
        digest, size = hashlib.sha256(), 0
        with self._answer_to("GET", *place) as answer:
            while block := answer.read(_BLOCK):
                digest.update(block)
                size += len(block)
            listed = answer.getheader("Content-Length")
        assert listed is None or int(listed) == size, f"{'/'.join(place)}: {size} of {listed} bytes came"
        return size, digest.hexdigest()

    @contextlib.contextmanager
    def _answer_to(
        self, method: str, bucket: str, key: str = "", query: dict[str, str] | None = None, *, body: bytes = b""
    ) -> Iterator[http.client.HTTPResponse]:
        """What a request is answered, tried again where a connection broke or the server was not well."""
        for left in reversed(range(_TRIES)):
            connection = self._connection()
            try:
                target, headers = self._signed(method, "/".join(filter(None, (bucket, key))), query or {}, body)
                connection.request(method, target, body or None, headers)
                answer = connection.getresponse()
                if answer.status < 500 or not left:
                    break
            except (http.client.HTTPException, OSError):
                if not left:
                    raise
            connection.close()
        if answer.status != 200:
            connection.close()
            raise Refused(answer.status, f"{method} {bucket}/{key}")
        yield answer
        if answer.isclosed() and not answer.will_close:
            self._idle.put(connection)
        else:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            return http.client.HTTPConnection(self._host, self._port, timeout=60)

    def _signed(self, method: str, place: str, query: dict[str, str], body: bytes) -> tuple[str, dict[str, str]]:
        """Target and headers of a request."""
        path = "/" + quote(place, safe="/-_.~")
        asked = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in sorted(query.items()))
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = {"host": f"{self._host}:{self._port}", "x-amz-content-sha256": _sha256(body), "x-amz-date": moment}
        signed = ";".join(headers)
        lines = (
            method,
            path,
            asked,
            *(f"{name}:{value}" for name, value in headers.items()),
            "",
            signed,
            _sha256(body),
        )
        scope = f"{moment[:8]}/{self._access.region}/s3/aws4_request"
        to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n" + _sha256("\n".join(lines).encode())
        signature = hmac.digest(
            signing_key(self._access.secret_key, moment[:8], self._access.region), to_sign.encode(), "sha256"
        )
        credential = f"AWS4-HMAC-SHA256 Credential={self._access.access_key}/{scope}"
        headers["authorization"] = f"{credential}, SignedHeaders={signed}, Signature={signature.hex()}"
        return f"{path}?{asked}" if asked else path, headers


@contextlib.contextmanager
def plain_way_of(client: Any) -> Iterator[Plain | None]:
    """The plain way to the same server as a test's client; None for one over TLS, and for a client of another origin."""
    access = getattr(client, PLAIN_ACCESS, None)
    if access is None:
        yield None
        return
    with Plain(access) as plain:
        yield plain


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _namespace(page: ET.Element) -> str:
    """The beginning of all names in a document, ``{http://…}`` or nothing."""
    return page.tag.partition("}")[0] + "}" if page.tag.startswith("{") else ""


def _text(element: ET.Element, name: str) -> str:
    return element.findtext(f"{_namespace(element)}{name}") or ""


@functools.lru_cache(maxsize=64)
def signing_key(secret: str, date: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
