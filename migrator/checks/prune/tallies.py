"""What became of the raw files of a run of prune: counts and the first problems. Plain values, which cross from process to process."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from migrator.core.entities import Entry, RawFile
from migrator.core.notices import Problem
from migrator.core.tally import Count

PROBLEMS_SHOWN = 1_000


@dataclass(slots=True)
class PruneTally:
    """What became of the raw files of an organization. `discovered` is the sum of the others' ends."""

    discovered: Count = field(default_factory=Count)
    deletable: Count = field(default_factory=Count)
    deleted: Count = field(default_factory=Count)
    kept: Count = field(default_factory=Count)

    def merge(self, other: PruneTally) -> None:
        """Add every count of another tally."""
        for mine, its in zip(self.counts(), other.counts(), strict=True):
            mine.merge(its)

    def counts(self) -> tuple[Count, ...]:
        """Return its counts, in the order of the reports."""
        return self.discovered, self.deletable, self.deleted, self.kept

    def as_dict(self, *, dry_run: bool) -> dict[str, dict[str, int]]:
        """Always ``discovered = deletable + kept``; once it was done, ``discovered = deleted + kept + pending``."""
        pending = Count()
        if not dry_run:
            pending = Count(self.deletable.files - self.deleted.files, self.deletable.bytes - self.deleted.bytes)
        named = ("discovered", "deletable", "deleted", "kept")
        counts = {name: count.as_dict() for name, count in zip(named, self.counts(), strict=True)}
        return {**counts, "pending": pending.as_dict()}


@dataclass(slots=True)
class Pruned:
    """What a run, or a part of it, came to, with the first problems: each raw file that was kept, and why.

    `undated`: raw files that were left alone because they have no date, and an age was asked for. `one_by_one`: the server refused to
    delete many raw files with one request.
    """

    organizations: dict[str, PruneTally] = field(default_factory=dict)
    kept_by: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    problems_total: int = 0
    strays: int = 0
    undated: int = 0
    folders_removed: int = 0
    one_by_one: bool = False

    def of(self, organization: str) -> PruneTally:
        """Return the tally of an organization; a new one if there is none yet."""
        return self.organizations.setdefault(organization, PruneTally())

    def keep(self, raw_file: RawFile, entry: Entry, kind: str, where: str, reason: str) -> None:
        """Count a raw file that stays; `kind` groups the reasons."""
        self.of(raw_file.organization).kept.add(entry.size)
        self.kept_by[kind] += 1
        self.note(Problem("kept", raw_file.organization, where, reason, raw_file.raw_id, entry.size))

    def note(self, problem: Problem) -> None:
        """Count a problem, and keep it if few are kept yet."""
        self.problems_total += 1
        if len(self.problems) < PROBLEMS_SHOWN:
            self.problems.append(problem)

    def merge(self, other: Pruned) -> None:
        """Add all that another part came to."""
        for organization, tally in other.organizations.items():
            self.of(organization).merge(tally)
        self.kept_by += other.kept_by
        self.problems += other.problems[: max(0, PROBLEMS_SHOWN - len(self.problems))]
        self.problems_total += other.problems_total
        self.strays += other.strays
        self.undated += other.undated
        self.folders_removed += other.folders_removed
        self.one_by_one = self.one_by_one or other.one_by_one

    def overall(self) -> PruneTally:
        """Return the sum of all organizations."""
        total = PruneTally()
        for tally in self.organizations.values():
            total.merge(tally)
        return total
