"""The one value that every form of a report is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from migrator import __version__
from migrator.config.env_file import Setting
from migrator.core.errors import MigratorError
from migrator.core.findings import Finding, FindingStatus
from migrator.core.outcomes import Outcome
from migrator.core.tally import Count, Tally
from migrator.doctor.finding_names import BUCKET_NAMES
from migrator.reports.estimate import Estimate
from migrator.sync.totals import Totals

T = TypeVar("T")

SCHEMA = 1
"""The version of the JSON documents. It goes up when something that was there changes its meaning; what is added leaves it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A file that was written beside the report, such as the file list, with its digest."""

    name: str
    sha256: str
    lines: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """What ended a run before its time: the words of a MigratorError."""

    name: str
    what: str
    why: str
    cure: str
    exit_status: int

    @staticmethod
    def by(error: MigratorError) -> Stopped:
        """Return what an error that ended the run says."""
        return Stopped(name=error.name, what=error.what, why=error.why, cure=error.cure, exit_status=error.exit_status)

    def as_dict(self) -> dict[str, str]:
        """Return the error's texts as they stand in JSON reports."""
        return {"name": self.name, "what": self.what, "why": self.why, "cure": self.cure}


MAX_DURATION = "max-duration"
_INTERRUPTED = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129, MAX_DURATION: 7}


def status_when_interrupted(by: str) -> int:
    """The exit status of a run that a signal or a limit ended."""
    return _INTERRUPTED.get(by, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow(Generic[T]):
    """One organization: its bucket (None on disk) and what became of its raw files, or of its rows of the database."""

    organization: str
    bucket: str | None
    tally: T


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A run, or what a run would be. `interrupted_by` names a signal or a limit; `seconds` is how long it took, `started` since the epoch.

    `stopped` is the error that ended it early. `state` is finished, running or killed: of the latter two a report has what the ledger has.
    `proves` says in words what the level of a verification proves. `deleted` and `kept` are what `prune` did at the source, None for every
    other command.
    `known` are name and words of findings that an earlier run of the same pair had. `shown` are the lines that a verification or
    `prune` ended with, where a ledger kept them.
    """

    command: str
    run: str
    source: str
    target: str
    dry_run: bool
    rows: tuple[ReportRow[Tally], ...]
    totals: Totals
    findings: tuple[Finding, ...]
    settings: tuple[Setting, ...]
    buckets_to_create: tuple[str, ...]
    next_steps: tuple[str, ...]
    seconds: float
    counting_is_final: bool = True
    interrupted_by: str = ""
    compared_by: str = "content"
    started: float | None = None
    version: str = __version__
    stopped: Stopped | None = None
    estimate: Estimate | None = None
    state: str = "finished"
    evidence: tuple[Evidence, ...] = ()
    known: frozenset[tuple[str, str]] = frozenset()
    deleted: Count | None = None
    kept: Count | None = None
    proves: str = ""
    shown: tuple[str, ...] = ()

    @property
    def overall(self) -> Tally:
        """Return the sum of all organizations, with what is beside and above them."""
        return self.totals.overall()

    @property
    def exit_status(self) -> int:
        """0 for everything accounted for and fine, 1 for anything that needs the operator; signals have their own."""
        if self.stopped is not None:
            return self.stopped.exit_status
        if self.interrupted_by:
            return status_when_interrupted(self.interrupted_by)
        if self.command == "verify":
            return 0 if self.overall.is_proven else 1
        return 0 if self.overall.is_clean and not self.is_forbidden else 1

    @property
    def is_forbidden(self) -> bool:
        """A migration would not start. What `bucket-names` leaves out is counted as refused, and nothing where it holds no raw file."""
        return any(
            one.status is FindingStatus.ERROR and one.name != BUCKET_NAMES and not one.forced for one in self.findings
        )

    @property
    def is_fine(self) -> bool:
        """Everything is accounted for, and the run came to its end."""
        return self.exit_status == 0 and self.state == "finished"

    @property
    def nothing_to_do(self) -> bool:
        """Return True if all was present already, and nothing else was found."""
        tally = self.overall
        return tally.is_clean and not any(tally[outcome].files for outcome in Outcome if outcome is not Outcome.PRESENT)
