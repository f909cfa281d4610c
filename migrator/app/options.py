"""What a command was asked to do, besides the locations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from migrator.ages import ANY_AGE, Ages
from migrator.ahead import CountAhead
from migrator.coordinator import Observer
from migrator.firstlook import SourceLook
from migrator.model import (
    Finding,
)
from migrator.settings import Locations
from migrator.statefolder import StateFolder
from migrator.stopping import StopFlag

MOST_JOBS = 256
"""Requests under way at once if nobody says otherwise: an upper bound, below which the lanes find their own number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a command was asked to do, besides the locations. Times in seconds; `jobs` 0 lets the lanes find their own number."""

    organizations: tuple[str, ...] = ()
    jobs: int = 0
    create_buckets: bool = True
    allow_empty: bool = False
    compare_by_size: bool = False
    forced: frozenset[str] = frozenset()
    settle: float = 30.0
    patience: float = 120.0
    ages: Ages = ANY_AGE
    state: StateFolder = field(default_factory=StateFolder.default)


@dataclass(slots=True, kw_only=True)
class Stopping:
    """Set from a signal handler: which signal asked the run to end."""

    event: StopFlag = field(default_factory=StopFlag)
    signal: str = ""

    def ask(self, signal: str) -> None:
        self.signal = signal
        self.event.set()


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
