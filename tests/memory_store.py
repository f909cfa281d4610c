"""A location in memory: the reference implementation of `Source` and `Target`, for tests and laws.

It does what the contracts say in the plainest way. Content that was stored is invisible until it is published; time comes from outside.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from migrator.core.entities import INDEX_LENGTH, Entry, Fingerprint, Folder, RawFile, RawId, Shard
from migrator.core.errors import AlreadyThere, NotTheSame, SourceChanged, StoreError, Unreadable, Vanished
from migrator.core.naming import is_organization
from migrator.core.notices import Notice, NoticeKind, Notify
from migrator.core.protocols import Content, Moved, Promise, Receipt, Source, ignore_moved
from migrator.stores.reserved_names import is_index, name_reason

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class _Kept:
    """A raw file as it is kept; replaced as a whole when it changes."""

    entry: Entry
    data: bytes


@dataclass(slots=True)
class _Place:
    """What an organization has. A stray lies in the index folder that its name begins with, if there can be one."""

    raw_files: dict[RawId, _Kept] = field(default_factory=dict)
    strays: dict[str, int] = field(default_factory=dict)
    folders: dict[str, Fingerprint] = field(default_factory=dict)


class MemoryContent:
    """A raw file in memory, opened for reading."""

    def __init__(self, kept: _Kept, now: Callable[[], _Kept | None], where: str, resume_unit: int) -> None:
        self.entry = kept.entry
        self.resume_unit = resume_unit
        self._kept = kept
        self._now = now
        self._where = where
        self._position = 0
        self._is_same = True

    @property
    def source_version(self) -> str:
        return f"{self.entry.size} {self.entry.version}"

    def resume_with(self, data: bytes) -> None:
        self._is_same = self.read(len(data)) == data and self._is_same

    def read(self, size: int) -> bytes:
        data = self._kept.data[self._position : self._position + size]
        self._position += len(data)
        return data

    def borrow(self, size: int) -> memoryview:
        return memoryview(self.read(size))

    def part(self, size: int) -> None:
        """Memory has no descriptor."""

    def finish(self) -> None:
        if self._now() is not self._kept or self._position != self.entry.size:
            raise SourceChanged("source-changed", f"{self._where} changed while it was read.")
        if not self._is_same:
            raise NotTheSame("wrong-digest", f"What an earlier run read of {self._where} is not what it holds.")


class MemoryReceipt:
    """Content that arrived, and that nobody sees yet."""

    __slots__ = ("kept", "replaces", "version")

    def __init__(self, kept: _Kept, replaces: str | None) -> None:
        self.kept = kept
        self.version = kept.entry.version
        self.replaces = replaces


class MemoryStore:
    """Raw files in memory, opened for reading and writing.

    With `index_folders` it has Bytes' index folders and their fingerprints, as a disk; with `etags` its ETags are MD5 digests, as on S3,
    or that text, as no digest is.
    `shard_length` and `resume_unit` are what it answers as such. `unreadable` holds raw files that exist and may not be read; `promises`
    is what it says of contents.
    """

    def __init__(
        self,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
        index_folders: bool = False,
        etags: bool | str = True,
        shard_length: int = 0,
        resume_unit: int = 0,
    ) -> None:
        self._clock_ns = clock_ns
        self._has_index_folders = index_folders
        self._etags = etags
        self._shard_length = shard_length
        self._resume_unit = resume_unit
        self._places: dict[str, _Place] = {}
        self._beside: dict[str, int] = {}
        self._inodes = 0
        self._lock = threading.RLock()
        self.unreadable: set[RawFile] = set()
        self.promises: dict[RawFile, Promise] = {}

    # --- as the application and others would change it ---------------------------------------------------------------

    def save(self, raw_file: RawFile, data: bytes) -> Entry:
        """Save the raw file, over whatever is there."""
        with self._lock:
            kept = self._keep(raw_file.raw_id, data)
            self._put(raw_file, kept)
            return kept.entry

    def delete(self, raw_file: RawFile) -> None:
        with self._lock:
            del self._places[raw_file.organization].raw_files[raw_file.raw_id]
            self._touch(raw_file)

    def add_stray(self, organization: str, name: str, size: int = 0) -> None:
        """Put something into the organization's place that is no raw file."""
        self._places.setdefault(organization, _Place()).strays[name] = size

    def add_beside(self, name: str, size: int = 0) -> None:
        """Put something beside the organizations."""
        self._beside[name] = size

    def contents(self) -> dict[RawFile, bytes]:
        """Every raw file with its content."""
        with self._lock:
            return {
                RawFile(organization, raw_id): kept.data
                for organization, place in self._places.items()
                for raw_id, kept in place.raw_files.items()
            }

    # --- Source ------------------------------------------------------------------------------------------------------

    def describe(self, raw_file: RawFile) -> str:
        return f"memory:{raw_file.organization}/{raw_file.raw_id}"

    def organizations(self, notify: Notify) -> Iterator[str]:
        for name in sorted((*self._places, *self._beside)):
            if name in self._places and is_organization(name):
                yield name
            else:
                size = self._beside.get(name, 0)
                notify(Notice(NoticeKind.STRAY, f"memory:{name}", "not an organization's code", "", size))

    def shard_length(self, organization: str) -> int:
        return self._shard_length

    def folders(self, shard: Shard) -> Sequence[Folder]:
        place = self._places.get(shard.organization)
        if place is None or not self._has_index_folders:
            return ()
        with self._lock:
            return [
                Folder(name, state) for name, state in sorted(place.folders.items()) if name.startswith(shard.prefix)
            ]

    def scan(self, shard: Shard, notify: Notify) -> Iterator[Entry]:
        organization, prefix = shard
        place = self._places.get(organization)
        if place is None:
            return
        if not prefix:
            self.scan_strays(organization, notify)
        for name, size in sorted(place.strays.items()):
            if is_index(name[:INDEX_LENGTH]) and name.startswith(prefix):
                self._tell_stray(notify, organization, name, size)
        with self._lock:
            found = sorted(kept.entry for raw_id, kept in place.raw_files.items() if raw_id.startswith(prefix))
        yield from found

    def scan_strays(self, organization: str, notify: Notify, *, length: int = 1) -> None:
        place = self._places.get(organization)
        for name, size in sorted(place.strays.items()) if place is not None else ():
            if not is_index(name[:INDEX_LENGTH]):
                self._tell_stray(notify, organization, name, size)

    def is_empty(self, organization: str) -> bool:
        place = self._places.get(organization)
        return place is None or not (place.raw_files or place.strays)

    def stat(self, raw_file: RawFile) -> Entry | None:
        kept = self._find(raw_file)
        return kept.entry if kept is not None else None

    def is_listed(self, raw_file: RawFile) -> bool:
        return self._find(raw_file) is not None

    def promise(self, raw_file: RawFile) -> Promise | None:
        return self.promises.get(raw_file)

    def can_read(self, raw_file: RawFile) -> bool:
        return self._find(raw_file) is not None and raw_file not in self.unreadable

    @contextmanager
    def open(self, raw_file: RawFile, entry: Entry) -> Iterator[MemoryContent]:
        where = self.describe(raw_file)
        kept = self._find(raw_file)
        if kept is None:
            raise Vanished("vanished", f"{where} is gone.")
        if raw_file in self.unreadable:
            raise Unreadable("unreadable", f"{where} may not be read.")
        yield MemoryContent(kept, lambda: self._find(raw_file), where, self._resume_unit)

    # --- Target ------------------------------------------------------------------------------------------------------

    def prepare(self, organization: str) -> None:
        with self._lock:
            self._places.setdefault(organization, _Place())

    def clear_leftovers(self, source: Source) -> None:
        """What is not published is nowhere."""

    def server_side_copy(
        self, raw_file: RawFile, source: Source, entry: Entry, moved: Moved = ignore_moved
    ) -> Receipt | None:
        return None

    def store(self, raw_file: RawFile, content: Content) -> MemoryReceipt:
        return self._receive(raw_file, content, None)

    def replace(self, raw_file: RawFile, content: Content, own_version: str) -> MemoryReceipt:
        return self._receive(raw_file, content, own_version)

    def publish(self, receipts: Sequence[tuple[RawFile, Receipt]]) -> Iterator[tuple[RawFile, StoreError | None]]:
        for raw_file, receipt in receipts:
            if isinstance(receipt, MemoryReceipt):
                yield raw_file, self._publish_one(raw_file, receipt)

    def _publish_one(self, raw_file: RawFile, receipt: MemoryReceipt) -> StoreError | None:
        with self._lock:
            try:
                self._refuse_another(raw_file, receipt.replaces)
            except AlreadyThere as error:
                return error
            self._put(raw_file, receipt.kept)
            return None

    def _receive(self, raw_file: RawFile, content: Content, replaces: str | None) -> MemoryReceipt:
        self._refuse_another(raw_file, replaces)
        data = b"".join(iter(lambda: content.read(_CHUNK), b""))
        content.finish()
        return MemoryReceipt(self._keep(raw_file.raw_id, data), replaces)

    def _refuse_another(self, raw_file: RawFile, own_version: str | None) -> None:
        """Raise unless there is nothing under this name, or our own copy that still has this mark."""
        found = self.stat(raw_file)
        if (found.version if found is not None else None) != own_version:
            raise AlreadyThere("already-there", f"{self.describe(raw_file)} appeared or changed meanwhile.")

    # --- keeping -----------------------------------------------------------------------------------------------------

    def _find(self, raw_file: RawFile) -> _Kept | None:
        place = self._places.get(raw_file.organization)
        return place.raw_files.get(raw_file.raw_id) if place is not None else None

    def _keep(self, raw_id: RawId, data: bytes) -> _Kept:
        now = self._clock_ns()
        etag = self._etags if isinstance(self._etags, str) else None
        if self._etags is True:
            etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return _Kept(Entry(raw_id, len(data), etag, now, now), data)

    def _put(self, raw_file: RawFile, kept: _Kept) -> None:
        place = self._places.setdefault(raw_file.organization, _Place())
        is_new = raw_file.raw_id not in place.raw_files
        place.raw_files[raw_file.raw_id] = kept
        if is_new:
            self._touch(raw_file)

    def _touch(self, raw_file: RawFile) -> None:
        """A raw file came or went: its index folder has another state, even if the clock stands still."""
        folders, index = self._places[raw_file.organization].folders, raw_file.raw_id[:INDEX_LENGTH]
        if index not in folders:
            self._inodes += 1
            folders[index] = Fingerprint(self._inodes, 0, 0)
        inode, modified_ns, _ = folders[index]
        now = max(self._clock_ns(), modified_ns + 1)
        folders[index] = Fingerprint(inode, now, now)

    def _tell_stray(self, notify: Notify, organization: str, name: str, size: int) -> None:
        notify(Notice(NoticeKind.STRAY, f"memory:{organization}/{name}", name_reason(name), organization, size))
