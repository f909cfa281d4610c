"""Whole migrations between any two stores, as the program puts them together, in as few threads as there can be."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter

from migrator.checks.sample import VerifySample
from migrator.checks.verify_tracking import Proofs
from migrator.config.time_filter import ANY_AGE, Ages
from migrator.core.cancellation import Flag, StopFlag
from migrator.core.entities import FinishedFolder, ProvenShard, Provisional, RawId, Shard
from migrator.core.outcomes import Outcome, Result, Step
from migrator.core.protocols import Sink, Source, Target
from migrator.sync.action_tables import BY_CONTENT, Rules
from migrator.sync.channel import Acknowledgements, Line
from migrator.sync.coordinator import Coordinator, Observer
from migrator.sync.messages import Assignment, Event, ProgressEvent, Unit, UploadBegan, UploadEnded
from migrator.sync.shard.folder_tracking import FolderTracker
from migrator.sync.shard.pass_settings import Pass
from migrator.sync.totals import Totals
from migrator.sync.worker import Worker
from migrator.transfer.batch_sink import BatchSink
from migrator.transfer.file_copier import FileCopier
from migrator.transfer.retry import RetryPolicy
from tests.fakes import SECOND_NS, Clock, quick_patience


def finished_folder(organization: str, prefix: str, number: int = 1) -> FinishedFolder:
    """What a ledger may have of a folder, with digests that no folder has."""
    return FinishedFolder(
        organization=organization,
        prefix=prefix,
        newest_ns=17 * 10**17 + number,
        source=f"{number:08}",
        target=f"{number:+08}",
        is_own=number % 2 == 0,
        files=number,
        bytes=number * number,
    )


@dataclass
class Remembered:
    """A run's memory in dictionaries."""

    folders: dict[tuple[str, str], FinishedFolder] = field(default_factory=dict)
    copies: dict[tuple[str, RawId], Provisional] = field(default_factory=dict)
    shards: dict[tuple[str, str], ProvenShard] = field(default_factory=dict)
    told: list[ProgressEvent] = field(default_factory=list)
    when_told: Callable[[], object] = lambda: None

    def finished(self, organization: str) -> Mapping[str, FinishedFolder]:
        return {name: row for (owner, name), row in self.folders.items() if owner == organization}

    def forget_finished(self, organization: str) -> None:
        for key in [key for key in self.folders if key[0] == organization]:
            del self.folders[key]

    def recall(self, assignment: Assignment) -> Assignment:
        organization, prefix = assignment.shard
        copies = self.copies.items()
        return replace(
            assignment,
            finished={name: row for name, row in self.finished(organization).items() if name.startswith(prefix)},
            provisional={
                name: row for (owner, name), row in copies if owner == organization and name.startswith(prefix)
            },
            proven=self.shards.get((organization, prefix)),
        )

    def record_upload(self, event: UploadBegan | UploadEnded) -> None:
        """No store of these tests has uploads that could go on."""

    def record(self, told: ProgressEvent) -> None:
        self.told.append(told)
        for folder in told.outdated:
            self.folders.pop(folder, None)
        self.folders.update({(row.organization, row.prefix): row for row in told.finished})
        self.copies.update({(row.organization, row.raw_id): row for row in told.provisional})
        for key in told.settled:
            self.copies.pop(key, None)
        self.shards.update({(row.organization, row.prefix): row for row in told.proven})
        self.when_told()

    def copy(self) -> Remembered:
        return Remembered(dict(self.folders), dict(self.copies))


class InTurn:
    """An engine in the caller's thread: what was submitted is worked through when an event is asked for, the same way each time."""

    capacity = 4

    def __init__(self, whole: Pass, stopping: Flag) -> None:
        self._pass = whole
        self._units: deque[Unit] = deque()
        self._events: deque[Event] = deque()
        self._acknowledged = Acknowledgements(1)
        self._line = Line(self._put, 0, self._acknowledged, stopping)

    def submit(self, unit: Unit) -> None:
        self._units.append(unit)

    def next_event(self, timeout: float) -> Event | None:
        if not self._events:
            Worker(self._pass, self, self._line).run()
        return self._events.popleft() if self._events else None

    def acknowledge(self, event: UploadBegan) -> None:
        """Was done when it was told: nobody else could come to it meanwhile."""

    def _put(self, event: Event) -> None:
        self._events.append(event)
        if isinstance(event, UploadBegan):
            self._acknowledged.acknowledge(event)

    def take(self, *, wait: bool) -> Unit | None:
        return self._units.popleft() if self._units else None


def transfer_between(
    source: Source, target: Target, *, jobs: int = 1, patience: RetryPolicy | None = None
) -> BatchSink:
    return BatchSink(target, FileCopier(source, target, jobs=jobs, patience=patience or quick_patience()), None)


def run_pass(
    source: Source,
    target: Target,
    *,
    memory: Remembered | None = None,
    sink: Sink | None = None,
    rules: Rules = BY_CONTENT,
    refused: frozenset[str] = frozenset(),
    settle: float = 0.0,
    clock: Clock | None = None,
    stopping: Flag | None = None,
    jobs: int = 1,
    observers: Sequence[Observer] = (),
    patience: RetryPolicy | None = None,
    totals: Totals | None = None,
    ages: Ages = ANY_AGE,
    sample: VerifySample | None = None,
    proofs: Proofs | None = None,
    lists_target: bool = False,
    rehearse: Callable[[str, Step], Result] | None = None,
    pick: Callable[[Sequence[Shard]], Shard] = itemgetter(-1),
) -> Totals:
    """One run from end to end. Raises what ends it; `totals` then has what was told."""
    totals = totals if totals is not None else Totals()
    stopping = stopping or StopFlag()
    sink = sink or transfer_between(source, target, jobs=jobs, patience=patience)
    whole = Pass(
        source=source,
        target=target,
        sink=sink,
        rules=rules,
        refused=refused,
        settle_ns=int(settle * SECOND_NS),
        stopping=stopping,
        clock_ns=(clock or Clock()).ns,
        ages=ages,
        takes=sample and sample.takes,
        tracking=FolderTracker if proofs is None else proofs.track,
        rehearse=rehearse,
        pick=pick,
    )
    organizations = list(source.organizations(lambda notice: None))
    coordinator = Coordinator(
        engine=InTurn(whole, stopping),
        memory=memory if memory is not None else Remembered(),
        observers=observers,
        totals=totals,
        stopping=stopping,
        lists_target=lists_target,
    )
    try:
        coordinator.run(organizations)
    finally:
        sink.close()
    return totals


def counts(totals: Totals) -> dict[str, int]:
    """Files by outcome, and beside it what is not 0; outcomes that did not happen are left out."""
    overall = totals.overall()
    found = {outcome.value: overall[outcome].files for outcome in Outcome}
    found["extra"], found["stray"] = overall.extra.files, overall.stray.files
    return {name: number for name, number in found.items() if number}
