"""A manifest in the place of a source: it knows what there was, and holds no contents."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from migrator.core.entities import Entry, Folder, RawFile, Shard, length_for
from migrator.core.errors import Unreadable
from migrator.core.naming import disk_path_of
from migrator.core.notices import Notify
from migrator.core.protocols import Content, Promise
from migrator.sync.manifest_reader import Kept, Manifest


class ManifestSource:
    """The raw files of a manifest. An entry's size is 0 where the manifest tells none; its ETag is none of an S3 server's."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest

    def close(self) -> None:
        """Nothing is held open."""

    def describe(self, raw_file: RawFile) -> str:
        """Return the manifest's path and the raw file's path on a disk of Bytes."""
        return f"{self._manifest.path}: {disk_path_of(raw_file)}"

    def organizations(self, notify: Notify) -> Iterator[str]:
        """Yield the organizations that the manifest has, ascending."""
        yield from sorted(self._manifest.blocks)

    def shard_length(self, organization: str) -> int:
        """Return the length for as many raw files as the manifest counts."""
        block = self._manifest.blocks.get(organization)
        return length_for(block.files) if block is not None else 0

    def folders(self, shard: Shard) -> Sequence[Folder]:
        """Return nothing: a manifest has no index folders."""
        return ()

    def scan(self, shard: Shard, notify: Notify) -> Iterator[Entry]:
        """Yield the shard's lines as entries, ascending as they are written; no stray is in a manifest."""
        for kept in self._manifest.lines(shard.organization, shard.prefix):
            if not kept.raw_file.raw_id.startswith(shard.prefix):
                return
            yield _entry_of(kept)

    def scan_strays(self, organization: str, notify: Notify, *, length: int = 1) -> None:
        """Whatever is no raw file was refused when the manifest was looked through."""

    def is_empty(self, organization: str) -> bool:
        """Return True if the manifest does not name the organization."""
        return organization not in self._manifest.blocks

    def stat(self, raw_file: RawFile) -> Entry | None:
        """Return the raw file's entry as the manifest has it, found by bisection."""
        kept = next(self._manifest.lines(raw_file.organization, raw_file.raw_id), None)
        return _entry_of(kept) if kept is not None and kept.raw_file == raw_file else None

    def is_listed(self, raw_file: RawFile) -> bool:
        """Return True if the manifest names the raw file."""
        return self.stat(raw_file) is not None

    def promise(self, raw_file: RawFile) -> Promise | None:
        """Return a check against the SHA-256 that the manifest has."""
        kept = next(self._manifest.lines(raw_file.organization, raw_file.raw_id), None)
        if kept is None or kept.raw_file != raw_file:
            return None
        return Promise(check=lambda: _Sha256Check(kept.sha256), kind="SHA256")

    def can_read(self, raw_file: RawFile) -> bool:
        """Return False: a manifest holds no contents."""
        return False

    def open(self, raw_file: RawFile, entry: Entry) -> AbstractContextManager[Content]:
        """Refuse: a manifest holds no contents.

        Raises:
            Unreadable: Always.
        """
        raise Unreadable("no-contents", f"{self._manifest.path} holds no contents.")


class _Sha256Check:
    def __init__(self, sha256: str) -> None:
        self._expected = sha256
        self._digest = hashlib.sha256()

    def update(self, data: bytes) -> None:
        self._digest.update(data)

    def matches(self) -> bool | None:
        return self._digest.hexdigest() == self._expected


def _entry_of(kept: Kept) -> Entry:
    return Entry(kept.raw_file.raw_id, kept.size or 0, f"sha256 {kept.sha256}")
