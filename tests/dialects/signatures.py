"""Signature Version 4 as a server checks it: over what was sent, by the keys that it knows.

Source: AWS, "Signature Calculations for the Authorization Header".
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.dialects.wire import Request
from tests.plain_s3 import signing_key

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]*)/s3/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})"
)
_HASHED_UP_TO = 1 << 20
"""Bodies up to so many bytes are compared with their SHA-256; larger ones would be most of what the table costs."""


def fault_of(request: Request, access_key: str, secret_key: str) -> tuple[int, str] | None:
    """The HTTP status and error code that a server answers for the request's signature; None for a right one."""
    match = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if match is None:
        return 403, "AccessDenied"
    key, date, region, signed, signature = match.groups()
    if key != access_key:
        return 403, "InvalidAccessKeyId"
    payload = request.headers.get("x-amz-content-sha256", "")
    if _signature(request, _Scope(secret_key, date, region), signed, payload) != signature:
        return 403, "SignatureDoesNotMatch"
    is_told = len(payload) == 64 and len(request.body) <= _HASHED_UP_TO
    if is_told and hashlib.sha256(request.body).hexdigest() != payload:
        return 400, "XAmzContentSHA256Mismatch"
    return None


def region_of(request: Request) -> str:
    """The region that the request was signed for; "" for one without a signature."""
    match = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    return match.group(3) if match else ""


class _Scope(NamedTuple):
    secret_key: str
    date: str
    region: str


def _signature(request: Request, scope: _Scope, signed: str, payload: str) -> str:
    parts = urlsplit(request.target)
    query = "&".join(sorted(pair if "=" in pair else f"{pair}=" for pair in parts.query.split("&") if pair))
    names = signed.split(";")
    lines = (f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in names)
    canonical = "\n".join((request.method, parts.path or "/", query, *lines, "", signed, payload))
    digest = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
    moment = request.headers.get("x-amz-date", "")
    to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope.date}/{scope.region}/s3/aws4_request\n{digest}"
    return hmac.digest(signing_key(*scope), to_sign.encode(), "sha256").hex()
