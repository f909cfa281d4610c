"""What asks a run to end: a signal, or the time that it was given."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from migrator.core.cancellation import StopFlag
from migrator.reports.report import MAX_DURATION
from migrator.sync.messages import ProgressEvent


@dataclass(slots=True, kw_only=True)
class Stopping:
    """What asked the run to end: set from a signal handler, or at a limit."""

    event: StopFlag = field(default_factory=StopFlag)
    signal: str = ""

    def ask(self, signal: str) -> None:
        """Ask the run to stop; `signal` is what asked, for the report."""
        self.signal = signal
        self.event.set()


class Deadline:
    """Watches a run from within: when its time is over, it drains. Counted from when this was made."""

    def __init__(self, seconds: float, stopping: Stopping) -> None:
        self._over_at = time.monotonic() + seconds
        self._stopping = stopping

    def on_event(self, event: ProgressEvent) -> None:
        """Only the time counts."""

    def tick(self) -> None:
        """Ask the run to stop once its time is over."""
        if time.monotonic() >= self._over_at and not self._stopping.event.is_set():
            self._stopping.ask(MAX_DURATION)
