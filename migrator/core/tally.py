"""Counted outcomes: of a shard, an organization or a run. Pure values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from migrator.core.outcomes import Outcome


@dataclass(slots=True)
class Count:
    """Files and their bytes."""

    files: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        """Count one more raw file of `size` bytes."""
        self.files += 1
        self.bytes += size

    def merge(self, other: Count) -> None:
        """Add what another count has; the other one stays as it is."""
        self.files += other.files
        self.bytes += other.bytes

    def take(self, other: Count) -> None:
        """The opposite of `merge`."""
        self.files -= other.files
        self.bytes -= other.bytes

    @staticmethod
    def sum(counts: Iterable[Count]) -> Count:
        """Return a new count of all of them together."""
        total = Count()
        for count in counts:
            total.merge(count)
        return total

    def as_dict(self) -> dict[str, int]:
        """Return files and bytes as they stand in JSON reports."""
        return {"files": self.files, "bytes": self.bytes}


MIGRATION_OUTCOMES = tuple(outcome for outcome in Outcome if outcome not in (Outcome.PROVEN, Outcome.UNPROVEN))
"""Those that `plan` and `migrate` have."""


_PROOFS = {
    "proven": (Outcome.PROVEN,),
    "unproven": (Outcome.UNPROVEN, Outcome.PENDING, Outcome.VANISHED),
    "conflict": (Outcome.CONFLICT,),
    "missing": (Outcome.MISSING, Outcome.REFUSED),
    "failed": (Outcome.FAILED,),
}

_OTHER_COUNTS = ("extra", "stray", "present_unseen", "closed", "owner_corrected")


@dataclass(slots=True)
class Tally:
    """Counted outcomes, of a shard, an organization or a run.

    `extra` (raw files only at the target) and `stray` stand outside `discovered`; `present_unseen` is the part of present that rests
    on the ledger alone. `closed` counts raw files and folders at a disk target that Bytes' user cannot use, `owner_corrected` those whose
    owner or mode was set right, or in a dry run would be; a folder counts with 0 bytes.
    """

    outcomes: dict[Outcome, Count] = field(default_factory=lambda: {outcome: Count() for outcome in Outcome})
    extra: Count = field(default_factory=Count)
    stray: Count = field(default_factory=Count)
    present_unseen: Count = field(default_factory=Count)
    closed: Count = field(default_factory=Count)
    owner_corrected: Count = field(default_factory=Count)
    unreadable_folders: int = 0

    @property
    def discovered(self) -> Count:
        """All raw files of the source that were met: the sum of the outcomes, by definition."""
        return Count.sum(self.outcomes.values())

    def __getitem__(self, outcome: Outcome) -> Count:
        return self.outcomes[outcome]

    def merge(self, other: Tally) -> None:
        """Add every count of another tally, which stays as it is."""
        for count, more in self._with(other):
            count.merge(more)
        self.unreadable_folders += other.unreadable_folders

    def _with(self, other: Tally) -> Iterator[tuple[Count, Count]]:
        """Every count of this tally with its like of the other one, by its name and never by its place."""
        for outcome, count in other.outcomes.items():
            yield self.outcomes[outcome], count
        for name in _OTHER_COUNTS:
            yield getattr(self, name), getattr(other, name)

    def taken_back(self) -> Tally:
        """What undoes this when it is merged into a sum."""
        undoing = Tally(unreadable_folders=-self.unreadable_folders)
        for count, less in undoing._with(self):
            count.take(less)
        return undoing

    @property
    def is_clean(self) -> bool:
        """Everything is accounted for and nothing needs the operator."""
        bad = (Outcome.CONFLICT, Outcome.FAILED, Outcome.REFUSED, Outcome.PENDING)
        is_open = not self.unreadable_folders and not self.closed.files
        return is_open and not any(self.outcomes[outcome].files for outcome in bad)

    @property
    def beside(self) -> dict[str, Count]:
        """What stands outside `discovered`, by the names of ``--json``."""
        return {
            "extra": self.extra,
            "stray": self.stray,
            "closed": self.closed,
            "owner_corrected": self.owner_corrected,
        }

    def as_dict(self) -> dict[str, dict[str, int]]:
        """The totals of ``--json``, in the order in which they are told."""
        named = {outcome.value: self.outcomes[outcome].as_dict() for outcome in MIGRATION_OUTCOMES}
        return {
            "discovered": self.discovered.as_dict(),
            **named,
            "extra": self.extra.as_dict(),
            "stray": self.stray.as_dict(),
            "present_unseen": self.present_unseen.as_dict(),
            "closed": self.closed.as_dict(),
            "owner_corrected": self.owner_corrected.as_dict(),
        }

    @property
    def is_proven(self) -> bool:
        """All raw files that were met are proven, none may have been hidden, and Bytes' user can read them."""
        is_open = not self.unreadable_folders and not self.closed.files
        return is_open and self.discovered.files == self.outcomes[Outcome.PROVEN].files

    def as_proofs(self) -> dict[str, dict[str, int]]:
        """The totals of a verification: discovered = proven + unproven + conflict + missing + failed.

        What the run did not come to, or was deleted at the source before it could be read, is unproven; what can have no valid
        name at the target is missing there. `proven_earlier` is the part of proven that a run before this one read.
        """
        counts = {"discovered": self.discovered.as_dict()}
        for name, outcomes in _PROOFS.items():
            counts[name] = Count.sum(self.outcomes[outcome] for outcome in outcomes).as_dict()
        beside = {
            "extra": self.extra,
            "stray": self.stray,
            "proven_earlier": self.present_unseen,
            "closed": self.closed,
        }
        return counts | {name: count.as_dict() for name, count in beside.items()}


@dataclass(slots=True)
class Shape:
    """How the raw files that were looked at are spread: by size, and by the day on which they were last changed.

    `sizes` and `moved` (the part that was, or would be, copied) have as keys how many binary digits the size has, `days` have days since
    1970. A few dozen numbers, however many raw files there are.
    """

    sizes: Counter[int] = field(default_factory=Counter)
    moved: Counter[int] = field(default_factory=Counter)
    days: Counter[int] = field(default_factory=Counter)

    def add(self, size: int, modified_ns: int, *, moved: bool) -> None:
        """Count a raw file by the binary digits of its size and by the day of its modification.

        A time outside of 1970 to the last known day counts as day 0; `moved` says whether it was copied in this run.
        """
        digits = size.bit_length()
        self.sizes[digits] += 1
        if moved:
            self.moved[digits] += 1
        day = modified_ns // _DAY_NS
        self.days[day if 0 < day < _DAYS_KNOWN else 0] += 1

    @property
    def undated(self) -> int:
        """How many raw files have no day that a clock could have given."""
        return self.days[0]

    def merge(self, other: Shape) -> None:
        """Add another shape; its counts may be negative, which takes back what was counted earlier."""
        for mine, theirs in ((self.sizes, other.sizes), (self.moved, other.moved), (self.days, other.days)):
            mine.update(theirs)
            for key in [key for key, count in theirs.items() if count < 0 and not mine[key]]:
                del mine[key]

    def taken_back(self) -> Shape:
        """What undoes this when it is merged into a sum."""
        undoing = Shape()
        undoing.sizes.subtract(self.sizes)
        undoing.moved.subtract(self.moved)
        undoing.days.subtract(self.days)
        return undoing


_DAY_NS = 86_400 * 10**9


_DAYS_KNOWN = 365 * 200  # later than that no clock was right
