"""When watching ends, and who shows how it goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from migrator.core.errors import MigratorError
from migrator.sync.coordinator import Observer
from migrator.sync.folder_change_detector import Lag


@dataclass(frozen=True, slots=True, kw_only=True)
class Until:
    """When watching ends: after so many seconds without anything new, or when the operator says that Bytes is stopped.

    `lists_before`: both ends are listed whole just before that is asked, and only what changed since then after it.
    `reads`: so many of the raw files that were copied after it are read at both ends, None for all.
    """

    idle: float | None = None
    stopped: bool = False
    lists_before: bool = False
    reads: int | None = None


class Shows(Observer, Protocol):
    """Shows people how it goes; also watches the passes."""

    def now(self, what: str, lag: Lag) -> None:
        """Show what is done at this moment, and how far the target is behind."""
        ...

    def away(self, error: MigratorError) -> None:
        """The server went away, and is waited for."""
        ...
