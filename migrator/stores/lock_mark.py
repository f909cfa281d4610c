"""The mark of a run that deletes at a place, or relies on it: what is in it, and what another run is told of it. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from migrator.core.errors import LedgerBusy

BREAK_LOCK = "--break-lock"
_LARGEST_TEXT = 200
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


@dataclass(frozen=True, slots=True, kw_only=True)
class LockMark:
    """Who holds a place: the run, its host and process id, and since when (seconds since the epoch, 0 where it is not known)."""

    run: str
    host: str = ""
    pid: int = 0
    began_at: float = 0.0

    def as_bytes(self) -> bytes:
        """The content of the mark; `read_mark` is the inverse."""
        document = {"run": self.run, "host": self.host, "pid": self.pid, "began_at": self.began_at}
        return json.dumps({"bytes_migrator_lock": 1, **document}).encode()

    def in_words(self, now: float) -> str:
        """The run, its age, host and process, for one line."""
        age = f", begun {_age(now - self.began_at)} ago" if self.began_at else ""
        where = f" on host {self.host}, process {self.pid}" if self.host else ""
        return f"run {self.run}{age}{where}"


def read_mark(content: bytes, name: str) -> LockMark:
    """Return the mark with this content; one that says nothing is known by the name that it lies under."""
    try:
        fields = json.loads(content)
        run, host = str(fields["run"])[:_LARGEST_TEXT], str(fields["host"])[:_LARGEST_TEXT]
        return LockMark(run=run, host=host, pid=int(fields["pid"]), began_at=float(fields["began_at"]))
    except (ValueError, KeyError, TypeError, OverflowError):
        return LockMark(run=name)


def busy(where: str, mark: LockMark, *, now: float, command: str, is_gone: bool) -> LedgerBusy:
    """Return the error for a place that another run holds. `is_gone`: that run's process ran on this host, and does not exist any more."""
    why = (
        "Its process does not run any more: it was killed, and its mark is left."
        if is_gone
        else "Two runs that delete from each other's proof could destroy both copies. A run that was killed leaves its mark, too."
    )
    return LedgerBusy(
        "place-busy",
        f"{where} is held by another run of prune: {mark.in_words(now)}.",
        why=why,
        cure=f"Wait until that run has ended. If it was killed, remove its mark: {command} {BREAK_LOCK} {mark.run}",
    )


def first_of(marks: Sequence[LockMark], *, but: str) -> LockMark | None:
    """Return the mark of another run than `but`; None where there is none."""
    return next((mark for mark in sorted(marks, key=lambda mark: mark.run) if mark.run != but), None)


def _age(seconds: float) -> str:
    for length, unit in _UNITS:
        number = int(seconds // length)
        if number > 0:
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{max(0, int(seconds))} seconds"
