"""One run: organizations → units → engine → events → ledger, totals and observers. It alone writes the ledger."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from migrator.core.cancellation import Flag
from migrator.core.entities import FinishedFolder, shards_of
from migrator.core.errors import MigratorError, MustStop
from migrator.core.notices import Problem
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
from migrator.sync.totals import Totals

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
