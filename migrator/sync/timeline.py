"""What a run did over its time, in a bounded number of equal steps: for the picture of rate and errors in the report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from migrator.core.outcomes import Outcome
from migrator.core.tally import Tally

MOST_STEPS = 120
FIRST_STEP_SECONDS = 0.5
_ERRORS = (Outcome.FAILED, Outcome.CONFLICT)
_MOVED = (Outcome.COPIED, Outcome.MISSING)


@dataclass(slots=True)
class TimelineStep:
    """What was done within one step of time. `files` were looked at, `moved` were or would be copied, with `bytes`."""

    files: int = 0
    moved: int = 0
    bytes: int = 0
    errors: int = 0

    def merge(self, other: TimelineStep) -> None:
        """Add the counts of another step."""
        self.files += other.files
        self.moved += other.moved
        self.bytes += other.bytes
        self.errors += other.errors


@dataclass(slots=True)
class Timeline:
    """Takes tallies as they are told. When there are too many steps, each two become one of double length."""

    clock: Callable[[], float] = time.monotonic
    seconds_per_step: float = FIRST_STEP_SECONDS
    steps: list[TimelineStep] = field(default_factory=list)
    _began: float | None = None

    def add(self, tally: Tally) -> None:
        """Count a tally in the step of this moment; where that lies beyond the last step, steps are made twice as long."""
        now = self.clock()
        if self._began is None:
            self._began = now
        while (index := int((now - self._began) / self.seconds_per_step)) >= MOST_STEPS:
            self._halve()
        self.steps.extend(TimelineStep() for _ in range(index + 1 - len(self.steps)))
        moved = [tally[outcome] for outcome in _MOVED]
        self.steps[index].merge(
            TimelineStep(
                files=tally.discovered.files,
                moved=sum(count.files for count in moved),
                bytes=sum(count.bytes for count in moved),
                errors=sum(tally[outcome].files for outcome in _ERRORS),
            )
        )

    def _halve(self) -> None:
        for earlier, later in zip(self.steps[::2], self.steps[1::2], strict=False):
            earlier.merge(later)
        self.steps = self.steps[::2]
        self.seconds_per_step *= 2
