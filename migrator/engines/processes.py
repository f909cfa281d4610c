"""The engine of one machine: a process for each core, each with its own lanes, fed from one queue of units.

Python runs one thread at a time; a second core needs a second process. Processes are forked before any thread or connection exists, so
they share the program's memory, and they die with their parent.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import queue
import signal
from collections.abc import Callable
from multiprocessing.process import BaseProcess

from migrator.errors import MustStop
from migrator.line import Acknowledgements, Line
from migrator.stopping import Flag
from migrator.units import Event, Unit, UploadBegan

UNITS_AHEAD = 4
_PR_SET_PDEATHSIG = 1
_CLOSE_SECONDS = 10.0

Work = Callable[["UnitQueue", Line], None]
"""What a worker does: take units until there are none, and tell events. Opens its own stores."""


class UnitQueue:
    """The worker's end of the queue of units."""

    def __init__(self, units: multiprocessing.Queue[Unit | None]) -> None:
        self._units = units
        self._is_over = False

    def take(self, *, wait: bool) -> Unit | None:
        if self._is_over:
            return None
        try:
            unit = self._units.get(block=wait)
        except queue.Empty:
            return None
        self._is_over = unit is None
        return unit


class Processes:
    """Use as a context manager; leaving it ends the workers."""

    def __init__(self, work: Work, *, workers: int, stopping: Flag) -> None:
        context = multiprocessing.get_context("fork")
        self._units: multiprocessing.Queue[Unit | None] = context.Queue()
        self._events: multiprocessing.Queue[Event] = context.Queue()
        self._acknowledgements = Acknowledgements(workers)
        self._stopping = stopping
        self._parent = os.getpid()
        self._workers: list[BaseProcess] = [
            context.Process(target=self._run, args=(work, number), name=f"worker-{number}", daemon=True)
            for number in range(workers)
        ]

    @property
    def capacity(self) -> int:
        return len(self._workers) * UNITS_AHEAD

    def __enter__(self) -> Processes:
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        for _worker in self._workers:
            self._units.put(None)
        for worker in self._workers:
            self._drain_until_ended(worker)

    def submit(self, unit: Unit) -> None:
        self._units.put(unit)

    def next_event(self, timeout: float) -> Event | None:
        try:
            return self._events.get(timeout=timeout)
        except queue.Empty:
            dead = [worker for worker in self._workers if worker.exitcode not in (None, 0)]
            if dead:
                raise _worker_died(dead[0].exitcode or 0) from None
            return None

    def _drain_until_ended(self, worker: BaseProcess) -> None:
        """Nobody listens any more: make room, so that a worker that still tells something can end."""
        waited = 0.0
        while worker.is_alive() and waited < _CLOSE_SECONDS:
            try:
                self._events.get(timeout=0.05)
            except queue.Empty:
                waited += 0.05
        if worker.is_alive():
            worker.kill()
        worker.join()

    def acknowledge(self, event: UploadBegan) -> None:
        self._acknowledgements.acknowledge(event)

    def _run(self, work: Work, number: int) -> None:
        _end_with(self._parent)
        for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signal_number, signal.SIG_IGN)  # who coordinates decides when to stop
        work(UnitQueue(self._units), Line(self._events.put, number, self._acknowledgements, self._stopping))


def _end_with(parent: int) -> None:
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
        cure="Run the same command again: it goes on where it was. With little memory, add --jobs 4.",
    )
