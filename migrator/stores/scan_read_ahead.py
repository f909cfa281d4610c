"""Scans that wait for a network are read ahead in a thread, so that listing and moving overlap."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")

_CHUNK = 1_000
_CHUNKS_AHEAD = 3


class ReadAhead(Generic[T]):
    """Yields in lists what another iterator gives, read ahead by a few thousand items; begins at once. Errors come out in their place."""

    def __init__(self, make: Callable[[], Iterator[T]]) -> None:
        self._make = make
        self._chunks: deque[list[T]] = deque()
        self._error: BaseException | None = None
        self._is_done = False
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="prefetch", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[list[T]]:
        try:
            while (chunk := self._next_chunk()) is not None:
                yield chunk
        finally:
            with self._changed:
                self._is_closed = True
                self._changed.notify_all()
            self._thread.join()

    def _next_chunk(self) -> list[T] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._chunks or self._is_done)
            if self._chunks:
                chunk = self._chunks.popleft()
                self._changed.notify_all()
                return chunk
        if self._error is not None:
            raise self._error
        return None

    def _read(self) -> None:
        try:
            items = self._make()
            while chunk := list(islice(items, _CHUNK)):
                with self._changed:
                    self._chunks.append(chunk)
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: len(self._chunks) < _CHUNKS_AHEAD or self._is_closed)
                    if self._is_closed:
                        return
        except BaseException as error:
            self._error = error
        with self._changed:
            self._is_done = True
            self._changed.notify_all()
