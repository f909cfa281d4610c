"""Limits of servers and of the proxies before them: which one was met, and what would pass."""

from __future__ import annotations

from botocore import exceptions as boto

from migrator.core.errors import StoreError
from migrator.core.size_thresholds import MIB, SMALLEST_PART, WHOLE_UP_TO
from migrator.stores.s3.errors.error_fields import (
    answer_of,
    body_size_of,
    code_of,
    header_of,
    raw_message_of,
    status_of,
)

_LIMITS_OF = {
    "nginx": "nginx' client_max_body_size, which is 1 MB where it is not set",
    "openresty": "nginx' client_max_body_size, which is 1 MB where it is not set",
    "apache": "Apache's LimitRequestBody",
    "cloudflare": "Cloudflare's limit for uploads, which is 100 MB in the smaller plans",
    "caddy": "Caddy's request_body max_size",
    "traefik": "Traefik's maxRequestBodyBytes",
    "haproxy": "HAProxy's limit for the size of a body",
    "envoy": "Envoy's max_request_bytes",
    "iis": "IIS' maxAllowedContentLength",
}
_UNKNOWN_LIMIT = (
    "It limits the size of a request's body. In nginx that is client_max_body_size: 1 MB where it is not set"
)


def limit_fault(error: boto.ClientError, where: str) -> StoreError | None:
    """What a refusal for size or form means; None for all others."""
    code, status = code_of(error), status_of(error)
    if status == 413 or code in ("EntityTooLarge", "RequestEntityTooLarge"):
        return _body_too_large(error, where)
    if status == 411 or code == "MissingContentLength":
        return StoreError(
            "length-required",
            f"The server, or a proxy before it, wants a Content-Length for {where} ({answer_of(error)}).",
            why="This program sends one, so a proxy removed it.",
            cure="Let the proxy pass Content-Length on (nginx: proxy_request_buffering on;), or bypass it.",
        )
    if status == 414:
        return StoreError(
            "address-too-long",
            f"A proxy or the server refuses an address as long as that of {where} (HTTP 414).",
            why="It limits the request line (nginx: large_client_header_buffers; Apache: LimitRequestLine).",
            cure="Raise that limit to 8 KB or more.",
        )
    if status == 431 or code in ("RequestHeaderSectionTooLarge", "MetadataTooLarge"):
        return StoreError(
            "headers-too-large",
            f"A proxy or the server takes no headers as large as those of a request for {where} (HTTP {status}).",
            why="It limits headers (nginx: large_client_header_buffers; Apache: LimitRequestFieldSize); a "
            "session token needs 2 KB.",
            cure="Raise that limit to 16 KB, or use keys without a session token.",
        )
    return None


def _body_too_large(error: boto.ClientError, where: str) -> StoreError:
    size, most = body_size_of(error), WHOLE_UP_TO // MIB
    of = f"a body of {size:,} bytes" if size is not None else "a body of that size"
    return StoreError(
        "body-too-large",
        f"A proxy or the server takes no request with {of}, for {where} ({answer_of(error)}).",
        why=f"{_limit_of(error)}.",
        cure=f"Raise it to {most} MiB or more (nginx: client_max_body_size {most}m; 0 is no limit). Then rerun."
        f" Larger files go in parts of {SMALLEST_PART // MIB} MiB; S3 takes no parts below 5 MiB.",
    )


def _limit_of(error: boto.ClientError) -> str:
    """The limit by the name of the software that answered, where its headers or its page tell that."""
    text = f"{header_of(error, 'server')} {header_of(error, 'via')} {raw_message_of(error)[:500]}".lower()
    named = next((limit for name, limit in _LIMITS_OF.items() if name in text), "")
    if not named:
        return _UNKNOWN_LIMIT
    return f"The answer is of {named}"
