"""When to try again, when to give up a raw file, and when to end the run: one policy for every path.

A server restart takes 15 seconds and more, boto3 gives up after 0.3; so temporary errors are tried again with growing, jittered pauses
as long as anything succeeds anywhere, and for `seconds` after the last success, while one request at a time probes. Refusals that
hit one raw file after another end the run too: a right that was taken away is one message, not one for each of a million files.

Nothing else bounds how often something is tried: clients send each request once, and an error whose tries are spent says so
(`StoreError.is_spent`), so that no layer above tries them all again.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TypeVar

from migrator.core.cancellation import Flag, StopFlag
from migrator.core.errors import (
    AccessDenied,
    BucketClosed,
    BucketFull,
    BucketMissing,
    Interrupted,
    MustStop,
    OutOfPatience,
    StoreError,
    StoreFull,
    TargetBroken,
    Unavailable,
    Vanished,
)

T = TypeVar("T")

AT_FIRST = 10.0
"""Seconds before the first success: enough to tell a server that is there from one that never was."""
ATTEMPTS = 18
"""Of one request while others succeed: with the pauses between them, it fails for about four minutes."""
LEAST_ATTEMPTS = 3
"""Of one request before a run ends, however short patience is: a lost packet ends nothing."""
ROUNDS = 3
"""How often something is done before it is called wrong: content that changes or arrives damaged, an answer or a start of Bytes."""
REFUSALS_IN_A_ROW = 20
FAILURES_BEFORE_ONE_PROBES = 8
_TURN_LOOKED_AT_EVERY = 0.2
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
"""While nothing succeeds: a server that comes back is seen within it."""
_LONGEST_PAUSE_OF_ONE = 30.0
"""While others succeed: asking more often helps nobody."""


class RetryPolicy:
    """Shared by all threads of a run. `seconds` hold after a success, `at_first` before the first one."""

    def __init__(
        self,
        *,
        seconds: float = 120,
        at_first: float = AT_FIRST,
        clock: Callable[[], float] = time.monotonic,
        stopping: Flag | None = None,
        parted: bool = False,
    ) -> None:
        """`parted`: organizations have buckets of their own, so what one bucket refuses says nothing of the others."""
        self._parted = parted
        self._seconds = seconds
        self._at_first = min(seconds, at_first)
        self._clock = clock
        self._stopping: Flag = stopping or StopFlag()
        self._lock = threading.Lock()
        self._last_success: float | None = None
        self._began = clock()
        self._refusals: Counter[str] = Counter()
        self._refused_since: dict[str, float] = {}
        self.closed: dict[str, StoreError] = {}
        """Organizations of whose buckets nothing more is asked, for they refuse everything: and why."""
        self._failures_in_a_row = 0
        self._one = threading.Lock()

    def run(self, attempt: Callable[[], T], *, is_request: bool = True, organization: str = "") -> T:
        """Call until it succeeds; return what it answered.

        `is_request` false: the attempt is the whole way of a raw file of `organization`; it makes requests of its own
        through this, in other threads too, and takes no turn itself.

        Raises:
            StoreError: If trying on is pointless for this call; it is the last error.
            MustStop: If trying on is pointless for all calls: nothing has succeeded for `--patience`.
        """
        attempts = self.attempts()
        while True:
            try:
                with self._turn() if is_request else nullcontext():
                    began = self._clock()
                    answer = attempt()
            except Unavailable as error:
                attempts.failed(error)
            except StoreError:
                self._failures_in_a_row = 0  # an answer, if not the wished one: the server is there
                raise
            else:
                if is_request:
                    self.succeeded()
                else:
                    self.carried(began, organization)
                return answer

    def attempts(self) -> Attempts:
        """Return the tries of one thing that is not a call, such as a body that breaks off."""
        return Attempts(self._clock, self._pause_or_give_up)

    def until(self, inspect: Callable[[], T | None], at_most: float | None = None) -> T | None:
        """Look with growing pauses until there is something; return None if there is nothing after `--patience`.

        What was written may be seen late: refusals and temporary errors count as nothing yet. `at_most` is in seconds,
        and shortens it.

        Raises:
            StoreError: If the last look was refused.
            Interrupted: If the run is asked to stop.
        """
        over_at = self._clock() + min(self._seconds, at_most if at_most is not None else self._seconds)
        pause = _FIRST_PAUSE
        while True:
            refusal: StoreError | None = None
            try:
                found = inspect()
            except (AccessDenied, Vanished, Unavailable) as error:
                found, refusal = None, error
            if found is not None:
                self.succeeded()
                return found
            left = over_at - self._clock()
            if left <= 0 and refusal is not None:
                raise refusal
            if left <= 0:
                return None
            if self._stopping.wait(min(pause, left)):
                raise Interrupted("interrupted", "The run was asked to stop.")
            pause = min(2 * pause, _LONGEST_PAUSE / 2)

    def go_on(self) -> None:
        """Check whether to go on; called between the parts of large files.

        Raises:
            Interrupted: If the run was asked to stop.
        """
        if self._stopping.is_set():
            raise Interrupted("interrupted", "The run was asked to stop.")

    def succeeded(self) -> None:
        """Something worked: the server is there. What else it lets us do it does not tell: who may list may not write."""
        self._last_success = self._clock()
        self._failures_in_a_row = 0

    def carried(self, began: float, organization: str = "") -> None:
        """A raw file that `began` then went all its way: what was refused before that is no right that all of them lack.

        One that was under way already when the first was refused proves nothing of the kind, and a slow server ends many such.
        """
        self._last_success = self._clock()
        self._failures_in_a_row = 0
        place = organization if self._parted else ""
        if not self._refusals[place]:
            return
        with self._lock:
            if began >= self._refused_since.get(place, 0.0):
                self._refusals[place] = 0

    def failed(self, error: StoreError, organization: str = "") -> None:
        """Count a raw file that failed for good, and end what can only fail likewise.

        Raises:
            BucketClosed: If only this organization's next raw files would.
            MustStop: If all would: the store is full, or refused some raw files in a row.
        """
        if isinstance(error, StoreFull):
            if isinstance(error, BucketFull) and self._parted:
                raise self._close(organization, error)
            raise MustStop(
                error.name,
                error.what,
                why=error.why or "Nothing more fits there.",
                cure=error.cure or "Make room, then rerun.",
            ) from error
        if not isinstance(error, (AccessDenied, BucketMissing, TargetBroken)):
            return
        place = organization if self._parted else ""  # all together where they share a bucket
        with self._lock:
            if not self._refusals[place]:
                self._refused_since[place] = self._clock()
            self._refusals[place] += 1
            refusals = self._refusals[place]
        if refusals >= REFUSALS_IN_A_ROW:
            if self._parted and not isinstance(error, TargetBroken):
                raise self._close(organization, error)
            raise MustStop(
                error.name,
                error.what,
                why=f"{error.why} {refusals} raw files in a row were refused like this.".strip(),
                cure=f"{error.cure} Then rerun.".strip(),
            ) from error

    def _close(self, organization: str, error: StoreError) -> BucketClosed:
        self.closed[organization] = error
        return BucketClosed(error.name, error.what, why=error.why, cure=error.cure)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """While nothing succeeds, one request at a time probes and all others wait: a server that comes back is not trampled."""
        is_mine = False
        while self._failures_in_a_row >= FAILURES_BEFORE_ONE_PROBES and not is_mine:
            self.go_on()
            is_mine = self._one.acquire(timeout=_TURN_LOOKED_AT_EVERY)
        try:
            yield
        finally:
            if is_mine:
                self._one.release()

    def _pause_or_give_up(self, error: Unavailable, tries: int, first_failure: float, last_failure: float) -> None:
        """Wait before the next try, or give up.

        Others succeed if one did since this call failed the last time: one success when a server just went is no sign
        of life.

        Raises:
            Unavailable: If others succeed, and this call has had its tries.
            OutOfPatience: If nothing succeeds any more.
            Interrupted: If the run is asked to stop.
        """
        self._failures_in_a_row += 1
        now = self._clock()
        last = self._last_success
        limit = self._at_first if last is None else self._seconds
        left = limit - (now - max(first_failure, last if last is not None else self._began))
        nothing_succeeds = last is None or last < last_failure
        if nothing_succeeds and left <= 0 and tries >= LEAST_ATTEMPTS:
            raise OutOfPatience(
                error.name,
                error.what,
                why=f"{error.why} Nothing has succeeded for {limit:.0f} seconds.".strip(),
                cure=error.cure or "Check the endpoint and the server, then rerun the same command to resume.",
            ) from error
        if not nothing_succeeds and tries >= ATTEMPTS:
            error.is_spent = True
            raise error
        longest = _LONGEST_PAUSE if nothing_succeeds else _LONGEST_PAUSE_OF_ONE
        pause = min(longest, _FIRST_PAUSE * 2 ** (tries - 1)) * random.uniform(0.5, 1.0)  # noqa: S311 jitter, no secret
        if nothing_succeeds and left > 0:
            pause = min(pause, left)
        if self._stopping.wait(pause):
            raise Interrupted("interrupted", "The run was asked to stop.") from error


def asked_again(ask: Callable[[], T], *, is_final: Callable[[T], bool], pauses: Sequence[float]) -> T:
    """Put a question, and again after each of these pauses in seconds until an answer is final; return the last answer.

    For single questions beside a run, where a failure is an answer too and no other request tells whether the server is there.
    """
    answer = ask()
    for pause in pauses:
        if is_final(answer):
            break
        time.sleep(pause)
        answer = ask()
    return answer


class Attempts:
    """The tries of one thing, counted from its first failure."""

    def __init__(
        self, clock: Callable[[], float], pause_or_give_up: Callable[[Unavailable, int, float, float], None]
    ) -> None:
        self._clock = clock
        self._pause_or_give_up = pause_or_give_up
        self._failures = 0
        self._first = self._last = 0.0

    def failed(self, error: Unavailable) -> None:
        """Wait until the next try.

        Raises:
            Unavailable: If this was the last one: the error itself.
            OutOfPatience: If nothing succeeds any more.
            Interrupted: If the run is asked to stop.
        """
        if error.is_spent:
            raise error
        now = self._clock()
        self._failures += 1
        self._first, self._last = self._first or now, self._last or now
        self._pause_or_give_up(error, self._failures, self._first, self._last)
        self._last = now
