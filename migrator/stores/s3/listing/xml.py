"""A listing's page read without building what is not used: 2 µs a name, where a parsed tree costs 60.

Only pages that are surely listings of the bucket that was asked are read; anything else is None, and boto3 has to look at it.
"""

from __future__ import annotations

import re
import time
import urllib.parse
from calendar import timegm
from collections.abc import Callable
from typing import NamedTuple

from migrator.stores.s3.parsing.etags import clean_etag
from migrator.stores.s3.parsing.timestamps import nanoseconds_of

_TRUNCATED = re.compile(rb"<IsTruncated>(true|false)</IsTruncated>")
_NAME = re.compile(rb"<Name>([^<]*)</Name>")
_TOKEN = re.compile(rb"<NextContinuationToken>([^<]*)</NextContinuationToken>")
_MARKER = re.compile(rb"<NextMarker>([^<]*)</NextMarker>")
_KEY_COUNT = re.compile(rb"<KeyCount>\s*(\d+)\s*</KeyCount>")
_CONTENTS = re.compile(rb"<Contents>(.*?)</Contents>", re.DOTALL)
_KEY = re.compile(rb"<Key>([^<]*)</Key>")
_SIZE = re.compile(rb"<Size>(\d+)</Size>")
_ETAG = re.compile(rb"<ETag>([^<]*)</ETag>")
_MODIFIED = re.compile(rb"<LastModified>([^<]*)</LastModified>")
_FOLDERS = re.compile(rb"<CommonPrefixes>(.*?)</CommonPrefixes>", re.DOTALL)
_PREFIX = re.compile(rb"<Prefix>([^<]*)</Prefix>")
_QUOTES = (b"&quot;", b"&#34;")
_ENCODED = b"<EncodingType>url</EncodingType>"
_REFERENCE = re.compile(r"&(?:#([0-9]{1,7})|#[xX]([0-9a-fA-F]{1,6})|(amp|lt|gt|quot|apos));")
_CHARACTERS = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


class ListedObject(NamedTuple):
    """An object in a listing. `etag` without quotes; `modified_ns` from ``LastModified``, 0 where that is not told."""

    key: str
    size: int
    etag: str | None
    modified_ns: int


class ListingPage(NamedTuple):
    """One page of a listing, as the server tells it.

    `folders` are its common prefixes. `token` (ListObjectsV2) and `marker` (ListObjects) are what it gives to ask on with.
    `is_truncated` is its word on whether there is more, `key_count` how many names it claims to have, None where it does not say.
    """

    objects: list[ListedObject]
    token: str | None = None
    marker: str | None = None
    is_truncated: bool = False
    folders: tuple[str, ...] = ()
    key_count: int | None = None


def read_page(body: bytes, bucket: str) -> ListingPage | None:
    """Return the page of an answer to ListObjectsV2 or ListObjects; None for whatever is not surely one."""
    if not body.rstrip().endswith(b"</ListBucketResult>"):
        return None
    name, truncated = _NAME.search(body), _TRUNCATED.search(body)
    if name is None or _plain(name.group(1)) != bucket or truncated is None:
        return None
    objects, next_token = _objects(body), _TOKEN.search(body)
    token = _text(next_token.group(1)) if next_token is not None else ""
    if objects is None or token is None:
        return None
    decode = _decoded if _ENCODED in body else _plain
    marker = _MARKER.search(body)  # encoded as keys are, unlike tokens
    count = _KEY_COUNT.search(body)
    return ListingPage(
        objects=objects,
        token=token or None,
        marker=(decode(marker.group(1)) if marker is not None else "") or None,
        is_truncated=truncated.group(1) == b"true",
        folders=_folders(body, decode),
        key_count=int(count.group(1)) if count is not None else None,
    )


def _folders(body: bytes, decode: Callable[[bytes], str]) -> tuple[str, ...]:
    if b"<CommonPrefixes>" not in body:
        return ()
    return tuple(decode(prefix) for block in _FOLDERS.findall(body) for prefix in _PREFIX.findall(block))


def _objects(body: bytes) -> list[ListedObject] | None:
    """All objects, by columns where every object has each field once; one by one else."""
    for quote in _QUOTES:
        body = body.replace(quote, b'"')  # at once for all ETags: a third of what a page costs
    count = body.count(b"<Contents>")
    keys, sizes = _KEY.findall(body), _SIZE.findall(body)
    etags, dates = _ETAG.findall(body), _MODIFIED.findall(body)
    decode = _decoded if _ENCODED in body else _plain
    if len(keys) == len(sizes) == len(etags) == len(dates) == count:
        return [
            ListedObject(decode(key), int(size), _etag(etag), _moment(date))
            for key, size, etag, date in zip(keys, sizes, etags, dates, strict=True)
        ]
    listed = []
    for block in _CONTENTS.findall(body):
        found_key, found_size = _KEY.search(block), _SIZE.search(block)
        if found_key is None or found_size is None:
            return None
        found_etag, found_date = _ETAG.search(block), _MODIFIED.search(block)
        listed.append(
            ListedObject(
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
        return _unescaped(data.decode())
    except UnicodeDecodeError:
        return None


def _plain(key: bytes) -> str:
    text = key.decode("utf-8", "surrogateescape")
    return _unescaped(text) if "&" in text else text


def _decoded(key: bytes) -> str:
    text = _plain(key)
    return urllib.parse.unquote_plus(text) if "%" in text or "+" in text else text


def _unescaped(text: str) -> str:
    """Characters for XML's references. ``html.unescape`` leaves out control characters, which makes one key of another."""
    return _REFERENCE.sub(_character, text)


def _character(reference: re.Match[str]) -> str:
    decimal, hexadecimal, name = reference.groups()
    if name is not None:
        return _CHARACTERS[name]
    number = int(decimal) if decimal is not None else int(hexadecimal, 16)
    return chr(number) if number < 0x110000 else reference.group()


def _etag(etag: bytes) -> str | None:
    return clean_etag(_plain(etag))


def _moment(date: bytes) -> int:
    """Return ns since the epoch of ``2026-11-22T10:11:12.000Z``; 0 for what cannot be read."""
    seconds = _KNOWN_SECONDS.get(date[:19]) or _seconds(date[:19])
    if seconds is None:
        return nanoseconds_of(date.decode("ascii", "replace"))
    fraction = date[20:].rstrip(b"Z")
    return seconds * 1_000_000_000 + (int(fraction.ljust(9, b"0")[:9]) if fraction.isdigit() else 0)


def _seconds(date: bytes) -> int | None:
    """Parse and remember seconds since the epoch; None for what no clock can have given."""
    try:
        seconds = timegm(time.strptime(date.decode("ascii", "replace"), "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None
    if not 0 <= seconds <= _LAST_SECOND:
        return None
    if len(_KNOWN_SECONDS) > 10_000:
        _KNOWN_SECONDS.clear()
    _KNOWN_SECONDS[date] = seconds
    return seconds


_LAST_SECOND = 9_223_372_036
_KNOWN_SECONDS: dict[bytes, int] = {}
"""Objects are uploaded many to a second: parsing each second once is most of what a page costs less."""
