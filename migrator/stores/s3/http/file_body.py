"""Bodies that are files, read as they are sent, and again from their beginning where they have to be sent again."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any, BinaryIO

from s3transfer.utils import ReadFileChunk

from migrator.core.errors import SourceChanged
from migrator.stores.s3.http.stall import SendingWatch

_CHUNK = 256 << 10
"""Bytes to hash at a time: few enough to stay in the processor's cache."""


def body_of(part: BinaryIO, size: int) -> ReadFileChunk:
    """Return the next `size` bytes of a file in the form that boto3 and libcurl send; sending them ends where it crawls."""
    return ReadFileChunk(part, size, part.tell() + size, callbacks=[SendingWatch()])


def digest_of(body: ReadFileChunk, digest: Any) -> bytes:
    """Return the digest of a body, by a new `digest` of hashlib; the body is read for it, and rewound. Raises what reading raises."""
    body.disable_callback()  # no time is spent on the network
    body.seek(0)
    for piece in iter(partial(body.read, _CHUNK), b""):
        digest.update(piece)
    body.seek(0)
    body.enable_callback()
    return digest.digest()  # type: ignore[no-any-return]


def md5_of(body: ReadFileChunk) -> bytes:
    """Return the MD5 of a body, as `digest_of`."""
    return digest_of(body, hashlib.md5(usedforsecurity=False))


def refuse_changed_body(body: ReadFileChunk, md5: bytes, where: str) -> None:
    """Called when sending failed: what was read for it is perhaps not what was hashed before.

    Raises:
        SourceChanged: If the body, going to `where`, has not this MD5 any more.
        StoreError: If it cannot be read.
    """
    if md5_of(body) != md5:
        raise SourceChanged("source-changed", f"What was sent to {where} changed while it was read.")
