"""Raw files, and what listings and the ledger know of them. Pure values.

Values that exist once for each raw file are named tuples: building one costs a third of a frozen dataclass,
and a scan builds millions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, NewType

RawId = NewType("RawId", str)
"""A raw file's UUID in canonical text: 36 characters, lower-case hex and hyphens (the only form that Bytes reads back)."""


INDEX_LENGTH = 3
"""Bytes' index folder is named by the first three characters of the raw id (``bytes/raw/file_raw_repository.py``)."""


HEX_DIGITS = "0123456789abcdef"


is_raw_id: Callable[[str], object] = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
).fullmatch


class RawFile(NamedTuple):
    """The opaque bytes that Bytes saved once under a raw id for an organization."""

    organization: str
    raw_id: RawId


class Entry(NamedTuple):
    """What a listing tells of a raw file.

    `size` in bytes. `etag` without quotes, None on disk or where the server lists none. `modified_ns` is the modification time on
    disk and ``LastModified`` on S3; `changed_ns` is the inode's change time (equal to `modified_ns` on S3), which no tool can set back.
    `inode` is 0 where there is none.
    """

    raw_id: RawId
    size: int
    etag: str | None = None
    modified_ns: int = 0
    changed_ns: int = 0
    inode: int = 0

    @property
    def is_undated(self) -> bool:
        """Return True if the server lists no time for it that can be read. On disk there is always a change time."""
        return not self.modified_ns and not self.changed_ns

    @property
    def version(self) -> str:
        """Tells this state of the raw file from a later one: the ETag on S3, the modification time on disk."""
        return self.etag or str(self.modified_ns)


class Shard(NamedTuple):
    """A unit of work: the raw files of one organization whose ids start with `prefix` (0 to 3 hex characters)."""

    organization: str
    prefix: str = ""


class Pair(NamedTuple):
    """The two ends of one raw file; at least one of them is there."""

    raw_id: RawId
    source: Entry | None
    target: Entry | None


class Digests(NamedTuple):
    """What tells a content: its size in bytes, and its digests in hex."""

    size: int
    sha256: str
    md5: str


class Fingerprint(NamedTuple):
    """The state of an index folder: any file that comes, goes or is renamed changes it; a file that is written to does not. Times in ns."""

    inode: int
    modified_ns: int
    changed_ns: int


class Folder(NamedTuple):
    """An index folder of a source on disk, with its state when it was looked at."""

    prefix: str
    fingerprint: Fingerprint


class FinishedFolder(NamedTuple):
    """An index folder whose raw files were found, or copied, at the target: those that had changed by `newest_ns`, and no later.

    `source` and `target` are digests of these raw files at both ends: see `migrator/sync/shard/folder_digests.py`. `is_own`: this program
    wrote all of them at the target. On S3, what an index folder is on disk are the raw ids with the same first three characters.
    """

    organization: str
    prefix: str
    newest_ns: int
    source: str
    target: str
    is_own: bool
    files: int
    bytes: int


class Provisional(NamedTuple):
    """A raw file that was copied while it was still young: should it change, its copy is ours to replace.

    `version` is the copy's `Entry.version`, which tells it from anybody else's; `size` and `changed_ns` are the source's when it was read.
    """

    organization: str
    raw_id: RawId
    size: int
    changed_ns: int
    version: str


class ProvenShard(NamedTuple):
    """A shard all of whose raw files were proven by a verification that was broken off later.

    `key` tells what was asked of it; `state` is a digest of what both ends listed; `proven_at` in seconds since the epoch; `sheet` the
    digest of its part of a manifest, empty without one.
    """

    organization: str
    prefix: str
    key: str
    state: str
    proven_at: float
    sheet: str = ""


class UnfinishedUpload(NamedTuple):
    """A multipart upload that this tool began and that has not become an object yet.

    `upload_id` is "" while the upload is only intended: the server has not told one yet. `part_size` in bytes; `source_version` is
    `Content.source_version` when it began; `began_at` in seconds since the epoch.
    """

    organization: str
    raw_id: RawId
    bucket: str
    key: str
    upload_id: str
    part_size: int
    source_version: str
    began_at: float


def shards_of(organization: str, length: int) -> Iterator[Shard]:
    """All shards of an organization with prefixes of `length` characters, ascending."""
    if length == 0:
        yield Shard(organization)
        return
    for number in range(16**length):
        yield Shard(organization, f"{number:0{length}x}")


FILES_PER_SHARD = 4_000


def length_for(files: float) -> int:
    """How many hex characters cut so many raw files into shards of some thousand."""
    length = 0
    while length < INDEX_LENGTH and files / 16**length > FILES_PER_SHARD:
        length += 1
    return length
