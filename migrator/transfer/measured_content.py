"""Content that tells how far it has been read: progress of a file that takes minutes."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from migrator.core.entities import Entry
from migrator.core.protocols import Content


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
