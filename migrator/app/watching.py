"""Puts `watch` together: whole passes, and between them looks at what came in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from migrator.app.bytes_calls import try_bytes_calls
from migrator.app.engine_factory import engine_of
from migrator.app.migrating import deadline_of, new_run_id
from migrator.app.next_steps import Steps
from migrator.app.options import Options, Prepared, Stopping
from migrator.app.ownership import Ownership
from migrator.app.place_locks import held_to_copy
from migrator.app.planning import (
    abilities_of,
    ability_findings,
    keep_learned,
    lane_findings,
    prepare_to_migrate,
    with_learned,
)
from migrator.app.reporting import first_totals, report_of
from migrator.app.run_state import Record
from migrator.app.store_factory import held_ledger, patience_of, reading, throttle_of
from migrator.app.worker_config import WorkerConfig
from migrator.checks.verify import prove_content
from migrator.config.settings import DiskLocation, settings_lines
from migrator.core.cancellation import InnerFlag
from migrator.core.entities import Entry, RawFile
from migrator.core.errors import MigratorError, StoreError, may_come_back
from migrator.core.outcomes import Finding, Outcome, Problem, ignore_notice
from migrator.core.protocols import Source
from migrator.core.tally import Count, Tally
from migrator.ledger.ledger import Ledger
from migrator.reports.text.watch import IDLE, STOPPED, Watched
from migrator.stores.disk.data_folder import try_out
from migrator.stores.s3.capabilities import Capabilities
from migrator.sync.change_detector import ChangeDetector, Lag, Rest
from migrator.sync.coordinator import Coordinator, Engine, Observer, Totals
from migrator.sync.messages import ProgressEvent
from migrator.sync.preflight import as_forced, refuse_errors

WHOLE_PASS_EVERY = 60.0
"""Seconds between whole passes while raw files come in: what looks brought is compared, and its folders are finished."""
_SHARE_FOR_WHOLE_PASSES = 20
READING = "reading what was copied at both ends"
"""What is shown once the last pass is over, and what it copied is read."""
_LAST_PASSES = 3
_PROVEN_AT_ONCE = 8
_SHOWN_EVERY = 0.5
_FIRST_WAIT, _LONGEST_WAIT = 2.0, 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Until:
    """When watching ends: after so many seconds without anything new, or when the operator says that Bytes is stopped.

    `lists_before`: both ends are listed whole just before that is asked, and only what changed since then after it.
    """

    idle: float | None = None
    stopped: bool = False
    lists_before: bool = False


class Shows(Observer, Protocol):
    """Shows people how it goes; also watches the passes."""

    def now(self, what: str, lag: Lag) -> None:
        """Show what is done at this moment, and how far the target is behind."""
        ...

    def away(self, error: MigratorError) -> None:
        """The server went away, and is waited for."""
        ...


def watch(
    prepared: Prepared, options: Options, until: Until, shows: Shows, has_word: Callable[[], bool], stopping: Stopping
) -> Watched:
    """Keep the target up to date until something ends it. Raises MigratorError for what no waiting would cure."""
    run_id = new_run_id()
    with ExitStack() as stack:
        locations = prepared.locations
        ledger = stack.enter_context(held_ledger(locations, options))
        stack.enter_context(held_to_copy(locations, prepared.owner))
        if isinstance(locations.target, DiskLocation):
            found = try_out(locations.target.root, prepared.owner)
            prepared = replace(prepared, findings=(*prepared.findings, *found))
        tried, denied = try_bytes_calls(prepared, options, ledger, run_id, stopping.event)
        refuse_errors(tried, options.forced)
        tried, prepared = as_forced(tried, options.forced), replace(prepared, denied={**prepared.denied, **denied})
        record = Record(ledger, run_id, first_totals(prepared), relies_on_finished=True)
        stack.enter_context(record.running("watch", locations, options))
        watching = _Watching(prepared, options, until, shows, has_word, stopping, ledger, record, run_id, tried)
        watched = watching.run()
        record.end(watched.exit_status)
    return watched


@dataclass(slots=True, kw_only=True)
class _Crew:
    """What works until the server goes away, or another organization comes. `lookout` None: the source has no folders to look at."""

    engine: Engine
    source: Source
    target: Source
    stopping: InnerFlag
    lookout: ChangeDetector | None


@dataclass(slots=True)
class _Copied:
    """Takes down which raw files a pass copied."""

    entries: list[tuple[str, Entry]] = field(default_factory=list)

    def told(self, told: ProgressEvent) -> None:
        self.entries.extend((told.organization, entry) for entry in told.copied)

    def tick(self) -> None:
        """Only events matter."""


class _Watching:
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
        self._totals = first_totals(prepared)
        self._lag = Lag()
        self._rest = Rest()
        self._passes = self._looks = 0
        self._pass_seconds = self._away_seconds = 0.0
        self._is_unsettled = True
        self._said_at: float | None = None
        self._away_since: float | None = None
        self._is_prepared = True
        self._access: Ownership | None = None
        self._let_in: dict[str, Tally] = {}
        self._abilities = Capabilities()
        self._learned: dict[str, int] = {}

    def run(self) -> Watched:
        wait = _FIRST_WAIT
        while True:
            passes = self._passes
            try:
                with self._crew() as crew:
                    watched = self._go_on(crew)
                if watched is not None:
                    return watched
            except MigratorError as error:
                if not may_come_back(error) and not self._stopping.event.is_set():
                    raise
                wait = _FIRST_WAIT if self._passes > passes else min(wait * 2, _LONGEST_WAIT)
                self._away_since = self._away_since or time.monotonic()
                self._shows.away(error)
                self._sleep(wait, f"waiting for the server: {error.what}")
            if self._stopping.event.is_set():
                return self._watched(self._stopping.signal)
            self._is_prepared = False

    @contextmanager
    def _crew(self) -> Iterator[_Crew]:
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
            engine = stack.enter_context(engine_of(recipe, options, prepared.look.organizations, throttle, flag))
            patience = patience_of(options, flag)
            source = stack.enter_context(reading(locations.source, patience, throttle))
            target = stack.enter_context(reading(locations.target, patience, throttle))
            yield _Crew(engine=engine, source=source, target=target, stopping=flag, lookout=self._lookout(source))

    def _lookout(self, source: Source) -> ChangeDetector | None:
        if not isinstance(self._prepared.locations.source, DiskLocation):
            return None
        lookout = ChangeDetector(source, settle_ns=int(self._options.settle * 1e9))
        for organization in self._prepared.look.organizations:
            lookout.young[organization] = dict(self._record.provisional(organization, ""))
        return lookout

    def _go_on(self, crew: _Crew) -> Watched | None:
        """Until something ends it; None where all has to be opened anew."""
        if self._until.lists_before:
            self._come_close(crew)
        else:
            self._whole_pass(crew)
        self._active_at = time.monotonic()
        while not self._stopping.event.is_set():
            if self._until.stopped and (self._said_at is not None or self._has_word()):
                self._said_at = self._said_at or time.monotonic()
                return None if self._has_another_organization(crew) else self._last(crew)
            if self._has_another_organization(crew):
                return None
            began, cpu = time.monotonic(), time.process_time()
            files = self._look(crew)
            if files:
                self._active_at, self._is_unsettled = time.monotonic(), True
            idle = time.monotonic() - self._active_at
            if self._until.idle is not None and idle >= self._until.idle and self._is_idle(crew):
                return self._watched(IDLE, Steps.ALL)
            if crew.lookout is not None and self._is_pass_due(idle):
                self._whole_pass(crew)
            cost = time.process_time() - cpu if crew.lookout is not None else time.monotonic() - began
            self._sleep(self._until_next(self._rest.after(cost, found=bool(files)), idle), "", crew.lookout)
        return self._watched(self._stopping.signal)

    def _until_next(self, rest: float, idle: float) -> float:
        """A rest that does not sleep through the moment when it is idle."""
        left = self._until.idle - idle if self._until.idle is not None else rest
        return min(rest, max(left, Rest.SHORTEST))

    def _look(self, crew: _Crew) -> int:
        """Find what came in and bring it; how many files that was."""
        self._looks += 1
        if crew.lookout is None:
            return self._whole_pass(crew)
        found = crew.lookout.look()
        self._lag.found(found, time.time_ns())
        if not found.files:
            return 0
        self._shows.now("copying", self._lag)
        totals = Totals()
        assignments = found.assignments(crew.lookout.young)
        self._coordinator(crew, totals, [crew.lookout]).bring(assignments)
        self._keep_learned(totals)
        return found.files

    def _is_pass_due(self, idle: float) -> bool:
        if not self._is_unsettled:
            return False
        since = time.monotonic() - self._passed_at
        is_over = idle > self._options.settle + 1 and since > self._options.settle + 1
        return is_over or since > max(WHOLE_PASS_EVERY, self._pass_seconds * _SHARE_FOR_WHOLE_PASSES)

    def _is_idle(self, crew: _Crew) -> bool:
        """Whether a whole pass finds nothing new either."""
        if self._whole_pass(crew):
            self._active_at = time.monotonic()
            return False
        return not self._stopping.event.is_set()

    def _come_close(self, crew: _Crew) -> None:
        """List both ends whole, and bring what came in meanwhile: what is left for the stop is what comes in from here on."""
        for _ in range(_LAST_PASSES):
            self._whole_pass(crew, is_last=True)
            if crew.lookout is None or self._brings_new(crew, crew.lookout, _Copied()) is not None:
                break

    def _brings_new(self, crew: _Crew, lookout: ChangeDetector, copied: _Copied) -> int | None:
        """Bring what came in since the last look, and count it with the last whole pass; return how many raw files were found.

        None where one did not arrive: the next whole pass has it.
        """
        found = lookout.look()
        if not found.files:
            return 0
        counted = {(name, raw_id) for name, copies in lookout.young.items() for raw_id in copies}
        before, totals = len(copied.entries), Totals()
        self._coordinator(crew, totals, [lookout, copied]).bring(found.assignments(lookout.young))
        self._keep_learned(totals)
        if not totals.overall().is_clean:
            return None
        for name, entry in copied.entries[before:]:
            if (name, entry.raw_id) not in counted:  # one that grew since it was copied was counted then
                self._totals.organizations.setdefault(name, Tally())[Outcome.COPIED].add(entry.size)
        return found.files

    def _whole_pass(self, crew: _Crew, *, is_last: bool = False) -> int:
        """Compare everything but what is finished and unchanged; how many files were copied.

        `is_last`: list all of the target, and look at owners and modes there once more.
        """
        began = time.monotonic()
        organizations = self._prepared.look.organizations
        totals = first_totals(self._prepared)
        self._record.begin_pass(totals)
        self._ledger.record_problems(self._run_id, self._prepared.look.problems)
        if crew.lookout is not None:
            crew.lookout.remember(organizations)
        observers = [crew.lookout] if crew.lookout is not None else []
        self._totals = totals
        coordinator = self._coordinator(crew, totals, observers, lists_target=is_last or crew.lookout is None)
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
        is_young = crew.lookout is not None and any(crew.lookout.young.values())
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
        for told in self._access.events():
            coordinator.take_down(told)
            self._let_in.setdefault(told.organization, Tally()).merge(told.tally)

    def _coordinator(
        self, crew: _Crew, totals: Totals, observers: Sequence[Observer], *, lists_target: bool = False
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

    def _last(self, crew: _Crew) -> Watched:
        """Bytes is stopped: bring the rest, read what was brought at both ends, and see that nothing came in meanwhile."""
        said_at = self._said_at = self._said_at or time.monotonic()
        copied = _Copied()
        still_writes = False
        is_brought = self._until.lists_before and self._brings_the_rest(crew, copied)
        for _ in range(_LAST_PASSES if not is_brought else 0):
            self._shows.now("the last pass", self._lag)
            self._last_pass(crew, copied)
            found = crew.lookout.look().files if crew.lookout is not None else 0
            still_writes = bool(found)
            is_open = self._totals.overall()[Outcome.FAILED].files > 0  # what failed once may not fail twice
            if not (found or is_open) or self._stopping.event.is_set():
                break
        self._shows.now(READING, self._lag)
        proven, unproven = self._prove(crew, copied.entries)
        ended_by = self._stopping.signal or STOPPED
        is_proven = not unproven and not still_writes
        watched = self._watched(ended_by, Steps.AFTER_THE_STOP if is_proven else Steps.NONE)
        is_over = is_proven and watched.exit_status == 0
        return replace(
            watched,
            downtime_seconds=time.monotonic() - said_at,
            proven=proven,
            unproven=tuple(unproven),
            still_writes=still_writes,
            settings_lines=settings_lines(self._prepared.locations.target) if is_over else (),
            newest=tuple(RawFile(organization, entry.raw_id) for organization, entry in copied.entries),
        )

    def _brings_the_rest(self, crew: _Crew, copied: _Copied) -> bool:
        """Bring what came in since both ends were listed; return False where that takes whole passes."""
        self._shows.now("the last pass", self._lag)
        # Where nothing is new, nothing else asks whether the target is still there.
        for organization in self._prepared.movable[:1]:
            crew.target.is_empty(organization)
        if crew.lookout is None:
            self._last_pass(crew, copied, lists_target=False)
            return self._totals.overall().is_clean
        return any(self._brings_new(crew, crew.lookout, copied) == 0 for _ in range(_LAST_PASSES))

    def _last_pass(self, crew: _Crew, copied: _Copied, *, lists_target: bool = True) -> None:
        """Compare everything once more; without `lists_target`, only where the source is not as it was."""
        totals = first_totals(self._prepared)
        self._record.begin_pass(totals)
        observers: list[Observer] = [copied]
        if crew.lookout is not None:
            crew.lookout.remember(self._prepared.look.organizations)
            observers.append(crew.lookout)
        self._totals = totals
        coordinator = self._coordinator(crew, totals, observers, lists_target=lists_target)
        self._let_bytes_in(coordinator, totals, again=lists_target)
        coordinator.run(self._prepared.look.organizations)
        self._keep_learned(totals)
        self._passes += 1

    def _keep_learned(self, totals: Totals) -> None:
        """Write down at once what workers learned of the server in a pass: `watch` may run for days."""
        self._learned.update(totals.learned)
        keep_learned(self._prepared, self._ledger, self._abilities, totals.learned and self._learned)

    def _prove(self, crew: _Crew, copied: Sequence[tuple[str, Entry]]) -> tuple[Count, list[Problem]]:
        """Read what was copied at both ends, whatever was proven on its way."""
        proven, unproven = Count(), []

        def prove(one: tuple[str, Entry]) -> tuple[RawFile, int, str]:
            raw_file = RawFile(one[0], one[1].raw_id)
            return raw_file, one[1].size, why_not_equal(raw_file, crew.source, crew.target)

        with ThreadPoolExecutor(_PROVEN_AT_ONCE, thread_name_prefix="prove") as pool:
            for raw_file, size, reason in pool.map(prove, copied):
                if not reason:
                    proven.add(size)
                    continue
                where = crew.source.describe(raw_file)
                unproven.append(Problem("unproven", raw_file.organization, where, reason, raw_file.raw_id, size))
        return proven, unproven

    def _has_another_organization(self, crew: _Crew) -> bool:
        if self._options.organizations:
            return False
        known = self._prepared.look.organizations
        return any(name not in known for name in crew.source.organizations(ignore_notice))

    def _sleep(self, seconds: float, what: str, lookout: ChangeDetector | None = None) -> None:
        """Rest, unless a glance shows that something came in."""
        now = time.monotonic()
        until, glance_at = now + seconds, now + Rest.SHORTEST
        while not self._stopping.event.is_set() and (left := until - time.monotonic()) > 0:
            if self._until.stopped and self._said_at is None and self._has_word():
                self._said_at = time.monotonic()
            if self._said_at is not None and not what:
                return
            self._shows.now(what, self._lag)
            for observer in self._deadline:
                observer.tick()
            self._stopping.event.wait(min(left, _SHOWN_EVERY))
            if lookout is not None and time.monotonic() >= glance_at:
                if lookout.glance(Rest.GLANCE):
                    return
                glance_at = time.monotonic() + Rest.SHORTEST

    def _watched(self, ended_by: str, steps: Steps = Steps.NONE) -> Watched:
        seconds = time.monotonic() - self._began
        report = report_of(
            "watch",
            self._run_id,
            self._prepared,
            self._totals,
            seconds,
            self._stopping,
            findings=(
                *with_learned(self._findings, self._abilities, self._learned),
                *(self._access.findings() if self._access is not None else ()),
            ),
            final=not self._stopping.event.is_set(),
            by_size=self._options.compare_by_size,
            steps=steps,
        )
        return Watched(
            report=report,
            ended_by=ended_by,
            seconds=seconds,
            passes=self._passes,
            looks=self._looks,
            copied=self._lag.copied,
            lag_files=self._lag.files,
            lag_seconds=self._lag.seconds,
            largest_lag_seconds=self._lag.largest_seconds,
            away_seconds=self._away_seconds,
        )


def why_not_equal(raw_file: RawFile, source: Source, target: Source) -> str:
    """Read both ends at this moment; empty where they are equal."""
    try:
        here, there = source.stat(raw_file), target.stat(raw_file)
        if here is None or there is None:
            return f"it is not at the {'source' if here is None else 'target'}"
        proof = prove_content(raw_file, source, here, target, there)
    except StoreError as error:
        return error.what
    return "" if proof.is_proven else proof.reason
