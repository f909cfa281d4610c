"""Parts in flight: of one transfer (s3transfer's sliding window), and of all transfers of a store (its bounded executor).

Used by uploads in parts, copies in parts on the server, and reads in ranges. See docs/adr/0029.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar, cast

from s3transfer.futures import BoundedExecutor, TaskTag
from s3transfer.utils import NoResourcesAvailable, SlidingWindowSemaphore, TaskSemaphore

from migrator.core.size_thresholds import MIB

T = TypeVar("T")

PARTS_AT_ONCE = 4
"""For each store of a process."""

BYTES_IN_MEMORY = 16 * MIB
"""For each store of a process: parts read ahead, parts to be sent that are no files, and whole objects that are none. One part more is
in memory while whoever reads a large object looks at it. With two stores and parts of 8 MiB, 48 MiB: a process stays below 120 MB."""

_HELD = TaskTag("held until taken")


class _RoomUntilTaken(TaskSemaphore):
    """Room for a number of parts and for bytes, which stays reserved when a task ends: what it brought is in memory until it is taken.

    More bytes than there are take all of them. Nobody passes one who waits.
    """

    def __init__(self, parts: int, size: int) -> None:
        self._parts = parts
        self._most = self._bytes = size
        self._waiting = 0
        self._changed = threading.Condition()

    def acquire(self, tag: Any, blocking: bool = True) -> int:
        """Called by the executor with the bytes of a part; what is returned tells nothing.

        Raises:
            NoResourcesAvailable: If there is no room and `blocking` is False.
        """
        if not self.reserve(tag, parts=1, wait=blocking):
            raise NoResourcesAvailable
        return 0

    def reserve(self, size: int, *, parts: int, wait: bool) -> bool:
        """Reserve room; False if there is none and `wait` is False."""
        size = min(size, self._most)
        with self._changed:
            if not wait and (self._waiting or not self._has(size, parts)):
                return False
            self._waiting += 1
            self._changed.wait_for(lambda: self._has(size, parts))
            self._waiting -= 1
            self._parts -= parts
            self._bytes -= size
        return True

    def _has(self, size: int, parts: int) -> bool:
        return self._bytes >= size and self._parts >= parts

    def release(self, tag: Any, acquire_token: Any) -> None:
        """Called by the executor at the end of a task: keep the room."""

    def give_back(self, size: int, *, parts: int) -> None:
        """Give back what was reserved."""
        with self._changed:
            self._parts += parts
            self._bytes += min(size, self._most)
            self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class _Task(Generic[T]):
    """A call in the form that `BoundedExecutor` takes, which asks for room by `transfer_id`: the bytes. Newer versions pass a context."""

    call: Callable[[], T]
    transfer_id: int

    def __call__(self, *_context: object) -> T:
        return self.call()


class PartBuffers:
    """Memory for parts that are read, used again: in new memory, each page costs a fault. There are as many as are held at one time."""

    def __init__(self) -> None:
        self._free: list[bytearray] = []

    def take(self, size: int) -> memoryview:
        """Return memory for `size` bytes, with anything in it."""
        with suppress(IndexError):
            if len(buffer := self._free.pop()) >= size:
                return memoryview(buffer)[:size]
        return memoryview(bytearray(size))

    def give_back(self, part: memoryview) -> None:
        """Take memory back that nobody looks at any more."""
        if isinstance(part.obj, bytearray):
            self._free.append(part.obj)


class PartExecutor:
    """The threads that carry a store's parts. Room for a part is reserved before it is read and held until its result is taken."""

    def __init__(self, parts: int = PARTS_AT_ONCE, size: int = BYTES_IN_MEMORY) -> None:
        """Make room for so many parts, of so many bytes in all; threads start with the first ones."""
        self.buffers = PartBuffers()
        self._room = _RoomUntilTaken(parts, size)
        threads: Any = partial(ThreadPoolExecutor, thread_name_prefix="part")
        rooms: Any = {_HELD: self._room}
        self._executor = BoundedExecutor(parts, parts, rooms, threads)
        self.one_reader = threading.RLock()
        """Held by the thread that reads a large object, which may open it once more. Source first where both ends are read, so that no two
        wait for each other."""

    @contextmanager
    def room_for(self, size: int) -> Iterator[None]:
        """Reserve room for a whole object of `size` bytes during the block; waits for it."""
        self._room.reserve(size, parts=0, wait=True)
        try:
            yield
        finally:
            self._room.give_back(size, parts=0)

    def submit(self, call: Callable[[], T], size: int, *, wait: bool) -> Callable[[], T] | None:
        """Begin a call that has `size` bytes in memory; return what waits for its result. None if there is no room and `wait` is False.

        `give_back` must follow, once.
        """
        with suppress(NoResourcesAvailable):
            task: Any = _Task(call, size)
            result: Any = self._executor.submit(task, tag=_HELD, block=wait).result
            return cast("Callable[[], T]", result)
        return None

    def give_back(self, size: int) -> None:
        """Give back the room of one call whose result was taken."""
        self._room.give_back(size, parts=1)

    def close(self) -> None:
        """Wait until no call runs any more."""
        self._executor.shutdown()


class PartWindow(Generic[T]):
    """The parts of one transfer that are in flight, at most `at_once`; their results come in order. Used by one thread."""

    def __init__(self, executor: PartExecutor, at_once: int) -> None:
        self._executor = executor
        self._window = SlidingWindowSemaphore(at_once)
        self._in_flight: deque[tuple[int, int, Callable[[], T]]] = deque()
        self._token: int | None = None

    def __len__(self) -> int:
        return len(self._in_flight)

    def begin(self, call: Callable[[], T], size: int) -> bool:
        """Begin with a part that has `size` bytes in memory; False if there is no room for it now: then `take` makes some.

        Waits for room only while this transfer holds none, so two transfers never wait for each other.
        """
        try:
            if self._token is None:
                self._token = self._window.acquire(_HELD, blocking=False)
        except NoResourcesAvailable:
            return False
        result = self._executor.submit(call, size, wait=not self._in_flight)
        if result is None:
            return False  # the place in the window is kept for the next try: it could not be given back out of order
        self._in_flight.append((self._token, size, result))
        self._token = None
        return True

    def take(self) -> T:
        """Wait for the oldest part, return its result and give its room back. Raises what carrying it raised."""
        token, size, result = self._in_flight.popleft()
        try:
            return result()
        finally:
            self._window.release(_HELD, token)
            self._executor.give_back(size)

    def close(self) -> None:
        """Drop what is in flight, once it has ended."""
        while self._in_flight:
            with suppress(Exception):
                self.take()
