"""A store whose readers count: how far the large raw file has come that a thread reads, compares or proves.

In: a store, and the ticket and size of the raw file that the thread has in hand. Out: bytes by ticket, for the progress. Whatever is read
of one raw file, by how many readers and how often, it comes from 0 to its size once.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from migrator.core.entities import Entry, Folder, RawFile, Shard
from migrator.core.outcomes import Notify
from migrator.core.protocols import Content, Promise, Source, ignore_moved
from migrator.core.size_classes import WHOLE_UP_TO
from migrator.transfer.measured_content import MeasuredContent


class Meter:
    """How far large raw files have come. Used by any thread; each has at most one raw file in hand."""

    def __init__(self) -> None:
        self._moved: queue.SimpleQueue[tuple[object, int]] = queue.SimpleQueue()
        self._in_hand = threading.local()

    def moved(self) -> Iterator[tuple[object, int]]:
        """Yield tickets, and the bytes since the last call; they are taken back when the raw file ends, however it does."""
        while not self._moved.empty():
            yield self._moved.get_nowait()

    @contextmanager
    def measuring(self, ticket: object, size: int) -> Iterator[None]:
        """Count what this thread reads within the block as the raw file of this ticket, if it has more than `WHOLE_UP_TO` bytes."""
        if size <= WHOLE_UP_TO:
            yield
            return
        here = self._in_hand.raw_file = _InHand(ticket, size, self._moved.put)
        try:
            yield
        finally:
            self._in_hand.raw_file = None
            here.take_back()

    def counter(self) -> Callable[[int], None]:
        """Return what counts one reading of the raw file that this thread has in hand."""
        here: _InHand | None = getattr(self._in_hand, "raw_file", None)
        return here.counter() if here is not None else ignore_moved


class _InHand:
    """One raw file: its furthest reader tells how far it is."""

    def __init__(self, ticket: object, size: int, put: Callable[[tuple[object, int]], None]) -> None:
        self._ticket, self._size, self._put = ticket, size, put
        self._far = 0
        self._lock = threading.Lock()  # the parts that a server copies end in several threads

    def counter(self) -> Callable[[int], None]:
        total = 0

        def count(read: int) -> None:
            nonlocal total
            with self._lock:
                total += read
                further = min(total, self._size) - self._far
                if further > 0:
                    self._far += further
                    self._put((self._ticket, further))

        return count

    def take_back(self) -> None:
        with self._lock:
            self._put((self._ticket, -self._far))
            self._size = self._far = 0  # a reader that is late counts no more


class MeasuredSource:
    """The same store; what is opened counts for the meter. Keeps `Source`'s contract."""

    def __init__(self, store: Source, meter: Meter) -> None:
        self._store, self._meter = store, meter

    @contextmanager
    def open(self, raw_file: RawFile, entry: Entry) -> Iterator[Content]:
        """As the store, counted."""
        with self._store.open(raw_file, entry) as content:
            count = self._meter.counter()
            yield content if count is ignore_moved else MeasuredContent(content, count)

    def describe(self, raw_file: RawFile) -> str:
        """As the store."""
        return self._store.describe(raw_file)

    def organizations(self, notify: Notify) -> Iterator[str]:
        """As the store."""
        return self._store.organizations(notify)

    def shard_length(self, organization: str) -> int:
        """As the store."""
        return self._store.shard_length(organization)

    def folders(self, shard: Shard) -> Sequence[Folder]:
        """As the store."""
        return self._store.folders(shard)

    def scan(self, shard: Shard, notify: Notify) -> Iterator[Entry]:
        """As the store."""
        return self._store.scan(shard, notify)

    def scan_strays(self, organization: str, notify: Notify, *, length: int = 1) -> None:
        """As the store."""
        self._store.scan_strays(organization, notify, length=length)

    def is_empty(self, organization: str) -> bool:
        """As the store."""
        return self._store.is_empty(organization)

    def stat(self, raw_file: RawFile) -> Entry | None:
        """As the store."""
        return self._store.stat(raw_file)

    def is_listed(self, raw_file: RawFile) -> bool:
        """As the store."""
        return self._store.is_listed(raw_file)

    def promise(self, raw_file: RawFile) -> Promise | None:
        """As the store."""
        return self._store.promise(raw_file)

    def can_read(self, raw_file: RawFile) -> bool:
        """As the store."""
        return self._store.can_read(raw_file)
