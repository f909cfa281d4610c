"""What a run has come to so far: the sum of its events, when they came, and the problems that are kept of it."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from migrator.core.notices import NoticeKind, Problem, fair_share
from migrator.core.outcomes import Outcome
from migrator.core.tally import Count, Shape, Tally
from migrator.sync.messages import ProgressEvent, Surveyed

PROBLEMS_SHOWN = 1_000
GRAVEST_FIRST = (
    *(outcome.value for outcome in (Outcome.CONFLICT, Outcome.FAILED)),
    NoticeKind.UNREADABLE_FOLDER.value,
    NoticeKind.CLOSED.value,
    *(outcome.value for outcome in (Outcome.REFUSED, Outcome.PENDING, Outcome.VANISHED)),
    NoticeKind.STRAY.value,
    NoticeKind.LEFT_ALONE.value,
)
OTHERS = "other reasons"
_SIZES = re.compile(r" \([\d,]+ bytes, [\d,]+ at the source\)$")
_DIGEST = re.compile(r"\b[0-9a-f]{8,}…?")
_MOST_GROUPS = 200
MOST_STEPS = 120
FIRST_STEP_SECONDS = 0.5
_ERRORS = (Outcome.FAILED, Outcome.CONFLICT)
_MOVED = (Outcome.COPIED, Outcome.MISSING)


@dataclass(slots=True)
class TimelineStep:
    """What was done within one step of time. `files` were looked at, `moved` were or would be copied, with `bytes`."""

    files: int = 0
    moved: int = 0
    bytes: int = 0
    errors: int = 0

    def merge(self, other: TimelineStep) -> None:
        """Add the counts of another step."""
        self.files += other.files
        self.moved += other.moved
        self.bytes += other.bytes
        self.errors += other.errors


@dataclass(slots=True)
class Timeline:
    """Takes tallies as they are told. When there are too many steps, each two become one of double length."""

    clock: Callable[[], float] = time.monotonic
    seconds_per_step: float = FIRST_STEP_SECONDS
    steps: list[TimelineStep] = field(default_factory=list)
    _began: float | None = None

    def add(self, tally: Tally) -> None:
        """Count a tally in the step of this moment; where that lies beyond the last step, steps are made twice as long."""
        now = self.clock()
        if self._began is None:
            self._began = now
        while (index := int((now - self._began) / self.seconds_per_step)) >= MOST_STEPS:
            self._halve()
        self.steps.extend(TimelineStep() for _ in range(index + 1 - len(self.steps)))
        moved = [tally[outcome] for outcome in _MOVED]
        self.steps[index].merge(
            TimelineStep(
                files=tally.discovered.files,
                moved=sum(count.files for count in moved),
                bytes=sum(count.bytes for count in moved),
                errors=sum(tally[outcome].files for outcome in _ERRORS),
            )
        )

    def _halve(self) -> None:
        for earlier, later in zip(self.steps[::2], self.steps[1::2], strict=False):
            earlier.merge(later)
        self.steps = self.steps[::2]
        self.seconds_per_step *= 2


@dataclass(slots=True)
class Totals:
    """What a run has come to: counted for each organization, with the first problems.

    `beside` are strays beside the organizations, `above` is what was counted of the location itself.

    `learned` are fields of the target's abilities that turned out otherwise. `groups` counts problems of one kind and
    reason; reasons beyond the first 200 are counted together. `samples` is how many shards of the target were listed
    as a sample, `sampled_of` among how many.
    """

    organizations: dict[str, Tally] = field(default_factory=dict)
    beside: Count = field(default_factory=Count)
    above: Tally = field(default_factory=Tally)
    problems_total: int = 0
    groups: Counter[tuple[str, str]] = field(default_factory=Counter)
    shape: Shape = field(default_factory=Shape)
    course: Timeline = field(default_factory=Timeline)
    learned: dict[str, int] = field(default_factory=dict)
    samples: int = 0
    sampled_of: int = 0
    _first: dict[str, list[Problem]] = field(default_factory=dict)

    def add(self, event: ProgressEvent) -> None:
        """Add what a worker told: counts, problems, sizes and the course over time."""
        if event.organization:
            self.organizations.setdefault(event.organization, Tally()).merge(event.tally)
        else:
            self.above.merge(event.tally)
        self.add_problems(event.problems)
        self.shape.merge(event.shape)
        self.course.add(event.tally)

    def sampled(self, surveyed: Surveyed) -> None:
        """Take down what a survey looked at; where the whole target is listed after it, it was no sample."""
        if surveyed.sample_of and not surveyed.lists_target:
            self.samples += 1
            self.sampled_of += surveyed.sample_of

    def add_problems(self, problems: Sequence[Problem]) -> None:
        """Count problems by kind and reason, and keep the first of each kind."""
        self.problems_total += len(problems)
        for problem in problems:
            first = self._first.setdefault(problem.kind, [])
            if len(first) < PROBLEMS_SHOWN:
                first.append(problem)
            group = (problem.kind, reason_of(problem))
            self.groups[
                group if group in self.groups or len(self.groups) < _MOST_GROUPS else (problem.kind, OTHERS)
            ] += 1

    @property
    def problems(self) -> list[Problem]:
        """The first 1,000, the gravest kinds before the others, each kind with its share."""
        kinds = sorted(self._first, key=lambda kind: GRAVEST_FIRST.index(kind) if kind in GRAVEST_FIRST else -1)
        return fair_share((self._first[kind] for kind in kinds), PROBLEMS_SHOWN)

    def overall(self) -> Tally:
        """Return the sum of all organizations, with what is beside and above them."""
        total = Tally()
        for tally in self.organizations.values():
            total.merge(tally)
        total.stray.merge(self.beside)
        total.merge(self.above)
        return total


def reason_of(problem: Problem) -> str:
    """The reason without the names, sizes and digests in it, so that alike ones can be counted together."""
    return _DIGEST.sub("…", _SIZES.sub("", reason_without_names(problem)))


def reason_without_names(problem: Problem) -> str:
    """The reason without the names that stand beside it."""
    reason = problem.reason
    for name in (problem.where, problem.target, problem.raw_id):
        if name:
            reason = reason.replace(name, "…")
    return reason
