"""Secrets that stand in texts: logins in URLs, queries of signed URLs. Pure."""

from __future__ import annotations

import re

HIDDEN = "***"

_LOGIN = re.compile(r"(?<=://)(?:[^/\s@:]*:(?!\d{1,5}(?:[/?#\s]|$))\S*|[^/\s@:]+)@")
"""What stands before a host: ``user:password@``, where a password may hold a slash, or ``token@``. A port is no password."""
_QUERY = re.compile(r"(?<=://)([^\s?'\"]*\?)[^\s'\"]+")
"""The query of a URL, which signs it: ``X-Amz-Signature``, ``Signature``, ``sig``, ``token`` and others."""
_LONE_SIGNATURE = re.compile(
    r"(?i)((?:x-amz-(?:signature|credential|security-token)|awsaccesskeyid|signature)=)[^\s&'\"]+"
)


def without_secrets(text: str) -> str:
    """The text with ``***`` in place of logins and queries of URLs."""
    if "://" in text:
        text = _QUERY.sub(rf"\1{HIDDEN}", _LOGIN.sub(f"{HIDDEN}@", text))
    return _LONE_SIGNATURE.sub(rf"\1{HIDDEN}", text)


def has_login(url: str) -> bool:
    """Whether a login stands before the host of a URL."""
    return _LOGIN.search(url) is not None
