"""Findings: what was seen of an end, its settings or its server before anything moves, and the cure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class FindingStatus(Enum):
    """How bad a finding is; the order is the order of severity."""

    PASS = "pass"  # noqa: S105 no password
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A line of a first look: what was seen, why it matters, and the cure as a command or settings line.

    `forced`: the run goes on in spite of it, as ``--force`` asks.
    """

    name: str
    status: FindingStatus
    seen: str
    why: str = ""
    cure: str = ""
    forced: bool = False

    def as_dict(self) -> dict[str, str | bool]:
        """``forced`` is there only where it is true."""
        fields: dict[str, str | bool] = {
            "name": self.name,
            "status": self.status.value,
            "seen": self.seen,
            "why": self.why,
            "cure": self.cure,
        }
        return fields | {"forced": True} if self.forced else fields
