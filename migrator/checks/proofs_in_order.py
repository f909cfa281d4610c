"""Proofs of many raw files at once, given in the order in which they were wanted: at once, by the fast lane, or by threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Generic, TypeVar, cast

from migrator.core.entities import Entry, RawFile
from migrator.core.outcomes import Action, Result, Step
from migrator.core.protocols import SinkAnswer
from migrator.transfer.batch_sink import FastLane
from migrator.transfer.file_copier import Stored

T = TypeVar("T")
F = TypeVar("F")

AHEAD = 64
AHEAD_WITH_LANE = 1_024
"""Proofs that are begun before the first of them is needed: as many as the lane may have in flight, and those that came early."""
_WAIT = 0.05


class ProofsInOrder(Generic[T, F]):
    """Used by one thread. `at_once` proves in that thread what takes no request, `lane`, if there is one, what goes right.

    All else `slowly` proves, in a thread of `pool`. `at_once` answers None for all that is not surely fine.

    `ends_of` names a raw file and its entries at both ends, None where there is nothing to prove. `taken` makes of a proof of the lane
    what `slowly` would answer, or None where that has to look. Whatever the three raise, the future of that raw file raises.
    """

    def __init__(
        self,
        lane: FastLane | None,
        pool: ThreadPoolExecutor,
        *,
        ends_of: Callable[[T], tuple[RawFile, Entry, Entry] | None],
        at_once: Callable[[T], F | None],
        taken: Callable[[T, Result], F | None],
        slowly: Callable[[T], F],
    ) -> None:
        self._lane = lane
        self._pool = pool
        self._ends_of = ends_of
        self._at_once = at_once
        self._taken = taken
        self._slowly = slowly

    def run(self, wanted: Iterable[T]) -> Iterator[tuple[T, Future[F] | None]]:
        """What was asked for, in order, each with its proof, which is there by then; some are proven ahead."""
        ahead: deque[tuple[T, Future[F] | None]] = deque()
        most = AHEAD if self._lane is None else AHEAD_WITH_LANE
        for one in wanted:
            ahead.append((one, self.begin(one)))
            while len(ahead) >= most or self._is_first_there(ahead):
                yield self._awaited(*ahead.popleft())
        while ahead:
            yield self._awaited(*ahead.popleft())

    def begin(self, one: T) -> Future[F] | None:
        """Begin one proof, which `wait_for` waits for; None where there is nothing to prove."""
        found = self._ends_of(one)
        if found is None:
            return None
        future: Future[F] = Future()
        if self._is_proven_at_once(one, future):
            return future
        raw_file, source, target = found
        while self._lane is not None and not self._lane.has_room:
            self._collect(self._lane)
        step = Step(Action.COMPARE, source, target)
        if self._lane is None or not self._lane.submit((one, future), raw_file.organization, step):
            self._prove_slowly(one, future)
        return future

    def _is_proven_at_once(self, one: T, future: Future[F]) -> bool:
        try:
            found = self._at_once(one)
        except Exception as error:
            future.set_exception(error)
            return True
        if found is not None:
            future.set_result(found)
        return found is not None

    def _is_first_there(self, ahead: deque[tuple[T, Future[F] | None]]) -> bool:
        """Whether the next one need not be waited for; without a lane, threads are kept busy first."""
        if self._lane is None or not ahead:
            return False
        future = ahead[0][1]
        return future is None or future.done()

    def _awaited(self, one: T, future: Future[F] | None) -> tuple[T, Future[F] | None]:
        if future is not None:
            self.wait_for(future)
        return one, future

    def wait_for(self, future: Future[F]) -> None:
        """Have the lane work until a proof is there, or is a thread's."""
        while not future.done() and self._lane is not None and self._lane.under_way:
            self._collect(self._lane)

    def _collect(self, lane: FastLane) -> None:
        for carried in lane.carried(_WAIT):
            if isinstance(carried, Stored):
                continue  # this lane stores nothing
            one, future = cast("tuple[T, Future[F]]", carried[0])
            found: F | None = None
            if isinstance(carried, SinkAnswer):
                try:
                    found = self._taken(one, carried.result)
                except Exception as error:
                    future.set_exception(error)
                    continue
            if found is None:
                self._prove_slowly(one, future)
            else:
                future.set_result(found)

    def _prove_slowly(self, one: T, future: Future[F]) -> None:
        self._pool.submit(self._slowly, one).add_done_callback(partial(_hand_on, future))


def _hand_on(future: Future[F], proven: Future[F]) -> None:
    """Give a future the end of another one."""
    if proven.cancelled():
        future.cancel()
    elif (error := proven.exception()) is not None:
        future.set_exception(error)
    else:
        future.set_result(proven.result())
