"""The engine of one machine: a process for each core, each with its own lanes, fed from one queue of units.

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
from typing import TYPE_CHECKING, Any, cast

from migrator.core.cancellation import Flag
from migrator.core.errors import CannotStart, MustStop
from migrator.core.outcomes import Finding
from migrator.engines.threads import UnitQueue
from migrator.sync.channel import Acknowledgements, Line
from migrator.sync.messages import Event, Unit, UploadBegan

if TYPE_CHECKING:
    Reader = connection.Connection[Any, Any]

UNITS_AHEAD = 4
_PR_SET_PDEATHSIG = 1
_CLOSE_SECONDS = 10.0
_LOOKED_EVERY = 0.1
_ALLOCATIONS_BEFORE_COLLECTION = 50_000

Work = Callable[[UnitQueue, Line], None]
"""What a worker does: take units until there are none, and tell events. Opens its own stores."""


class Processes:
    """Use as a context manager; leaving it ends the workers.

    Each worker tells its events through a pipe of its own: one that is killed in mid-sentence ends its pipe and blocks nobody else's.

    Raises:
        CannotStart: If this system has no shared memory, which the queue of units needs.
    """

    def __init__(self, work: Work, *, workers: int, stopping: Flag) -> None:
        self._context = multiprocessing.get_context("fork")
        try:
            self._units: multiprocessing.Queue[Unit | None] = self._context.Queue()
        except OSError as error:  # its semaphores are files there
            raise CannotStart(
                "no-shared-memory",
                f"Processes cannot share memory at /dev/shm: {os.strerror(error.errno or 0)}.",
                why="It is missing or not writable, as in a chroot or in a container without one.",
                cure="Mount it: mount -t tmpfs -o mode=1777 tmpfs /dev/shm. Or add --engine local, which is slower.",
            ) from error
        self._acknowledgements = Acknowledgements(workers)
        self._stopping = stopping
        self._parent = os.getpid()
        self._pipes = [self._context.Pipe(duplex=False) for _ in range(workers)]
        self._readers: dict[Reader, int] = {reader: number for number, (reader, _) in enumerate(self._pipes)}
        self._waiting: deque[Event] = deque()
        self._workers: list[BaseProcess] = [
            self._context.Process(target=self._run, args=(work, number), name=f"worker-{number}", daemon=True)
            for number in range(workers)
        ]

    @property
    def capacity(self) -> int:
        """Return how many units may be out: some for each worker process."""
        return len(self._workers) * UNITS_AHEAD

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Nothing is to be told of workers of one's own."""
        return ()

    def __enter__(self) -> Processes:
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

    def acknowledge(self, event: UploadBegan) -> None:
        """Write the acknowledgement into the memory that the workers share."""
        self._acknowledgements.acknowledge(event)

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

    def _run(self, work: Work, number: int) -> None:
        end_with(self._parent)
        gc.set_threshold(_ALLOCATIONS_BEFORE_COLLECTION, 20, 20)
        for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signal_number, signal.SIG_IGN)  # who coordinates decides when to stop
        for other, (reader, writer) in enumerate(self._pipes):
            reader.close()
            if other != number:
                writer.close()
        send, lock = self._pipes[number][1].send, threading.Lock()

        def tell(event: Event) -> None:
            with lock:
                send(event)

        work(UnitQueue(self._units), Line(tell, number, self._acknowledgements, self._stopping))


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
        why="Somebody killed it, or the machine ran out of memory.",
        cure="Rerun the same command to resume. With little memory, add --jobs 4.",
    )
