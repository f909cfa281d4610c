"""What an audit comes to: counts for each organization, and the gravest problems."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from migrator.core.notices import Problem, fair_share
from migrator.core.tally import Count

PROBLEMS_OF_A_KIND = 1_000


class Kind(Enum):
    """What the operator is told of one raw file; the gravest first."""

    __hash__ = object.__hash__

    ALTERED = "altered"
    UNDECODABLE = "undecodable"
    FAILED = "failed"
    MISSING = "missing"
    CLOSED = "closed"
    ELSEWHERE = "elsewhere"
    UNREADABLE_FOLDER = "unreadable-folder"
    API = "api"
    UNHASHED = "unhashed"
    ORPHANED = "orphaned"


@dataclass(slots=True)
class AuditTally:
    """What became of the rows of an organization, or of all.

    `closed` are there, and Bytes' user may not read them.
    `unhashed`, `altered`, `undecodable`, `proven` and `failed` are parts of `readable`; `orphaned` stands outside. Bytes are of what was
    seen.
    """

    readable: Count = field(default_factory=Count)
    closed: Count = field(default_factory=Count)
    elsewhere: Count = field(default_factory=Count)
    missing: Count = field(default_factory=Count)
    orphaned: Count = field(default_factory=Count)
    unhashed: Count = field(default_factory=Count)
    altered: Count = field(default_factory=Count)
    undecodable: Count = field(default_factory=Count)
    proven: Count = field(default_factory=Count)
    failed: Count = field(default_factory=Count)

    @property
    def rows(self) -> Count:
        """Every row that was asked about: the sum of its four fates, by definition."""
        return Count.sum((self.readable, self.closed, self.elsewhere, self.missing))

    def merge(self, other: AuditTally) -> None:
        """Add every count of another tally."""
        for name in AuditTally.__slots__:
            getattr(self, name).merge(getattr(other, name))

    @property
    def is_clean(self) -> bool:
        """Every row is readable, and nothing is known to be other than it was recorded."""
        bad = (self.closed, self.elsewhere, self.missing, self.altered, self.undecodable, self.failed)
        return not any(count.files for count in bad)

    def as_dict(self) -> dict[str, dict[str, int]]:
        """The totals of ``--json``."""
        names = ("rows", "readable", "closed", "elsewhere", "missing", "orphaned", "unhashed", "altered", "undecodable")
        return {name: getattr(self, name).as_dict() for name in names}


@dataclass(slots=True)
class Audited:
    """What an audit has come to. Problems are kept by kind, the first thousand of each: a million files elsewhere hide no altered one."""

    organizations: dict[str, AuditTally] = field(default_factory=dict)
    problems: dict[Kind, list[Problem]] = field(default_factory=lambda: {kind: [] for kind in Kind})
    problems_total: int = 0
    unreadable_folders: int = 0
    unlistable: dict[str, str] = field(default_factory=dict)
    missing_span: tuple[int, int] | None = None

    def missing_between(self, ended_us: int) -> None:
        """Widen the time between the first and the last scan whose raw file is missing, in microseconds since the epoch."""
        first, last = self.missing_span or (ended_us, ended_us)
        self.missing_span = (min(first, ended_us), max(last, ended_us))

    def overall(self) -> AuditTally:
        """Return the sum of all organizations."""
        total = AuditTally()
        for tally in self.organizations.values():
            total.merge(tally)
        return total

    def add_problem(self, kind: Kind, problem: Problem) -> None:
        """Count a problem, and keep it if few of its kind are kept yet."""
        self.problems_total += 1
        if len(self.problems[kind]) < PROBLEMS_OF_A_KIND:
            self.problems[kind].append(problem)

    def first_problems(self, most: int) -> list[Problem]:
        """Return so many problems, the gravest first, each kind with its share."""
        return fair_share((self.problems[kind] for kind in Kind), most)
