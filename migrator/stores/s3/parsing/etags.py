"""ETags in the forms that servers give them: quoted or not, weak, in upper case, marked by a proxy that compresses."""

from __future__ import annotations

import base64
import hashlib
import re

_MD5_IN_CAPITALS = re.compile(r"[0-9A-F]{32}(-[0-9]{1,5})?")
_COMPRESSED = re.compile(r"(?<=[0-9a-fA-F])(-gzip|;gzip|--gzip)$")
"""What Apache (``-gzip``) and Jetty (``;gzip``, ``--gzip``) add to the ETag of an answer that they compress."""


class Etag(str):
    """An ETag as it is compared. `as_given` is how the server writes it, and wants to have it back."""

    as_given: str

    def __new__(cls, etag: str, as_given: str | None = None) -> Etag:
        """Make an ETag without quotes; `as_given` is what the server wrote."""
        made = super().__new__(cls, etag)
        made.as_given = etag if as_given is None else as_given
        return made


def clean_etag(etag: str | None) -> str | None:
    """Return an ETag without quotes, weakness mark and a proxy's mark, an MD5 in lower case; None for none or an empty one.

    Alibaba OSS writes MD5s in upper case; some servers leave the quotes off, some proxies add them twice.
    """
    if not etag:
        return None
    plain = etag.strip()
    if plain[:2] in ("W/", "w/"):
        plain = plain[2:]
    plain = plain.strip('"')
    if plain.endswith("gzip"):
        plain = _COMPRESSED.sub("", plain)
    lower = plain.lower()
    if lower != plain and _MD5_IN_CAPITALS.fullmatch(plain):
        return Etag(lower, plain)
    return plain or None


def quoted(etag: str) -> str:
    """Return an ETag as a condition or a list of parts sends it: in quotes, as the server writes it."""
    return f'"{etag.as_given if isinstance(etag, Etag) else etag}"'


def content_md5(data: bytes) -> str:
    """Return the Content-MD5 header of a body."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
