"""The engine of this process alone: one worker in a thread. For dry runs, tests, and machines without libcurl."""

from __future__ import annotations

import multiprocessing
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from migrator.core.cancellation import Flag
from migrator.core.findings import Finding
from migrator.sync.channel import Acknowledgements, Line
from migrator.sync.messages import Event, Unit, UploadBegan
from migrator.sync.worker import unexpected

UNITS_AHEAD = 4
_EVENTS_WAITING = 64


Taken = TypeVar("Taken")


class UnitQueue(Generic[Taken]):
    """The worker's end of a queue of units; `queue` is the other end, in which None says that there are no more."""

    def __init__(self, units: multiprocessing.Queue[Taken | None] | None = None) -> None:
        """`units` is a queue between processes, None for one within this process."""
        self.queue: multiprocessing.Queue[Taken | None] | queue.SimpleQueue[Taken | None] = units or queue.SimpleQueue()
        self._is_over = False

    def take(self, *, wait: bool) -> Taken | None:
        """Return the next unit; None if there is none yet, and always after the end was put in."""
        if self._is_over:
            return None
        try:
            unit = self.queue.get(block=wait)
        except queue.Empty:
            return None
        self._is_over = unit is None
        return unit


class Threads:
    """Use as a context manager; leaving it ends the worker."""

    def __init__(self, work: Callable[[UnitQueue[Unit], Line], None], *, stopping: Flag) -> None:
        self._units: UnitQueue[Unit] = UnitQueue()
        self._events: queue.Queue[Event] = queue.Queue(_EVENTS_WAITING)
        self._acknowledgements = Acknowledgements(1)
        self._work = work
        self._line = Line(self._events.put, 0, self._acknowledgements, stopping)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    @property
    def capacity(self) -> int:
        """Return how many units may be out for the one worker."""
        return UNITS_AHEAD

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Nothing is to be told of workers of one's own."""
        return ()

    def __enter__(self) -> Threads:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._units.queue.put(None)
        while self._thread.is_alive():
            self._event(0.05)  # nobody listens any more: make room, so that the worker can end

    def submit(self, unit: Unit) -> None:
        """Put a unit into the worker's queue."""
        self._units.queue.put(unit)

    def next_event(self, timeout: float) -> Event | None:
        """Return what the worker told next, None after `timeout` seconds.

        Raises:
            MigratorError: If its thread ended by an error.
        """  # noqa: DOC501 made by unexpected
        is_over = not self._thread.is_alive()  # asked first: what it told last is there by then
        event = self._event(timeout)
        if event is None and is_over:
            raise unexpected(self._error or RuntimeError("the worker ended before its units")) from self._error
        return event

    def acknowledge(self, event: UploadBegan) -> None:
        """Acknowledge an upload's beginning to the worker, which waits for it."""
        self._acknowledgements.acknowledge(event)

    def _event(self, timeout: float) -> Event | None:
        try:
            return self._events.get(timeout=timeout)
        except queue.Empty:
            return None

    def _run(self) -> None:
        try:
            self._work(self._units, self._line)
        except BaseException as error:
            self._error = error
