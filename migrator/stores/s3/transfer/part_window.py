"""Parts in flight: of one transfer (s3transfer's sliding window), and of all transfers of a store (its bounded executor).

Used by uploads in parts, copies in parts on the server, and reads in ranges. See docs/adr/0029.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar, cast

from s3transfer.futures import BoundedExecutor, TaskTag
from s3transfer.utils import NoResourcesAvailable, SlidingWindowSemaphore, TaskSemaphore

from migrator.core.size_classes import MIB

T = TypeVar("T")

PARTS_IN_MEMORY = 4
"""For each store of a process: with parts of 8 MiB, 32 MiB."""

BYTES_READ_AHEAD = 32 * MIB
"""Of one object that is read in ranges."""

_HELD = TaskTag("held until taken")


class _RoomUntilTaken(TaskSemaphore):
    """Room that stays reserved when a task ends: what it brought is in memory until somebody takes it."""

    def release(self, tag: Any, acquire_token: Any) -> None:
        """Called by the executor at the end of a task: keep the room."""

    def give_back(self) -> None:
        """Give back the room of a task whose result was taken."""
        super().release(_HELD, 0)


@dataclass(frozen=True, slots=True)
class _Task(Generic[T]):
    """A call in the form that `BoundedExecutor` takes; newer versions pass a context."""

    call: Callable[[], T]
    transfer_id: int = 0

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

    def __init__(self, parts: int = PARTS_IN_MEMORY) -> None:
        """Make room for so many parts; threads start with the first ones."""
        self.buffers = PartBuffers()
        self._room = _RoomUntilTaken(parts)
        threads: Any = partial(ThreadPoolExecutor, thread_name_prefix="part")
        rooms: Any = {_HELD: self._room}
        self._executor = BoundedExecutor(parts, parts, rooms, threads)

    def submit(self, call: Callable[[], T], *, wait: bool) -> Callable[[], T] | None:
        """Begin a call and return what waits for its result; None if there is no room and `wait` is False.

        `give_back` must follow, once.
        """
        with suppress(NoResourcesAvailable):
            task: Any = _Task(call)
            result: Any = self._executor.submit(task, tag=_HELD, block=wait).result
            return cast("Callable[[], T]", result)
        return None

    def give_back(self) -> None:
        """Give back the room of one call whose result was taken."""
        self._room.give_back()

    def close(self) -> None:
        """Wait until no call runs any more."""
        self._executor.shutdown()


class PartWindow(Generic[T]):
    """The parts of one transfer that are in flight, at most `at_once`; their results come in order. Used by one thread."""

    def __init__(self, executor: PartExecutor, at_once: int) -> None:
        self._executor = executor
        self._window = SlidingWindowSemaphore(at_once)
        self._in_flight: deque[tuple[int, Callable[[], T]]] = deque()
        self._token: int | None = None

    def __len__(self) -> int:
        return len(self._in_flight)

    def begin(self, call: Callable[[], T]) -> bool:
        """Begin with a part; False if there is no room for it now: then `take` makes some.

        Waits for room only while this transfer holds none, so two transfers never wait for each other.
        """
        try:
            if self._token is None:
                self._token = self._window.acquire(_HELD, blocking=False)
        except NoResourcesAvailable:
            return False
        result = self._executor.submit(call, wait=not self._in_flight)
        if result is None:
            return False  # the place in the window is kept for the next try: it could not be given back out of order
        self._in_flight.append((self._token, result))
        self._token = None
        return True

    def take(self) -> T:
        """Wait for the oldest part, return its result and give its room back. Raises what carrying it raised."""
        token, result = self._in_flight.popleft()
        try:
            return result()
        finally:
            self._window.release(_HELD, token)
            self._executor.give_back()

    def close(self) -> None:
        """Drop what is in flight, once it has ended."""
        while self._in_flight:
            with suppress(Exception):
                self.take()
