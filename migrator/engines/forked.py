"""Forked worker processes: one queue of units for all, a pipe of events from each.

Python runs one thread at a time; a second core needs a second process. Processes are forked before any thread or connection exists, so
they share the program's memory, and they die with their parent.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from migrator.core.errors import CannotStart, MustStop
from migrator.engines.single_thread import UnitQueue

if TYPE_CHECKING:
    Reader = connection.Connection[Any, Any]

_PR_SET_PDEATHSIG = 1
_CLOSE_SECONDS = 10.0
_LOOKED_EVERY = 0.1
_ALLOCATIONS_BEFORE_COLLECTION = 50_000

Unit = TypeVar("Unit")
Event = TypeVar("Event")


class ForkedWorkers(Generic[Unit, Event]):
    """Use as a context manager; leaving it ends the workers. Units and events cross as pickles.

    `work` is a worker's whole life: it is given the queue, what tells an event (from any thread), and the worker's number. It takes units
    until there are none, and opens its own stores.

    Each worker tells its events through a pipe of its own: one that is killed in mid-sentence ends its pipe and blocks nobody else's.

    Raises:
        CannotStart: If this system has no shared memory, which the queue of units needs.
    """

    def __init__(self, work: Callable[[UnitQueue[Unit], Callable[[Event], None], int], None], *, workers: int) -> None:
        self._context = multiprocessing.get_context("fork")
        try:
            self._units: multiprocessing.Queue[Unit | None] = self._context.Queue()
        except OSError as error:  # its semaphores are files there
            raise CannotStart(
                "no-shared-memory",
                f"Processes cannot share memory at /dev/shm: {os.strerror(error.errno or 0)}.",
                why="It is missing or not writable, as in some containers.",
                cure="Mount it: mount -t tmpfs -o mode=1777 tmpfs /dev/shm. Or add --engine local, which is "
                "slower (not for prune).",
            ) from error
        self._parent = os.getpid()
        self._pipes = [self._context.Pipe(duplex=False) for _ in range(workers)]
        self._readers: dict[Reader, int] = {reader: number for number, (reader, _) in enumerate(self._pipes)}
        self._waiting: deque[Event] = deque()
        self._workers: list[BaseProcess] = [
            self._context.Process(target=self._run, args=(work, number), name=f"worker-{number}", daemon=True)
            for number in range(workers)
        ]

    @property
    def workers(self) -> int:
        """Return how many worker processes there are."""
        return len(self._workers)

    def __enter__(self) -> ForkedWorkers[Unit, Event]:
        for worker in self._workers:
            worker.start()
        for _, writer in self._pipes:
            writer.close()
        return self

    def __exit__(self, *_: object) -> None:
        for _worker in self._workers:
            self._units.put(None)
        until = time.monotonic() + _CLOSE_SECONDS
        while self._readers and not self._dead() and time.monotonic() < until:
            self._receive(_LOOKED_EVERY)  # nobody listens any more: make room, so that workers can end
        for worker in self._workers:
            if self._readers:
                worker.kill()
            worker.join()
        self._units.cancel_join_thread()

    def submit(self, unit: Unit) -> None:
        """Put a unit into the queue that all worker processes take from."""
        self._units.put(unit)

    def next_event(self, timeout: float) -> Event | None:
        """Return what a worker told next, None after `timeout` seconds.

        Raises:
            MustStop: If a worker process died.
        """  # noqa: DOC501 made by _worker_died
        if not self._waiting:
            self._receive(timeout)
        if self._waiting:
            return self._waiting.popleft()
        dead = self._dead()
        if dead is None and self._readers:
            return None
        raise _worker_died(dead or 0)

    def _receive(self, timeout: float) -> None:
        for ready in connection.wait(list(self._readers), timeout):
            reader = cast("Reader", ready)
            try:
                self._waiting.append(reader.recv())
            except (EOFError, OSError):
                self._workers[self._readers.pop(reader)].join()

    def _dead(self) -> int | None:
        """The exit code of a worker that did not end well."""
        return next((worker.exitcode for worker in self._workers if worker.exitcode not in (None, 0)), None)

    def _run(self, work: Callable[[UnitQueue[Unit], Callable[[Event], None], int], None], number: int) -> None:
        end_with(self._parent)
        gc.set_threshold(_ALLOCATIONS_BEFORE_COLLECTION, 20, 20)
        for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signal_number, signal.SIG_IGN)  # who coordinates decides when to stop
        for other, (reader, writer) in enumerate(self._pipes):
            reader.close()
            if other != number:
                writer.close()
        pipe, lock = self._pipes[number][1], threading.Lock()

        def send(event: Event) -> None:
            with lock:
                pipe.send(event)

        work(UnitQueue(self._units), send, number)


def end_with(parent: int) -> None:
    """Be killed when the parent dies, however it dies: a worker without one would hold its lock and write on."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _worker_died(exitcode: int) -> MustStop:
    how = f"was killed by {signal.Signals(-exitcode).name}" if exitcode < 0 else f"ended with status {exitcode}"
    return MustStop(
        "worker-died",
        f"A worker process {how}.",
        why="It was killed, or the machine ran out of memory.",
        cure="Rerun to resume. With little memory, add --jobs 4.",
    )
