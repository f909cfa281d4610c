"""Short forms in which findings are made."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.core.findings import Finding, FindingStatus

SHOWN = 5


def passed(name: str, seen: str) -> Finding:
    """Return a finding that is fine: `seen` says what was found."""
    return Finding(name=name, status=FindingStatus.PASS, seen=seen)


def warned(name: str, seen: str, why: str, cure: str = "") -> Finding:
    """Return a finding that does not keep the command from running; without `cure` there is nothing to do about it."""
    return Finding(name=name, status=FindingStatus.WARNING, seen=seen, why=why, cure=cure)


def failed(name: str, seen: str, why: str, cure: str) -> Finding:
    """Return a finding that keeps the command from starting, unless it is forced by its name."""
    return Finding(name=name, status=FindingStatus.ERROR, seen=seen, why=why, cure=cure)


def some_of(names: Sequence[str]) -> str:
    """The first ones, and how many more."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
