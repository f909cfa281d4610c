"""Who follows the outcomes of a shard and keeps something of them: the ledger's finished folders, or a verification's proofs.

A pass knows only this protocol; `Pass.tracking` makes the one that a command needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from migrator.core.entities import Entry, Pair, RawId
from migrator.core.outcomes import Result
from migrator.sync.messages import Assignment, ProgressEvent
from migrator.sync.shard.deciding import Known
from migrator.sync.shard.event_draft import EventDraft

if TYPE_CHECKING:
    from migrator.sync.shard.pass_settings import Pass

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
