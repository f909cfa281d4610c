"""What the parts of a pass promise each other.

A docstring here is a contract; `tests/contract` holds its sentences on every implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import BinaryIO, NamedTuple, Protocol

from migrator.core.entities import Entry, Folder, RawFile, Shard, UnfinishedUpload
from migrator.core.errors import MigratorError, StoreError
from migrator.core.notices import Notify
from migrator.core.outcomes import Result, Step


class Content(Protocol):
    """A raw file opened for reading, from its first byte to its last.

    Used by one thread. `read` answers up to `size` bytes and b"" at the end, never fewer for a reason of its own: a short answer
    means that the end is near. Errors: Vanished, Unreadable, Unavailable.
    """

    @property
    def entry(self) -> Entry:
        """The raw file as it was when it was opened; its size is what will be read."""
        ...

    @property
    def source_version(self) -> str:
        """Tells this state of the source from a later one: size, modification time and inode on disk, size and ETag on S3."""
        ...

    @property
    def resume_unit(self) -> int:
        """Reading can begin at any multiple of this many bytes, by `resume_with` before the first `read`; 0 where it cannot."""
        ...

    def resume_with(self, data: bytes) -> None:
        """Take bytes that an earlier run read, as if they had been read now: they are proven with the rest. Whole units only."""
        ...

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer only before the end, and b"" at the end.

        Raises:
            Vanished: If the raw file is gone.
            Unreadable: If this user may not read it, or the medium fails.
            Unavailable: If the store does not answer, which may pass.
        """
        ...

    def borrow(self, size: int) -> memoryview:
        """As `read`, without a copy where it can be: any number up to `size`, 0 at the end. Good until the next call of any method."""
        ...

    def part(self, size: int) -> BinaryIO | None:
        """Return the next `size` bytes as a file with a descriptor of its own, and step over them; its `tell` is where they begin.

        Another thread may read it, also after this content is closed; it is not read beyond `size`. None, with nothing stepped over,
        where only `read` gives them (S3). Reading it raises StoreError.
        """
        ...

    def finish(self) -> None:
        """Called once after the last read: proves that what was read is one whole, unchanged raw file.

        Raises SourceChanged (it was written meanwhile) or NotTheSame (length or digest is not the store's).
        """
        ...


class Check(Protocol):
    """Content compared with a digest as it streams through."""

    def update(self, data: bytes) -> None:
        """Take the next bytes of the content, in order."""
        ...

    def matches(self) -> bool | None:
        """After the last byte. True: proven equal. False: proven different. None: the digest does not tell."""
        ...


class Promise(NamedTuple):
    """What a store says of a raw file's content, beyond what its listing says.

    `etag_is_digest` is False where the server says that its ETag cannot be one (SSE-KMS, SSE-C). `part_size` in bytes is that of the
    first part, None where it is not told. `check` begins a `Check` against the checksum that is stored, which `kind` names; None where
    none is stored, or none that can be computed here.
    """

    etag_is_digest: bool = True
    part_size: int | None = None
    check: Callable[[], Check] | None = None
    kind: str = ""


class Reads(Protocol):
    """What comparing single raw files needs of a location. Every method may be called from any thread."""

    def describe(self, raw_file: RawFile) -> str:
        """Where the raw file is, as a path or ``s3://`` URL, for people."""
        ...

    def stat(self, raw_file: RawFile) -> Entry | None:
        """The raw file's entry as it is at this moment, None where there is none."""
        ...

    def is_listed(self, raw_file: RawFile) -> bool:
        """Return whether a fresh listing shows the raw file, whatever `stat` finds. Raises StoreError."""
        ...

    def promise(self, raw_file: RawFile) -> Promise | None:
        """What the store says of the raw file's content at this moment; None where it says nothing (disk).

        Raises Vanished and other StoreErrors.
        """
        ...

    def open(self, raw_file: RawFile, entry: Entry) -> AbstractContextManager[Content]:
        """Open the raw file that was listed as `entry`. Raises Vanished, Unreadable, SourceChanged, Unavailable."""
        ...


class Source(Reads, Protocol):
    """A location opened for reading. Cannot write, by type. Every method may be called from any thread."""

    def organizations(self, notify: Notify) -> Iterator[str]:
        """Organizations with a place in this location, ascending. A location that does not exist has none.

        Whatever lies beside them is a stray. Raises AccessDenied or Unavailable: a listing that failed is never an empty one.
        """
        ...

    def shard_length(self, organization: str) -> int:
        """How many hex characters (0 to 3) cut this organization into shards of some thousand raw files. An estimate from a sample."""
        ...

    def folders(self, shard: Shard) -> Sequence[Folder]:
        """The shard's index folders with their present state, ascending; empty where the store has no such short cut (S3)."""
        ...

    def scan(self, shard: Shard, notify: Notify) -> Iterator[Entry]:
        """The shard's raw files, strictly ascending by raw id, in constant memory but for one index folder or page.

        With an empty prefix, strays anywhere in the organization are told; else those below the prefix. Temporary files of this tool
        are no strays. An unreadable folder is told as such. An organization that does not exist is empty.
        Raises Unavailable, AccessDenied or BucketMissing when the listing fails, however late.
        """
        ...

    def scan_strays(self, organization: str, notify: Notify, *, length: int = 1) -> None:
        """Tell the strays that no shard with a prefix of `length` characters (1 to 3) would meet."""
        ...

    def is_empty(self, organization: str) -> bool:
        """Whether nothing can be found for this organization: its place is missing or holds nothing. At most one request."""
        ...

    def can_read(self, raw_file: RawFile) -> bool:
        """Whether opening would be allowed, as far as can be told without reading."""
        ...


class UploadJournal(Protocol):
    """Where multipart uploads are written down, so that they go on where they were. Called from any thread."""

    def unfinished(self, raw_file: RawFile) -> UnfinishedUpload | None:
        """What an earlier run, or an earlier try, left of this raw file."""
        ...

    def began(self, upload: UnfinishedUpload) -> None:
        """Write it down; returns once that is durable, which must be before the first part is sent. Raises Interrupted."""
        ...

    def ended(self, upload: UnfinishedUpload) -> None:
        """The upload became an object, or was aborted."""
        ...

    def learned(self, name: str, value: int) -> None:
        """Report a field of the server's abilities that is not as it was believed to be."""
        ...


class Receipt(Protocol):
    """What `Target.store` hands to `Target.publish`."""

    @property
    def version(self) -> str:
        """The `Entry.version` that the copy will have: tells our copy from another's later."""
        ...


Moved = Callable[[int], None]
"""Called with the bytes of a large raw file that have been brought since the last call, from any thread."""


def ignore_moved(size: int) -> None:
    """For whoever shows no progress."""


class Target(Source, Protocol):
    """A location that can also be written. Nothing that exists is ever replaced or deleted, but for `replace`."""

    def prepare(self, organization: str) -> None:
        """Make the organization's place (bucket or folder) if it is missing; called before its first `store`, maybe twice."""
        ...

    def server_side_copy(
        self, raw_file: RawFile, source: Source, entry: Entry, moved: Moved = ignore_moved
    ) -> Receipt | None:
        """Copy without the bytes passing through here, where both ends are one server; None where that cannot be done. Else as `store`.

        `moved` is called for each part, where the server copies in parts.
        """
        ...

    def store(self, raw_file: RawFile, content: Content) -> Receipt:
        """Bring the content and prove that it arrived; nobody need see it before `publish`.

        Atomic: a reader sees no raw file or the whole one. Calls `content.finish` before anything becomes visible that cannot be taken
        back. Raises AlreadyThere with nothing written, NotTheSame, StoreFull, AccessDenied, BucketMissing, Unavailable, and whatever
        `content` raises.
        """
        ...

    def replace(self, raw_file: RawFile, content: Content, own_version: str) -> Receipt:
        """As `store`, over a copy of our own that still has this version. Raises AlreadyThere if it is something else by now."""
        ...

    def publish(self, receipts: Sequence[tuple[RawFile, Receipt]]) -> Iterator[tuple[RawFile, StoreError | None]]:
        """Make stored content visible and durable; answers each raw file once, with the error that kept it back or None.

        What was answered with None survives a power cut on any file system that honours fsync.
        """
        ...

    def clear_leftovers(self, source: Source) -> None:
        """Remove what a run that was broken off left of raw files that the source does not have any more. Called after a whole pass."""
        ...


class SinkAnswer(NamedTuple):
    """A sink's answer to one step. `stop` is what ends the run; such a raw file is pending. A BucketClosed ends only its organization's."""

    ticket: object
    result: Result
    stop: MigratorError | None = None


class Sink(Protocol):
    """The last stage of a pass: steps → outcomes. Used by one thread. Each step is answered exactly once, in any order."""

    @property
    def has_room(self) -> bool:
        """Whether another step may be submitted now."""
        ...

    def submit(self, ticket: object, organization: str, step: Step) -> None:
        """Begin with a step; `ticket` comes back with its answer. Does not wait for any network."""
        ...

    def answers(self, *, flush: bool) -> Iterator[SinkAnswer]:
        """The answers that are there; waits for a moment if there are none. `flush`: nothing more comes for now, hold nothing back."""
        ...

    def moved(self) -> Iterator[tuple[object, int]]:
        """Tickets of large files in flight, and by how many bytes more has been carried; negative, in all, once a file ends."""
        ...

    def close(self) -> None:
        """Wait for steps in flight, answer no more, and free threads and connections."""
        ...
