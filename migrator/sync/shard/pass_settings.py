"""What all shards of a run share, and who follows a shard's outcomes: for the ledger's finished folders, or a verification's proofs."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from migrator.config.time_filter import ANY_AGE, Ages
from migrator.core.cancellation import Flag
from migrator.core.entities import Entry, Pair, RawId, Shard
from migrator.core.notices import Denial
from migrator.core.outcomes import Result, Step
from migrator.core.protocols import Sink, Source
from migrator.sync.action_tables import REFUSE, Rules
from migrator.sync.messages import Assignment, ProgressEvent
from migrator.sync.shard.deciding import Known
from migrator.sync.shard.event_draft import EventDraft

Pairs = Callable[[], Iterator[Pair]]
Tell = Callable[[Entry], None]


class Tracker(Protocol):
    """Follows one shard, in one thread."""

    @property
    def relies_on_folders(self) -> bool:
        """Whether index folders that an earlier run finished need not be listed at the target, now and from here on."""
        ...

    def skips(self, pairs: Pairs, extra: Tell) -> bool:
        """Return True if nothing of the shard has to be looked at; it is counted then.

        `pairs` lists both ends; `extra` takes down what only the target has.
        """
        ...

    def is_done(self, prefix: str, entries: Sequence[Entry]) -> bool:
        """Return True, and count its raw files, for an index folder that need not be looked at; asked if `relies_on_folders`."""
        ...

    def watch(self, pairs: Iterable[Pair]) -> Iterator[tuple[Pair, Known]]:
        """Yield the same pairs, each with what an earlier run tells of it."""
        ...

    def own_version(self, pair: Pair) -> str | None:
        """Return the version of the copy at the target if it is this program's own, as the ledger knows."""
        ...

    def ended(self, result: Result) -> None:
        """Take down how a raw file ended."""
        ...

    def left(self, raw_id: RawId) -> None:
        """Take down that the run stopped before this raw file."""
        ...

    def unreadable(self) -> None:
        """Take down that something of the shard could not be listed, so nothing of it is known to be whole."""
        ...

    def finish(self, event: ProgressEvent) -> None:
        """Called once, after the last outcome: add to the event what is kept of the shard. Raises MigratorError."""
        ...


Tracking = Callable[["Pass", Assignment, EventDraft], Tracker]


class NoTracking:
    """Keeps nothing: a dry run, or a verification by listings."""

    relies_on_folders = False

    def __init__(self, whole: Pass, assignment: Assignment, draft: EventDraft) -> None:
        """Take what every tracker is made from, and need none of it."""

    def skips(self, pairs: Pairs, extra: Tell) -> bool:
        """Return False."""
        return False

    def is_done(self, prefix: str, entries: Sequence[Entry]) -> bool:
        """Return False."""
        return False

    def watch(self, pairs: Iterable[Pair]) -> Iterator[tuple[Pair, Known]]:
        """Yield each pair as one of which nothing is known."""
        for pair in pairs:
            yield pair, Known.NOTHING

    def own_version(self, pair: Pair) -> str | None:
        """Return None."""
        return None

    def ended(self, result: Result) -> None:
        """Keep nothing."""

    def left(self, raw_id: RawId) -> None:
        """Keep nothing."""

    def unreadable(self) -> None:
        """Keep nothing."""

    def finish(self, event: ProgressEvent) -> None:
        """Add nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What all units of a run share.

    `settle_ns`: a raw file that changed less than this ago may still be written to. `tracking` makes who follows a shard's outcomes and
    keeps something of them. `refusal` are the rules for organizations without a valid name at the target. `tells_copied`: name each raw
    file that was copied. `ages`: which raw files of the source count, `takes`: which of those, by organization; where any is left out,
    nothing is extra and no folder is finished. `parted`: organizations have buckets of their own; `denied` are those whose buckets
    refuse. `lists_extra`: each raw file that is only at the target is told by name. `spread`: many workers want their part of each
    organization. `rehearse`, of a dry run, says at once what a step would come to, so that none goes to the sink: the way there and
    back costs as much as the listing.
    """

    source: Source
    target: Source
    sink: Sink
    rules: Rules
    refused: frozenset[str]
    settle_ns: int
    stopping: Flag
    tracking: Tracking = NoTracking
    tells_copied: bool = False
    ages: Ages = ANY_AGE
    takes: Callable[[str], Callable[[RawId], bool]] | None = None
    spread: bool = False
    refusal: Rules = field(default_factory=lambda: REFUSE)
    lists_extra: bool = False
    parted: bool = False
    denied: Mapping[str, Denial] = field(default_factory=dict)
    rehearse: Callable[[str, Step], Result] | None = None
    clock_ns: Callable[[], int] = time.time_ns
    pick: Callable[[Sequence[Shard]], Shard] = random.choice  # noqa: S311 which shard is sampled is no secret

    @property
    def is_partial(self) -> bool:
        """Whether raw files are left out on purpose."""
        return bool(self.ages) or self.takes is not None
