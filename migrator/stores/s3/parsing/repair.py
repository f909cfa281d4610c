"""Answers made fit for botocore's parser, which refuses a whole answer for a time or a character that it cannot read.

For this program's own clients only: Bytes' client has none of it, so calls that are made as Bytes makes them must fail as Bytes' do.
"""

from __future__ import annotations

import email.utils
import re
from typing import Any

from migrator.stores.s3.parsing.timestamps import moment_of

RAW_PAGE = "RawPage"
"""Under this name an answer to a listing has its body as it came."""

_LISTINGS = ("ListObjects", "ListObjectsV2")
_TIMES = re.compile(rb"<(LastModified|Initiated|CreationDate)>([^<]*)</\1>")
_PLAIN_TIME = re.compile(rb"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z")
_PLAIN_DATE = re.compile(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} (?:19[7-9]\d|20\d{2}) \d{2}:\d{2}:\d{2} GMT", re.ASCII)
_NO_XML = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|&#(?:0*(?:[0-8]|1[124-9]|2[0-9]|3[01])|[xX]0*(?:[0-8bBcCeEfF]|1[0-9a-fA-F]));"
)
"""Characters, and references to them, that XML 1.0 does not allow: servers write them into listings where a key has them."""
_REPLACEMENT = "�".encode()


def mend_answer(
    operation_model: Any, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
) -> None:
    """Handle botocore's ``before-parse``: replace what its parser cannot read, and keep the body of a listing as it came."""
    headers, body = response_dict["headers"], response_dict["body"]
    modified = headers.get("last-modified")
    if modified is not None and not _PLAIN_DATE.fullmatch(modified):
        headers["last-modified"] = email.utils.format_datetime(moment_of(modified), usegmt=True)
    if not isinstance(body, bytes) or not body:
        return
    if operation_model.name in _LISTINGS:
        customized_response_dict[RAW_PAGE] = body
    response_dict["body"] = _NO_XML.sub(_REPLACEMENT, _TIMES.sub(_readable, body))


def _readable(time: re.Match[bytes]) -> bytes:
    name, moment_text = time.groups()
    if _PLAIN_TIME.fullmatch(moment_text) and not moment_text.startswith(b"0"):
        return time.group()
    moment = moment_of(moment_text.decode("ascii", "replace")).strftime("%Y-%m-%dT%H:%M:%SZ")
    return b"<%s>%s</%s>" % (name, moment.encode(), name)
