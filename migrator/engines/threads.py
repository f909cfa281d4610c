"""The engine of this process alone: one worker in a thread. For dry runs, tests, and machines without libcurl."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from migrator.line import Acknowledgements, Line
from migrator.model import Finding
from migrator.stopping import Flag
from migrator.units import Event, Unit, UploadBegan

UNITS_AHEAD = 4
_EVENTS_WAITING = 64


class UnitsHere:
    """The worker's end of a queue of units within one process; `queue` is the other end, None says that there are no more."""

    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[Unit | None] = queue.SimpleQueue()
        self._is_over = False

    def take(self, *, wait: bool) -> Unit | None:
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

    def __init__(self, work: Callable[[UnitsHere, Line], None], *, stopping: Flag) -> None:
        self._units = UnitsHere()
        self._events: queue.Queue[Event] = queue.Queue(_EVENTS_WAITING)
        self._acknowledgements = Acknowledgements(1)
        line = Line(self._events.put, 0, self._acknowledgements, stopping)
        self._thread = threading.Thread(target=work, args=(self._units, line), name="worker", daemon=True)

    @property
    def capacity(self) -> int:
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
            self.next_event(0.05)  # nobody listens any more: make room, so that the worker can end

    def submit(self, unit: Unit) -> None:
        self._units.queue.put(unit)

    def next_event(self, timeout: float) -> Event | None:
        try:
            return self._events.get(timeout=timeout)
        except queue.Empty:
            return None

    def acknowledge(self, event: UploadBegan) -> None:
        self._acknowledgements.acknowledge(event)
