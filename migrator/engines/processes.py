"""The engine of one machine: a process for each core, each with its own lanes, fed from one queue of units."""

from __future__ import annotations

from collections.abc import Callable

from migrator.core.cancellation import Flag
from migrator.core.findings import Finding
from migrator.engines import forked
from migrator.engines.single_thread import UnitQueue
from migrator.sync.channel import Acknowledgements, Line
from migrator.sync.messages import Event, Unit, UploadBegan

UNITS_AHEAD = 4

Work = Callable[[UnitQueue[Unit], Line], None]
"""What a worker does: take units until there are none, and tell events. Opens its own stores."""


class Processes:
    """Use as a context manager; leaving it ends the workers.

    Raises:
        CannotStart: If this system has no shared memory, which the queue of units needs.
    """

    def __init__(self, work: Work, *, workers: int, stopping: Flag) -> None:
        self._work = work
        self._stopping = stopping
        self._acknowledgements = Acknowledgements(workers)
        self._forked: forked.ForkedWorkers[Unit, Event] = forked.ForkedWorkers(self._run, workers=workers)

    @property
    def capacity(self) -> int:
        """Return how many units may be out: some for each worker process."""
        return self._forked.workers * UNITS_AHEAD

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Nothing is to be told of workers of one's own."""
        return ()

    def __enter__(self) -> Processes:
        self._forked.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self._forked.__exit__(*raised)

    def submit(self, unit: Unit) -> None:
        """Put a unit into the queue that all worker processes take from."""
        self._forked.submit(unit)

    def next_event(self, timeout: float) -> Event | None:
        """Return what a worker told next, None after `timeout` seconds. Raises MustStop if a worker process died."""
        return self._forked.next_event(timeout)

    def acknowledge(self, event: UploadBegan) -> None:
        """Write the acknowledgement into the memory that the workers share."""
        self._acknowledgements.acknowledge(event)

    def _run(self, units: UnitQueue[Unit], send: Callable[[Event], None], number: int) -> None:
        self._work(units, Line(send, number, self._acknowledgements, self._stopping))
