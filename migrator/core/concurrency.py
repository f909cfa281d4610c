"""Questions that do not wait for each other, asked at the same time: far away each one costs a round trip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

AT_ONCE = 8


def run_concurrently(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What the calls return, in their order; eight run at a time. Raises, when all have ended, what the first of them raised."""
    if len(calls) < 2:
        return [call() for call in calls]
    with ThreadPoolExecutor(min(AT_ONCE, len(calls)), thread_name_prefix="look") as pool:
        return [answer.result() for answer in [pool.submit(call) for call in calls]]
