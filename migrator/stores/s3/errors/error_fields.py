"""What an error that boto3 raises for an answer carries: code, status, headers, and the server's own words."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from botocore import exceptions as boto

SAID_AT_MOST = 300
"""Characters of a server's message that are shown."""
BODY_SIZE, HOST_SENT = "BytesMigratorBodySize", "BytesMigratorHost"
"""Where `boto3_clients` notes in an answer's metadata how many bytes the request's body had, and for which Host it was signed."""

_REQUEST_ID = re.compile(r"[\w=+/.:-]{1,128}", re.ASCII)
_MASKED = "…"
_KEYS = (
    re.compile(r"\b(?:AKIA|ASIA)\w{4,}"),  # access key ids, as AWS makes them
    re.compile(r"[A-Za-z0-9+/=_]{40,}"),  # secret keys, signatures and tokens; names of raw files have hyphens
    re.compile(r"(?i)(?<=://)[^/\s@]+@"),  # a login in a URL
    re.compile(
        r"(?i)\b(?:x-amz-(?:credential|signature|security-token)|signature|secret|token|password|passwd)[=:]\s*[^\s&,;]+"
    ),
)


def code_of(error: BaseException) -> str:
    """The server's error code; for HEAD, whose answers carry none, the HTTP status."""
    if isinstance(error, boto.ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""


def status_of(error: BaseException) -> int:
    """The HTTP status of the answer, 0 without one."""
    return int(metadata_of(error).get("HTTPStatusCode", 0))


def answer_of(error: BaseException) -> str:
    """Code and status as they are shown: the status alone where there is no code but it."""
    code, status = code_of(error), status_of(error)
    return f"HTTP {status}" if code in ("", str(status)) else f"{code}, HTTP {status}"


def tries_before(error: BaseException | None) -> int:
    """How often botocore had sent the request before, and got no answer that it took."""
    return int(metadata_of(error).get("RetryAttempts", 0)) if isinstance(error, boto.ClientError) else 1


def request_id_of(error: BaseException) -> str:
    """What the server's log knows the request by; nothing that does not look like it."""
    found = str(metadata_of(error).get("RequestId") or header_of(error, "x-amz-request-id") or "")
    return found if _REQUEST_ID.fullmatch(found) else ""


def header_of(error: BaseException, name: str) -> str:
    """A header of the answer, by its name in lower case; "" without one."""
    return str(metadata_of(error).get("HTTPHeaders", {}).get(name, ""))


def body_size_of(error: BaseException) -> int | None:
    """How many bytes the body of the refused request had; None if that is not known."""
    found = metadata_of(error).get(BODY_SIZE)
    return found if isinstance(found, int) else None


def seconds_ahead(error: BaseException) -> float | None:
    """By how many seconds the server's clock is ahead of this machine's, by the answer's ``Date``; None without one."""
    try:
        return email.utils.parsedate_to_datetime(header_of(error, "date")).timestamp() - time.time()
    except ValueError:  # none, or something else: it is the server's
        return None


def raw_message_of(error: BaseException) -> str:
    """The server's message as it came: to look for words in, never to be shown."""
    if isinstance(error, boto.ClientError):
        return str(error.response.get("Error", {}).get("Message") or "")
    return ""


def said_by(error: BaseException) -> str:
    """The server's message, fit to be shown; "" where it says no more than the status."""
    text = presentable(raw_message_of(error))
    return "" if not text or text.casefold() in _reasons(status_of(error)) or text == code_of(error) else text


def field_of(error: BaseException, name: str) -> str:
    """Another element of the error's XML, such as ``CanonicalRequest``, as it came; "" without one."""
    if isinstance(error, boto.ClientError):
        found = error.response.get("Error", {}).get(name)
        return found if isinstance(found, str) else ""
    return ""


def presentable(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Foreign words fit for a terminal and a log: secrets masked, one line, nothing that steers a terminal, 300 characters."""
    for secret in secrets:
        text = text.replace(secret, _MASKED)
    text = " ".join(text.split())
    for pattern in _KEYS:
        text = pattern.sub(_MASKED, text)
    text = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
    return text if len(text) <= SAID_AT_MOST else f"{text[: SAID_AT_MOST - 1]}…"


def metadata_of(error: BaseException | None) -> Mapping[str, Any]:
    """What botocore keeps of the answer, and what `boto3_clients` noted beside; empty where there was no answer."""
    if isinstance(error, boto.ClientError):
        known: Mapping[str, Any] = error.response.get("ResponseMetadata", {})
        return known
    return {}


def _reasons(status: int) -> tuple[str, ...]:
    """What an answer without words of its own says: botocore takes the status line's."""
    try:
        return ("", HTTPStatus(status).phrase.casefold())
    except ValueError:
        return ("",)
