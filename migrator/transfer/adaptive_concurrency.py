"""How many requests to have under way: more while that makes more files a second, fewer when the server asks or answers get slow."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

_FIRST_WINDOW = 16
_MEASURED_SECONDS = 0.15
_MEASURED_ANSWERS = 32
_CLIMB_SECONDS = 0.04
"""Looks are short until a size brings nothing: a run of some thousand files far away is over before a slower climb is."""
_WORTH_IT = 1.10
_ANSWERS_GOT_SLOW = 0.5
_FORGOTTEN = 0.95
_SMALLEST_BY_LATENCY = 4
_REST_SECONDS = 3.0
_SHORT_REST_SECONDS = 0.3
"""After the climb, whose looks were too short to trust much."""
_THROTTLED_REST_SECONDS = 5.0
_ONE_BURST_SECONDS = 1.0


class _WindowRate(NamedTuple):
    """A window, and how many answers a second it brought."""

    window: int
    rate: float


class AdaptiveConcurrency:
    """A window that finds its own size: doubled while throughput grows by it, smaller when the server asks or answers get slow.

    With a full window, latency is window over throughput: answers that take longer show as a rate that falls. After each look it rests,
    and then tries the next larger size again, for servers and links change.
    """

    def __init__(self, largest: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._largest = largest
        self._clock = clock
        self.window = min(largest, _FIRST_WINDOW)
        self._rest_until = 0.0
        self._burst_until = 0.0
        self._began = clock()
        self._answers = 0
        self._before: _WindowRate | None = None
        """What a larger window is tried against."""
        self._steady = 0.0
        self._climbs = True

    def answered(self, count: int) -> None:
        """So many requests have ended well."""
        self._answers += count
        now = self._clock()
        elapsed = now - self._began
        seconds = _CLIMB_SECONDS if self._climbs else _MEASURED_SECONDS
        if elapsed >= seconds and self._answers >= max(_MEASURED_ANSWERS, self.window):
            self._judge(self._answers / elapsed, now)
            self._began, self._answers = now, 0

    def throttled(self) -> None:
        """The server asked to slow down, or broke off."""
        now = self._clock()
        self._climbs = False
        if now >= self._burst_until:  # the answers to one window's requests are one refusal
            self.window = max(1, self.window // 2)
            self._burst_until = now + _ONE_BURST_SECONDS
        self._before = None
        self._rest_until = now + _THROTTLED_REST_SECONDS
        self._began, self._answers = now, 0

    def _judge(self, rate: float, now: float) -> None:
        before, self._before = self._before, None
        if before is not None and rate < before.rate * _WORTH_IT:
            self.window = before.window  # the larger one brought nothing
            self._rest_until = now + (_SHORT_REST_SECONDS if self._climbs else _REST_SECONDS)
            self._climbs = False
        elif before is None and rate < self._steady * _ANSWERS_GOT_SLOW:
            self.window = min(self.window, max(_SMALLEST_BY_LATENCY, self.window * 3 // 4))
            self._steady = rate
            self._rest_until = now + _REST_SECONDS
        elif now >= self._rest_until and self.window < self._largest:
            self._before = _WindowRate(self.window, rate)
            self.window = min(self._largest, self.window * 2)
        self._steady = max(rate, self._steady * _FORGOTTEN)
