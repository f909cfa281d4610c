"""The passes of `watch`: whole ones, looks at what came in, and the last one."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from migrator.app.bytes_call_replays import try_bytes_calls
from migrator.app.engine_factory import engine_of
from migrator.app.first_check_result import Prepared
from migrator.app.first_checks import abilities_of, ability_findings, keep_learned, lane_findings, prepare_to_migrate
from migrator.app.migrating import deadline_of
from migrator.app.options import Options
from migrator.app.ownership import Ownership
from migrator.app.reporting import totals_of
from migrator.app.reread_both_ends import read_both
from migrator.app.run_memory import Record
from migrator.app.stopping import Stopping
from migrator.app.store_factory import patience_of, reading, throttle_of
from migrator.app.watch_end import Shows, Until
from migrator.app.worker_config import WorkerConfig
from migrator.config.locations import DiskLocation
from migrator.core.cancellation import InnerFlag
from migrator.core.entities import Entry, Provisional, RawFile, RawId
from migrator.core.findings import Finding
from migrator.core.notices import Problem, ignore_notice
from migrator.core.outcomes import Outcome
from migrator.core.protocols import Source
from migrator.core.tally import Count, Tally
from migrator.ledger.ledger import Ledger
from migrator.stores.s3.capabilities import Capabilities
from migrator.sync.bucket_change_detector import ListingDetector
from migrator.sync.coordinator import Coordinator, Engine, Observer
from migrator.sync.folder_change_detector import ChangeDetector, Changes, Lag, Rest
from migrator.sync.messages import ProgressEvent
from migrator.sync.source_overview import as_forced
from migrator.sync.totals import Totals


@dataclass(slots=True, kw_only=True)
class Crew:
    """What works until the server goes away, or another organization comes.

    `detector` tells what is new at a source on disk, `listing` at one on S3 where both ends are listed before the stop; else None.
    """

    engine: Engine
    source: Source
    target: Source
    stopping: InnerFlag
    detector: ChangeDetector | None
    listing: ListingDetector | None


@dataclass(slots=True)
class CopiedFiles:
    """Takes down which raw files a pass copied."""

    entries: list[tuple[str, Entry]] = field(default_factory=list)

    def on_event(self, event: ProgressEvent) -> None:
        """Take down what was copied."""
        self.entries.extend((event.organization, entry) for entry in event.copied)

    def tick(self) -> None:
        """Only events matter."""


class WatchPasses:
    """What watching has open and knows, and the passes that it makes."""

    def __init__(
        self,
        prepared: Prepared,
        options: Options,
        until: Until,
        shows: Shows,
        has_word: Callable[[], bool],
        stopping: Stopping,
        ledger: Ledger,
        record: Record,
        run_id: str,
        tried: tuple[Finding, ...],
    ) -> None:
        self._prepared, self._options, self._until = prepared, options, until
        self._shows, self._has_word, self._stopping = shows, has_word, stopping
        self._ledger, self._record, self._run_id = ledger, record, run_id
        self._deadline: Sequence[Observer] = deadline_of(options, stopping)
        self._tried = tried
        self._findings: tuple[Finding, ...] = (*prepared.findings, *tried)
        self._began = self._active_at = self._passed_at = time.monotonic()
        self._totals = totals_of(prepared.overview)
        self._lag = Lag()
        self._rest = Rest()
        self._passes = self._rounds = 0
        self._pass_seconds = self._away_seconds = 0.0
        self._is_unsettled = True
        self._said_at: float | None = None
        self._away_since: float | None = None
        self._is_prepared = True
        self._access: Ownership | None = None
        self._let_in: dict[str, Tally] = {}
        self._abilities = Capabilities()
        self._learned: dict[str, int] = {}

    @contextmanager
    def _crew(self) -> Iterator[Crew]:
        """Open everything; anew after an error, or for another organization, whose bucket's name may be invalid."""
        flag, options = InnerFlag(self._stopping.event), self._options
        if not self._is_prepared:
            forced = replace(options, forced=options.forced | {"bucket-names"}, allow_empty=True)
            self._prepared = prepare_to_migrate(self._prepared.locations, forced, self._stopping)
        prepared, locations = self._prepared, self._prepared.locations
        with ExitStack() as stack:
            if not self._is_prepared:  # another organization may have brought a bucket that was not tried yet
                tried, denied = try_bytes_calls(prepared, options, self._ledger, self._run_id, flag)
                prepared = replace(prepared, denied={**prepared.denied, **denied})
                self._tried = as_forced(tried, options.forced) or self._tried
            self._abilities, prepared = abilities_of(prepared, options, self._ledger, self._run_id, flag)
            self._findings = (
                *prepared.findings,
                *self._tried,
                *self._ledger.findings,
                *ability_findings(self._abilities),
                *lane_findings(locations),
            )
            throttle = throttle_of(options, flag)
            recipe = replace(
                WorkerConfig.of(prepared, options, run_id=self._run_id, abilities=self._abilities), tells_copied=True
            )
            engine = stack.enter_context(engine_of(recipe, prepared.overview.organizations, throttle, flag))
            patience = patience_of(options, flag)
            source = stack.enter_context(reading(locations.source, patience, throttle))
            target = stack.enter_context(reading(locations.target, patience, throttle))
            detector = self._detector(source)
            listing = ListingDetector(source) if detector is None and self._until.lists_before else None
            yield Crew(engine=engine, source=source, target=target, stopping=flag, detector=detector, listing=listing)

    def _detector(self, source: Source) -> ChangeDetector | None:
        if not isinstance(self._prepared.locations.source, DiskLocation):
            return None
        detector = ChangeDetector(source, settle_ns=int(self._options.settle * 1e9))
        for organization in self._prepared.overview.organizations:
            detector.young[organization] = dict(self._ledger.provisional(organization))
        return detector

    def _round(self, crew: Crew) -> int:
        """Find what came in and bring it; how many files that was."""
        self._rounds += 1
        if crew.detector is None:
            return self._whole_pass(crew)
        found = crew.detector.changes()
        self._lag.found(found, time.time_ns())
        if not found.files:
            return 0
        self._shows.now("copying", self._lag)
        totals = Totals()
        assignments = found.assignments(crew.detector.young)
        self._coordinator(crew, totals, [crew.detector]).bring(assignments)
        self._keep_learned(totals)
        return found.files

    def _brings_new(self, crew: Crew, detector: ChangeDetector, copied: CopiedFiles) -> int | None:
        """Bring what came in since the last look, and count it with the last whole pass; return how many raw files were found.

        None where one did not arrive: the next whole pass has it.
        """
        found = detector.changes()
        return self._bring(crew, found, [detector, copied], copied, detector.young) if found.files else 0

    def _bring(
        self,
        crew: Crew,
        found: Changes,
        observers: Sequence[Observer],
        copied: CopiedFiles,
        young: Mapping[str, Mapping[RawId, Provisional]],
    ) -> int | None:
        """As `_brings_new`, for what was found. `young`: copies that may be of raw files still being written."""
        counted = {(name, raw_id) for name, copies in young.items() for raw_id in copies}
        before, totals = len(copied.entries), Totals()
        self._coordinator(crew, totals, observers).bring(found.assignments(young))
        self._keep_learned(totals)
        if not totals.overall().is_clean:
            return None
        for name, entry in copied.entries[before:]:
            if (name, entry.raw_id) not in counted:  # one that grew since it was copied was counted then
                self._totals.organizations.setdefault(name, Tally())[Outcome.COPIED].add(entry.size)
        return found.files

    def _whole_pass(self, crew: Crew, *, is_last: bool = False) -> int:
        """Compare everything but what is finished and unchanged; how many files were copied.

        `is_last`: list all of the target, and look at owners and modes there once more.
        """
        began = time.monotonic()
        organizations = self._prepared.overview.organizations
        totals = totals_of(self._prepared.overview)
        self._record.begin_pass(totals)
        self._ledger.record_problems(self._run_id, self._prepared.overview.problems)
        if crew.detector is not None:
            crew.detector.remember(organizations)
        observers = [crew.detector] if crew.detector is not None else []
        self._totals = totals
        coordinator = self._coordinator(crew, totals, observers, lists_target=is_last or crew.detector is None)
        self._let_bytes_in(coordinator, totals, again=is_last)
        coordinator.run(organizations)
        self._keep_learned(totals)
        tally = totals.overall()
        self._passes += 1
        self._passed_at = time.monotonic()
        self._pass_seconds = self._passed_at - began
        if self._away_since is not None:
            self._away_seconds += self._passed_at - self._away_since
            self._away_since = None
        is_young = crew.detector is not None and any(crew.detector.young.values())
        self._is_unsettled = is_young or bool(tally[Outcome.FAILED].files or tally[Outcome.PENDING].files)
        self._lag.files = tally[Outcome.FAILED].files + tally[Outcome.PENDING].files
        return tally[Outcome.COPIED].files

    def _let_bytes_in(self, coordinator: Coordinator, totals: Totals, *, again: bool = False) -> None:
        """Look at owners and modes at a target on disk before the first pass, and `again` before a last one; count what was found."""
        is_done = self._access is not None and not again
        earlier, self._let_in = self._let_in, {}
        for name, tally in earlier.items():
            counted = self._let_in.setdefault(name, Tally())
            counted.owner_corrected.merge(tally.owner_corrected)
            if is_done:
                counted.closed.merge(tally.closed)
            totals.add(ProgressEvent(organization=name, tally=counted))
        if is_done:
            return
        location = self._prepared.locations.target
        self._access = Ownership(location, self._options, corrects=True, stopping=self._stopping.event)
        for event in self._access.events():
            coordinator.take_down(event)
            self._let_in.setdefault(event.organization, Tally()).merge(event.tally)

    def _coordinator(
        self, crew: Crew, totals: Totals, observers: Sequence[Observer], *, lists_target: bool = False
    ) -> Coordinator:
        """Return what works through a pass; `lists_target`: all of the target is listed, and not only where something is new."""
        return Coordinator(
            engine=crew.engine,
            memory=self._record,
            observers=[self._lag, self._shows, *observers, *self._deadline],
            totals=totals,
            stopping=crew.stopping,
            lists_target=lists_target,
        )

    def _last_pass(self, crew: Crew, copied: CopiedFiles, *, lists_target: bool = True) -> None:
        """Compare everything once more; without `lists_target`, only where the source is not as it was."""
        totals = totals_of(self._prepared.overview)
        self._record.begin_pass(totals)
        observers: list[Observer] = [copied]
        if crew.detector is not None:
            crew.detector.remember(self._prepared.overview.organizations)
            observers.append(crew.detector)
        self._totals = totals
        coordinator = self._coordinator(crew, totals, observers, lists_target=lists_target)
        self._let_bytes_in(coordinator, totals, again=lists_target)
        coordinator.run(self._prepared.overview.organizations)
        self._keep_learned(totals)
        self._passes += 1

    def _keep_learned(self, totals: Totals) -> None:
        """Write down at once what workers learned of the server in a pass: `watch` may run for days."""
        self._learned.update(totals.learned)
        keep_learned(self._prepared, self._ledger, self._abilities, totals.learned and self._learned)

    def _prove(self, crew: Crew, copied: Sequence[tuple[str, Entry]]) -> tuple[Count, list[Problem]]:
        """Read what was copied at both ends, or a sample of it, whatever was proven on its way."""
        proven, unproven = Count(), []
        entries = {RawFile(name, entry.raw_id): entry for name, entry in copied}
        for raw_file, reason in read_both(self._drawn(list(entries)), crew.source, crew.target):
            size = entries[raw_file].size
            if not reason:
                proven.add(size)
                continue
            where = crew.source.describe(raw_file)
            unproven.append(Problem("unproven", raw_file.organization, where, reason, raw_file.raw_id, size))
        return proven, unproven

    def _drawn(self, raw_files: list[RawFile]) -> list[RawFile]:
        """Return those that are read: all, or as many as were asked for, spread over all."""
        most = self._until.reads
        return raw_files if most is None or len(raw_files) <= most else random.sample(raw_files, most)  # no secret

    def _has_another_organization(self, crew: Crew) -> bool:
        if self._options.organizations:
            return False
        known = self._prepared.overview.organizations
        return any(name not in known for name in crew.source.organizations(ignore_notice))
