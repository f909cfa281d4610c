"""A listing's page read without building what is not used: 2 µs a name, where a parsed tree costs 60.

Only pages that are surely listings of the bucket that was asked are read; anything else is None, and boto3 has to look at it.
"""

from __future__ import annotations

import re
import time
import urllib.parse
from calendar import timegm
from html import unescape
from typing import NamedTuple

_TRUNCATED = re.compile(rb"<IsTruncated>(true|false)</IsTruncated>")
_NAME = re.compile(rb"<Name>([^<]*)</Name>")
_TOKEN = re.compile(rb"<NextContinuationToken>([^<]*)</NextContinuationToken>")
_CONTENTS = re.compile(rb"<Contents>(.*?)</Contents>", re.DOTALL)
_KEY = re.compile(rb"<Key>([^<]*)</Key>")
_SIZE = re.compile(rb"<Size>(\d+)</Size>")
_ETAG = re.compile(rb"<ETag>([^<]*)</ETag>")
_MODIFIED = re.compile(rb"<LastModified>([^<]*)</LastModified>")
_QUOTES = (b"&quot;", b"&#34;")
_ENCODED = b"<EncodingType>url</EncodingType>"


class Listed(NamedTuple):
    """An object in a listing. `etag` without quotes; `modified_ns` from ``LastModified``."""

    key: str
    size: int
    etag: str | None
    modified_ns: int


class Page(NamedTuple):
    """One page; `token` leads to the next one, None on the last."""

    objects: list[Listed]
    token: str | None


def clean_etag(etag: str | None) -> str | None:
    """An ETag as servers mean it: without quotes and weakness mark, which servers add or leave off at will."""
    return etag.removeprefix("W/").strip('"') or None if etag else None


def read_page(body: bytes, bucket: str) -> Page | None:
    """The page of a ListObjectsV2 answer; None for whatever is not surely one."""
    if not body.rstrip().endswith(b"</ListBucketResult>"):
        return None
    name, truncated = _NAME.search(body), _TRUNCATED.search(body)
    if name is None or unescape(name.group(1).decode("utf-8", "replace")) != bucket or truncated is None:
        return None
    token = _TOKEN.search(body)
    following = _text(token.group(1)) if token is not None and truncated.group(1) == b"true" else None
    if truncated.group(1) == b"true" and not following:
        return None
    objects = _objects(body)
    return None if objects is None else Page(objects, following)


def _objects(body: bytes) -> list[Listed] | None:
    """All objects, by columns where every object has each field once; one by one else."""
    for quote in _QUOTES:
        body = body.replace(quote, b'"')  # at once for all ETags: a third of what a page costs
    count = body.count(b"<Contents>")
    keys, sizes = _KEY.findall(body), _SIZE.findall(body)
    etags, dates = _ETAG.findall(body), _MODIFIED.findall(body)
    decode = _decoded if _ENCODED in body else _plain
    if len(keys) == len(sizes) == len(etags) == len(dates) == count:
        return [
            Listed(decode(key), int(size), _etag(etag), _moment(date))
            for key, size, etag, date in zip(keys, sizes, etags, dates, strict=True)
        ]
    listed = []
    for block in _CONTENTS.findall(body):
        found_key, found_size = _KEY.search(block), _SIZE.search(block)
        if found_key is None or found_size is None:
            return None
        found_etag, found_date = _ETAG.search(block), _MODIFIED.search(block)
        listed.append(
            Listed(
                decode(found_key.group(1)),
                int(found_size.group(1)),
                _etag(found_etag.group(1)) if found_etag else None,
                _moment(found_date.group(1)) if found_date else 0,
            )
        )
    return listed if len(listed) == count else None


def _text(data: bytes) -> str | None:
    """What the bytes say, None if they are no text."""
    try:
        return unescape(data.decode())
    except UnicodeDecodeError:
        return None


def _plain(key: bytes) -> str:
    text = key.decode("utf-8", "surrogateescape")
    return unescape(text) if "&" in text else text


def _decoded(key: bytes) -> str:
    text = _plain(key)
    return urllib.parse.unquote_plus(text) if "%" in text or "+" in text else text


def _etag(etag: bytes) -> str | None:
    return clean_etag(unescape(etag.decode("ascii", "replace")).strip())


def _moment(date: bytes) -> int:
    """ns since the epoch of ``2026-11-22T10:11:12.000Z``; 0 for what cannot be read."""
    seconds = _seconds(date[:19])
    fraction = date[20:].rstrip(b"Z")
    return seconds * 1_000_000_000 + (int(fraction.ljust(9, b"0")[:9]) if fraction.isdigit() else 0)


def _seconds(date: bytes) -> int:
    known = _KNOWN_SECONDS.get(date)
    if known is None:
        if len(_KNOWN_SECONDS) > 10_000:
            _KNOWN_SECONDS.clear()
        try:
            known = timegm(time.strptime(date.decode("ascii", "replace"), "%Y-%m-%dT%H:%M:%S"))
        except ValueError:
            known = 0
        _KNOWN_SECONDS[date] = known
    return known


_KNOWN_SECONDS: dict[bytes, int] = {}
"""Objects are uploaded many to a second: parsing each second once is most of what a page costs less."""
