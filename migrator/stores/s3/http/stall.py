"""A watchdog for bodies that crawl: boto3's timeouts are for each piece that the network gives, so one byte a minute passes for ever.

libcurl has its own, with the same limits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

CRAWL_BYTES = 1024
CRAWL_SECONDS = 60
"""Fewer bytes a second than this, for so many seconds, is no transfer."""

Clock = Callable[[], float]
"""Gives seconds."""

_SLICE = 8 << 10
"""What one call sends: small enough that a socket's own timeout (10 s on a new connection) is less than a crawl."""


class Stalled(OSError):
    """The body moves, and so slowly that it never ends."""


class Watchdog:
    """Told of each piece that passed, and how long that took. Raises Crawls where that was too little for too long.

    Only time spent on the network counts: who waits to keep within a limit of bandwidth does not crawl.
    """

    def __init__(self, *, least: int = CRAWL_BYTES, seconds: float = CRAWL_SECONDS) -> None:
        self._least = least * seconds
        self._limit = seconds
        self._bytes = 0
        self._seconds = 0.0

    def passed(self, count: int, seconds: float) -> None:
        """Count bytes that arrived in so many seconds.

        Raises:
            Stalled: If a whole interval brought fewer bytes than the least.
        """
        self._bytes += count
        self._seconds += seconds
        if self._seconds < self._limit:
            return
        if self._bytes < self._least:
            raise Stalled(f"{self._bytes} bytes in {self._seconds:.0f} seconds")
        self._bytes, self._seconds = 0, 0.0


class SlicedBody:
    """Bytes to send, given to the connection slice by slice: sending them in one go would have to end within one timeout."""

    def __init__(self, data: bytes, clock: Clock = time.monotonic) -> None:
        self._data = data
        self._clock = clock

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[bytes]:
        watchdog = Watchdog()
        view = memoryview(self._data)
        for begin in range(0, len(view), _SLICE):
            piece, began = bytes(view[begin : begin + _SLICE]), self._clock()
            yield piece
            watchdog.passed(len(piece), self._clock() - began)

    def seek(self, offset: int, whence: int = 0) -> None:
        """Each iteration begins anew anyway."""


class SendingWatch:
    """For s3transfer's `ReadFileChunk`, which calls it with each piece that it reads: the time until the next one is that of sending.

    Raises Crawls as `Watchdog`.
    """

    def __init__(self, watchdog: Watchdog | None = None, clock: Clock = time.monotonic) -> None:
        self._watchdog = watchdog or Watchdog()
        self._clock = clock
        self._last: tuple[int, float] | None = None

    def __call__(self, bytes_transferred: int) -> None:
        """Count the piece before; a negative size is a rewind, before the part is sent again."""
        now = self._clock()
        if self._last is not None and bytes_transferred > 0:
            size, began = self._last
            self._watchdog.passed(size, now - began)
        self._last = (bytes_transferred, now) if bytes_transferred > 0 else None


def slice_body(request: Any, **_: Any) -> None:
    """For botocore's ``before-send``: what is signed and prepared is sent in slices."""
    if isinstance(request.body, (bytes, bytearray)) and len(request.body) > _SLICE:
        request.body = SlicedBody(bytes(request.body))


def read_steadily(body: Any, size: int, watchdog: Watchdog, clock: Clock = time.monotonic) -> bytes:
    """The next bytes of botocore's streaming body, at most `size`, whatever has come; b"" at its end."""
    stream = getattr(body, "_raw_stream", None)
    read_what_is_there = getattr(stream, "read1", None)
    began = clock()
    data: bytes = read_what_is_there(size) if read_what_is_there is not None else body.read(min(size, CRAWL_BYTES))
    watchdog.passed(len(data), clock() - began)
    return data
