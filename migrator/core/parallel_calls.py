"""What runs beside the caller: calls that do not wait for each other, and one after another behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

AT_ONCE = 8


def run_concurrently(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What the calls return, in their order; eight run at a time. Raises, when all have ended, what the first of them raised."""
    if len(calls) < 2:
        return [call() for call in calls]
    with ThreadPoolExecutor(min(AT_ONCE, len(calls)), thread_name_prefix="look") as pool:
        return [answer.result() for answer in [pool.submit(call) for call in calls]]


class BehindThread:
    """At most one call is under way, so that no more than one part is held for it. The thread is made with the first call."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._pool: ThreadPoolExecutor | None = None
        self._under_way: Future[None] | None = None

    def submit(self, call: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Begin the call once the one before has ended. Raises what that one raised."""
        self.wait()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        self._under_way = self._pool.submit(call, *args, **kwargs)

    def wait(self) -> None:
        """Until nothing is under way. Raises what the last call raised."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.result()

    def close(self) -> None:
        """Wait for the task that is running, if any, and end the thread; calling it twice is harmless."""
        if self._pool is not None:
            self._pool.shutdown()
