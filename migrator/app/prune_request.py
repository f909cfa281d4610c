"""What `prune` was asked for, and whether the number that was confirmed is the number of files that would go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from migrator.app.bytes_place import BytesPlace
from migrator.checks.audit.bytes_api import BytesApi
from migrator.checks.prune.tallies import Pruned
from migrator.core.errors import CannotStart
from migrator.core.findings import Finding, FindingStatus
from migrator.core.notices import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneWish:
    """What was asked for. `confirmed` is the number of files that shall go; None asks `confirm`, or is a dry run without it.

    `place` is where Bytes reads, `api` the running Bytes that is asked, `break_lock` a run whose marks go first.
    `command` is what was typed; `listed` is called with each raw file that is kept.
    """

    confirmed: int | None
    max_delete: int
    place: BytesPlace
    api: BytesApi | None = None
    break_lock: str | None = None
    command: str = "bytes-migrator prune"
    confirm: Callable[[Pruned], int | None] | None = None
    listed: Callable[[Problem], None] = lambda problem: None

    @property
    def may_delete(self) -> bool:
        """Return True if a number was confirmed, or somebody can be asked for it."""
        return self.confirmed is not None or self.confirm is not None


def is_confirmed(wish: PruneWish, pruned: Pruned, number: int) -> bool:
    """Return True if exactly this number of files may be deleted; False where nobody said so.

    Raises:
        CannotStart: If it is more than --max-delete, or another number was confirmed.
    """
    if not number and not wish.confirmed:
        return False
    if number > wish.max_delete:
        raise CannotStart(
            "too-many-to-delete",
            f"{number:,} files would be deleted, more than --max-delete {wish.max_delete:,} allows.",
            why="The location may be wrong, or a filter forgotten.",
            cure=f"Take fewer by --organization or --older-than, or allow it with --max-delete {number}. Nothing was deleted.",
        )
    confirmed = wish.confirmed
    if confirmed is None and wish.confirm is not None:
        confirmed = wish.confirm(pruned)
        if confirmed is None:
            return False
    if confirmed != number:
        raise CannotStart(
            "confirm-differs",
            f"{confirmed:,} files were confirmed, and {number:,} would be deleted.",
            why="Something changed, or the number is wrong.",
            cure=f"Rerun without --confirm; then --confirm {number}. Nothing was deleted.",
        )
    return True


def guard_findings(wish: PruneWish, pruned: Pruned) -> Iterator[Finding]:
    """Return a warning where more could be deleted than --max-delete allows."""
    number = pruned.overall().deletable.files
    if number <= wish.max_delete:
        return
    yield Finding(
        name="too-many-to-delete",
        status=FindingStatus.WARNING,
        seen=f"{number:,} files could be deleted, more than --max-delete {wish.max_delete:,} allows.",
        cure=f"Take fewer by --organization or --older-than, or allow it with --max-delete {number}.",
    )
