"""The one value that every form of a report is made from."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.coordinator import Totals
from migrator.model import Finding, Outcome, Tally
from migrator.settings import Setting

SCHEMA = 1


MAX_DURATION = "max-duration"
_INTERRUPTED = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129, MAX_DURATION: 7}


def status_when_interrupted(by: str) -> int:
    """The exit status of a run that a signal or a limit ended."""
    return _INTERRUPTED.get(by, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One organization: its bucket (None on disk) and what became of its raw files."""

    organization: str
    bucket: str | None
    tally: Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A run, or what a run would be. `interrupted_by` names a signal or a limit; `seconds` is how long it took."""

    command: str
    run: str
    source: str
    target: str
    dry_run: bool
    rows: tuple[Row, ...]
    totals: Totals
    findings: tuple[Finding, ...]
    settings: tuple[Setting, ...]
    buckets_to_create: tuple[str, ...]
    next_steps: tuple[str, ...]
    seconds: float
    counting_is_final: bool = True
    interrupted_by: str = ""
    compared_by: str = "content"

    @property
    def overall(self) -> Tally:
        return self.totals.overall()

    @property
    def exit_status(self) -> int:
        """0 for everything accounted for and fine, 1 for anything that needs the operator; signals have their own."""
        if self.interrupted_by:
            return status_when_interrupted(self.interrupted_by)
        return 0 if self.overall.is_clean else 1

    @property
    def nothing_to_do(self) -> bool:
        tally = self.overall
        return tally.is_clean and not any(tally[outcome].files for outcome in Outcome if outcome is not Outcome.PRESENT)
