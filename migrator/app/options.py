"""What a command was asked to do, besides the locations."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from migrator.ages import ANY_AGE, Ages
from migrator.ahead import CountAhead
from migrator.coordinator import Observer
from migrator.firstlook import SourceLook
from migrator.limits import Limits
from migrator.model import Finding
from migrator.reports.report import MAX_DURATION
from migrator.settings import Locations
from migrator.statefolder import StateFolder
from migrator.stopping import StopFlag
from migrator.units import Told

MOST_JOBS = 256
"""Requests under way at once if nobody says otherwise: an upper bound, below which the lanes find their own number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a command was asked to do, besides the locations. Times in seconds; `jobs` 0 lets the lanes find their own number.

    `lists_extra`: tell each raw file that is only at the target by name, for a list of files.
    """

    organizations: tuple[str, ...] = ()
    jobs: int = 0
    create_buckets: bool = True
    allow_empty: bool = False
    compare_by_size: bool = False
    forced: frozenset[str] = frozenset()
    settle: float = 30.0
    patience: float = 120.0
    ages: Ages = ANY_AGE
    full: bool = False
    limits: Limits = field(default_factory=Limits)
    lists_extra: bool = False
    state: StateFolder = field(default_factory=StateFolder.default)


@dataclass(slots=True, kw_only=True)
class Stopping:
    """What asked the run to end: set from a signal handler, or at a limit."""

    event: StopFlag = field(default_factory=StopFlag)
    signal: str = ""

    def ask(self, signal: str) -> None:
        self.signal = signal
        self.event.set()


class Deadline:
    """Watches a run from within: when its time is over, it drains. Counted from when this was made."""

    def __init__(self, seconds: float, stopping: Stopping) -> None:
        self._over_at = time.monotonic() + seconds
        self._stopping = stopping

    def told(self, told: Told) -> None:
        """Only the time counts."""

    def tick(self) -> None:
        if time.monotonic() >= self._over_at and not self._stopping.event.is_set():
            self._stopping.ask(MAX_DURATION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The first look's result: what would be moved, and what was found."""

    locations: Locations
    look: SourceLook
    findings: tuple[Finding, ...]
    refused: frozenset[str]
    buckets_to_create: tuple[str, ...]


Watch = Callable[[CountAhead | None], Sequence[Observer]]
"""Makes the observers of a run, given who counts ahead (nobody in a dry run)."""
