"""Keeps all processes and threads of a run together within its limits.

There is one number for bytes and one for requests: the moment up to which what was used is paid for. Whoever uses some pushes it on, and
goes on when that moment has come. So an average is kept whatever the sizes are and however many take part. Time that could not be used
(a disk was slow, the run was starting) may be made up for, up to three seconds of it: 5 % of a minute. Nothing is given in advance.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
import time
from collections.abc import Callable

from migrator.config.rate_limits import Limits, MinuteOfDay
from migrator.core.cancellation import Flag, StopFlag

SLICE = 256 << 10
"""Bytes to ask for at a time where a body is read under a limit: more would come in bursts."""
MADE_UP_SECONDS = 3.0
_LOOKED_EVERY = 0.2
_PAID_UP_TO = struct.Struct("<dd")


class Throttle:
    """Made before workers are forked, and shared by them. `limits` None or without rates: nothing is counted, nobody waits."""

    def __init__(
        self,
        limits: Limits | None = None,
        stopping: Flag | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        minute: MinuteOfDay | None = None,
    ) -> None:
        self._bandwidth = limits.bandwidth if limits is not None else None
        self._requests = limits.requests if limits is not None else None
        self._stopping: Flag = stopping or StopFlag()
        self._clock = clock
        self._minute = minute or _minute_of_day
        self.is_on = self._bandwidth is not None or self._requests is not None
        self.slice = SLICE if self._bandwidth is not None else 1 << 62
        """How much to read at a time: without a limit as much as one likes."""
        if self.is_on:
            self._lock = threading.Lock()
            self._file = os.memfd_create("bytes-migrator-limits")
            os.ftruncate(self._file, mmap.PAGESIZE)
            self._memory = mmap.mmap(self._file, mmap.PAGESIZE)
            _PAID_UP_TO.pack_into(self._memory, 0, clock(), clock())

    def charge(self, size: int, requests: int = 0) -> float:
        """Count bytes and requests; answers when they are paid for, by this throttle's clock. Does not wait."""
        if not self.is_on:
            return 0.0
        rate = self._bandwidth.rate_at(self._minute()) if self._bandwidth is not None and size else None
        now = self._clock()
        with self._lock:
            fcntl.lockf(self._file, fcntl.LOCK_EX)  # dies with its process, as no lock in memory would
            try:
                by_bytes, by_requests = _PAID_UP_TO.unpack_from(self._memory)
                if rate is not None:
                    by_bytes = _start(by_bytes, now) + size / rate
                if self._requests is not None and requests:
                    by_requests = _start(by_requests, now) + requests / self._requests
                _PAID_UP_TO.pack_into(self._memory, 0, by_bytes, by_requests)
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)
        return max(
            by_bytes if rate is not None else 0.0, by_requests if requests and self._requests is not None else 0.0
        )

    def seconds_until(self, paid_at: float) -> float:
        """How long what was charged is still unpaid; 0 too when the run was asked to stop: what is under way shall end."""
        if not paid_at or self._stopping.is_set():
            return 0.0
        return max(0.0, paid_at - self._clock())

    def pay(self, size: int, requests: int = 0) -> None:
        """Charge, and wait until it is paid for or the run was asked to stop."""
        if not self.is_on:
            return
        paid_at = self.charge(size, requests)
        while (left := self.seconds_until(paid_at)) > 0:
            self._stopping.wait(min(left, _LOOKED_EVERY))


def _start(paid_up_to: float, now: float) -> float:
    return max(paid_up_to, now - MADE_UP_SECONDS)


def _minute_of_day() -> int:
    now = time.localtime()
    return now.tm_hour * 60 + now.tm_min
