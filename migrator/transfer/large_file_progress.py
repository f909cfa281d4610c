"""A store whose readers count: how far the large raw file has come that a thread reads, compares or proves.

In: a store, and the ticket and size of the raw file that the thread has in hand. Out: bytes by ticket, for the progress. Whatever is read
of one raw file, by how many readers and how often, it comes from 0 to its size once.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from migrator.core.entities import Entry, RawFile
from migrator.core.protocols import Content, Promise, Reads, ignore_moved
from migrator.core.size_thresholds import WHOLE_UP_TO


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


class MeasuredContent:
    """Content that calls `moved` with the bytes of each read and of each part that is stepped over. Keeps `Content`'s contract."""

    def __init__(self, content: Content, moved: Callable[[int], None]) -> None:
        self._content = content
        self._moved = moved

    @property
    def entry(self) -> Entry:
        """Return the raw file as it was when it was opened."""
        return self._content.entry

    @property
    def source_version(self) -> str:
        """Return what tells this state of the source from a later one."""
        return self._content.source_version

    @property
    def resume_unit(self) -> int:
        """Return the bytes at whose multiples reading can begin, 0 for none."""
        return self._content.resume_unit

    def resume_with(self, data: bytes) -> None:
        """Take bytes that an earlier run read, and count them."""
        self._content.resume_with(data)
        self._moved(len(data))

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, and count them."""
        data = self._content.read(size)
        self._moved(len(data))
        return data

    def borrow(self, size: int) -> memoryview:
        """Return up to `size` bytes, good until the next call, and count them."""
        data = self._content.borrow(size)
        self._moved(len(data))
        return data

    def part(self, size: int) -> BinaryIO | None:
        """Return the next `size` bytes as a file, and count them."""
        part = self._content.part(size)
        if part is not None:
            self._moved(size)
        return part

    def finish(self) -> None:
        """Prove that what was read is one whole, unchanged raw file."""
        self._content.finish()


class MeasuredSource:
    """The same store; what is opened counts for the meter. Keeps `Reads`' contract."""

    def __init__(self, store: Reads, meter: Meter) -> None:
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

    def stat(self, raw_file: RawFile) -> Entry | None:
        """As the store."""
        return self._store.stat(raw_file)

    def is_listed(self, raw_file: RawFile) -> bool:
        """As the store."""
        return self._store.is_listed(raw_file)

    def promise(self, raw_file: RawFile) -> Promise | None:
        """As the store."""
        return self._store.promise(raw_file)
