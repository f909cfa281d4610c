"""One run: organizations → units → engine → events → ledger, totals and observers. It alone writes the ledger."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Protocol

from migrator.core.cancellation import Flag
from migrator.core.entities import FinishedFolder, shards_of
from migrator.core.errors import MigratorError, MustStop
from migrator.core.outcomes import NoticeKind, Outcome, Problem
from migrator.core.tally import Count, Shape, Tally
from migrator.sync.messages import (
    Assignment,
    Closed,
    Event,
    Learned,
    ProgressEvent,
    Survey,
    Surveyed,
    Unit,
    UnitEnded,
    UploadBegan,
    UploadEnded,
)
from migrator.sync.timeline import Timeline

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
_EVENT_WAIT = 0.2


class Engine(Protocol):
    """Spreads units over workers. Events of one unit arrive in order, its `UnitEnded` last."""

    @property
    def capacity(self) -> int:
        """How many units keep all workers busy."""
        ...

    def submit(self, unit: Unit) -> None:
        """Hand a unit to the workers; called only while fewer than `capacity` are out."""
        ...

    def next_event(self, timeout: float) -> Event | None:
        """The next event, None if none came in time. Raises MustStop when no worker is left to answer."""
        ...

    def acknowledge(self, event: UploadBegan) -> None:
        """Let the worker go on that waits for this to be durable."""
        ...


class Memory(Protocol):
    """What is known from earlier runs, and where this one is written down."""

    def finished(self, organization: str) -> Mapping[str, FinishedFolder]:
        """Return the organization's finished index folders by name; may be empty, which costs time only."""
        ...

    def forget_finished(self, organization: str) -> None:
        """What was finished is not at the target any more: compare all of it anew."""
        ...

    def recall(self, assignment: Assignment) -> Assignment:
        """The assignment with what is known of its shard: finished folders, provisional copies, unfinished uploads, an earlier proof."""
        ...

    def record_upload(self, event: UploadBegan | UploadEnded) -> None:
        """Make durable that an upload began, or forget one that ended."""
        ...

    def record(self, event: ProgressEvent) -> None:
        """Make durable what was told. Called before anybody is shown it."""
        ...


class Observer(Protocol):
    """Is shown a run while it goes on."""

    def on_event(self, event: ProgressEvent) -> None:
        """Take what a worker told, after the ledger has it."""
        ...

    def tick(self) -> None:
        """Called some times a second, whether anything happened or not."""
        ...


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
        """The first 1,000, the gravest kinds before the others: a heap of strays hides no failure."""
        kinds = sorted(self._first, key=lambda kind: GRAVEST_FIRST.index(kind) if kind in GRAVEST_FIRST else -1)
        return list(islice(chain.from_iterable(self._first[kind] for kind in kinds), PROBLEMS_SHOWN))

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
    reason = problem.reason
    for name in (problem.where, problem.target, problem.raw_id):
        if name:
            reason = reason.replace(name, "…")
    return _DIGEST.sub("…", _SIZES.sub("", reason))


class Coordinator:
    """Feeds an engine with units and takes down what it tells."""

    def __init__(
        self,
        *,
        engine: Engine,
        memory: Memory,
        observers: Sequence[Observer],
        totals: Totals,
        stopping: Flag,
        lists_target: bool = False,
    ) -> None:
        """`lists_target`: list all of the target, also where the ledger knows the source to be finished and unchanged."""
        self._engine = engine
        self._memory = memory
        self._observers = observers
        self._totals = totals
        self._stopping = stopping
        self._lists_target = lists_target
        self._surveyed: deque[Iterator[Assignment]] = deque()
        self._error: MigratorError | None = None
        self._under_way = 0
        self._surveyed_names: set[str] = set()
        self._closed: dict[str, MigratorError] = {}
        self._are_all_known = False

    def run(self, organizations: Iterable[str], found_before: Sequence[Problem] = ()) -> None:
        """Work through all organizations, or until `stopping` is set. Raises the first MigratorError, after taking down the rest.

        `found_before`, what the overview of the source met, is in its totals already; observers hear of it here.
        """
        for observer in self._observers if found_before else ():
            observer.on_event(ProgressEvent(organization="", problems=list(found_before)))
        try:
            self._work_through(iter(organizations))
        except BaseException:
            self._stopping.set()  # nobody takes anything down any more: who waits for an acknowledgement would wait for ever
            raise
        if self._error is not None:
            raise self._error

    def _work_through(self, surveys: Iterator[str]) -> None:
        while True:
            while self._under_way < self._engine.capacity:
                unit = self._next_unit(surveys)
                if unit is None:
                    break
                self._under_way += 1
                self._engine.submit(unit)
            if not self._under_way:
                break
            self._take_event()
            for observer in self._observers:
                observer.tick()

    def bring(self, assignments: Iterable[Assignment]) -> None:
        """Work through these alone. Raises as `run`."""
        self._surveyed.append(iter(assignments))
        self.run(())

    def _next_unit(self, surveys: Iterator[str]) -> Unit | None:
        if self._stopping.is_set():
            return None
        while self._surveyed:
            assignment = next(self._surveyed[0], None)
            if assignment is not None:
                return assignment
            self._surveyed.popleft()
        organization = next(surveys, None)
        if organization is None:
            self._are_all_known = True
            self._stop_if_all_are_closed()
            return None
        self._surveyed_names.add(organization)
        return Survey(organization, self._memory.finished(organization), lists_target=self._lists_target)

    def _take_event(self) -> None:
        event = self._engine.next_event(_EVENT_WAIT)
        if isinstance(event, Surveyed):
            self._totals.sampled(event)
            self._surveyed.append(self._assignments(event))
        elif isinstance(event, ProgressEvent):
            self.take_down(event)
        elif isinstance(event, (UploadBegan, UploadEnded)):
            self._memory.record_upload(event)
            if isinstance(event, UploadBegan):
                self._engine.acknowledge(event)
        elif isinstance(event, Learned):
            self._totals.learned[event.name] = event.value
        elif isinstance(event, Closed):
            self._closed[event.organization] = event.error
            self._stop_if_all_are_closed()
        elif isinstance(event, UnitEnded):
            self._under_way -= 1
            if event.error is not None:
                self._error = self._error or event.error
                self._stopping.set()

    def _stop_if_all_are_closed(self) -> None:
        """Where each organization's bucket refuses, the run cannot do anything: by the error of the first."""
        known = self._surveyed_names if self._are_all_known else frozenset()
        if known and known <= set(self._closed) and self._error is None:
            first = next(iter(self._closed.values()))
            many = len(self._closed)
            why = f"{first.why} This holds for all {many} buckets.".strip() if many > 1 else first.why
            self._error = MustStop(first.name, first.what, why=why, cure=first.cure)
            self._stopping.set()

    def take_down(self, event: ProgressEvent) -> None:
        """Write an event down, count it, and show it to the observers."""
        self._memory.record(event)
        self._totals.add(event)
        for observer in self._observers:
            observer.on_event(event)

    def _assignments(self, surveyed: Surveyed) -> Iterator[Assignment]:
        if not surveyed.ledger_holds:
            self._memory.forget_finished(surveyed.organization)
        for shard in shards_of(surveyed.organization, surveyed.length):
            yield self._memory.recall(
                Assignment(
                    shard=shard,
                    target_is_empty=surveyed.target_is_empty,
                    lists_target=surveyed.lists_target,
                    denied=surveyed.denied,
                )
            )
