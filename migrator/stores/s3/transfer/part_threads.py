"""The threads that carry parts of large files, and the bound on how many parts of all files are in memory at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

PARTS_IN_MEMORY = 4
"""For each process: with parts of 8 MiB, 32 MiB."""


class PartLane:
    """Room is reserved before a part is read, and given back when its future is taken or dropped."""

    def __init__(self, jobs: int) -> None:
        workers = min(jobs, PARTS_IN_MEMORY)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="part")
        self._room = threading.BoundedSemaphore(workers)

    def reserve(self, *, wait: bool = True) -> bool:
        """Make sure of room for one more part; False if there is none and nobody waits."""
        return self._room.acquire(blocking=wait)

    def release(self) -> None:
        """Give back room that was reserved for nothing."""
        self._room.release()

    def submit(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self._pool.submit(call, *args, **kwargs)

    def take(self, future: Future[T]) -> T:
        """Wait for a part and give its room back. Raises what carrying it raised."""
        try:
            return future.result()
        finally:
            self._room.release()

    def drop(self, future: Future[T]) -> None:
        """Give up a part: it is not begun, or its end is waited for."""
        if not future.cancel():
            future.exception()
        self._room.release()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
