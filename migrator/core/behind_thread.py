"""One thing after another in a thread of its own, while the caller goes on: a large file is hashed beside being written."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec

P = ParamSpec("P")


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
