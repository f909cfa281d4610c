"""Puts `watch` together: whole passes, and between them looks at what came in."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from migrator.app.first_check_result import Prepared
from migrator.app.first_checks import with_learned
from migrator.app.migrating import new_run_id, try_writing
from migrator.app.next_steps import Steps
from migrator.app.options import Options
from migrator.app.reporting import report_of, totals_of
from migrator.app.run_memory import Record, fingerprint_of
from migrator.app.stopping import Stopping
from migrator.app.store_factory import held_ledger
from migrator.app.watch_end import Shows, Until
from migrator.app.watch_passes import CopiedFiles, Crew, WatchPasses
from migrator.config.locations import settings_lines
from migrator.core.entities import RawFile
from migrator.core.errors import MigratorError, may_come_back
from migrator.core.outcomes import Outcome
from migrator.reports.text.watch import IDLE, STOPPED, Watched
from migrator.sync.folder_change_detector import ChangeDetector, Rest

WHOLE_PASS_EVERY = 60.0
"""Seconds between whole passes while raw files come in: what looks brought is compared, and its folders are finished."""
_SHARE_FOR_WHOLE_PASSES = 20
READING = "reading what was copied at both ends"
"""What is shown once the last pass is over, and what it copied is read."""
_LAST_PASSES = 3
_SHOWN_EVERY = 0.5
_FIRST_WAIT, _LONGEST_WAIT = 2.0, 60.0


def watch(
    prepared: Prepared, options: Options, until: Until, shows: Shows, has_word: Callable[[], bool], stopping: Stopping
) -> Watched:
    """Keep the target up to date until something ends it. Raises MigratorError for what no waiting would cure."""
    run_id = new_run_id()
    with ExitStack() as stack:
        locations = prepared.locations
        ledger = stack.enter_context(held_ledger(locations, options))
        tried, prepared = try_writing(prepared, options, ledger, run_id, stopping, stack)
        record = Record(ledger, run_id, totals_of(prepared.overview), relies_on_finished=True)
        stack.enter_context(
            record.running("watch", locations.source, locations.target, fingerprint_of(locations, options))
        )
        watching = _Watching(prepared, options, until, shows, has_word, stopping, ledger, record, run_id, tried)
        watched = watching.run()
        record.end(watched.exit_status)
    return watched


class _Watching(WatchPasses):
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

    def _go_on(self, crew: Crew) -> Watched | None:
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
            files = self._round(crew)
            if files:
                self._active_at, self._is_unsettled = time.monotonic(), True
            idle = time.monotonic() - self._active_at
            if self._until.idle is not None and idle >= self._until.idle and self._is_idle(crew):
                return self._watched(IDLE, Steps.ALL)
            if crew.detector is not None and self._is_pass_due(idle):
                self._whole_pass(crew)
            cost = time.process_time() - cpu if crew.detector is not None else time.monotonic() - began
            self._sleep(self._until_next(self._rest.after(cost, found=bool(files)), idle), "", crew.detector)
        return self._watched(self._stopping.signal)

    def _until_next(self, rest: float, idle: float) -> float:
        """A rest that does not sleep through the moment when it is idle."""
        left = self._until.idle - idle if self._until.idle is not None else rest
        return min(rest, max(left, Rest.SHORTEST))

    def _is_pass_due(self, idle: float) -> bool:
        if not self._is_unsettled:
            return False
        since = time.monotonic() - self._passed_at
        is_over = idle > self._options.settle + 1 and since > self._options.settle + 1
        return is_over or since > max(WHOLE_PASS_EVERY, self._pass_seconds * _SHARE_FOR_WHOLE_PASSES)

    def _is_idle(self, crew: Crew) -> bool:
        """Whether a whole pass finds nothing new either."""
        if self._whole_pass(crew):
            self._active_at = time.monotonic()
            return False
        return not self._stopping.event.is_set()

    def _come_close(self, crew: Crew) -> None:
        """List both ends whole, and bring what came in meanwhile: what is left for the stop is what comes in from here on."""
        for _ in range(_LAST_PASSES):
            if crew.listing is not None:
                crew.listing.remember(self._prepared.overview.organizations)
            self._whole_pass(crew, is_last=True)
            if crew.detector is None or self._brings_new(crew, crew.detector, CopiedFiles()) is not None:
                break

    def _last(self, crew: Crew) -> Watched:
        """Bytes is stopped: bring the rest, read what was brought at both ends, and see that nothing came in meanwhile."""
        said_at = self._said_at = self._said_at or time.monotonic()
        copied = CopiedFiles()
        still_writes = False
        is_brought = self._until.lists_before and self._brings_the_rest(crew, copied)
        for _ in range(_LAST_PASSES if not is_brought else 0):
            self._shows.now("the last pass", self._lag)
            self._last_pass(crew, copied)
            found = crew.detector.changes().files if crew.detector is not None else 0
            still_writes = bool(found)
            is_open = self._totals.overall()[Outcome.FAILED].files > 0  # what failed once may not fail twice
            if not (found or is_open) or self._stopping.event.is_set():
                break
        self._shows.now(READING, self._lag)
        proven, unproven = self._prove(crew, copied.entries)
        still_writes = still_writes or (crew.detector is not None and crew.detector.changes().files > 0)
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

    def _brings_the_rest(self, crew: Crew, copied: CopiedFiles) -> bool:
        """Bring what came in since both ends were listed; return False where that takes whole passes."""
        self._shows.now("the last pass", self._lag)
        # Where nothing is new, nothing else asks whether the target is still there.
        for organization in self._prepared.movable[:1]:
            crew.target.is_empty(organization)
        if crew.detector is None:
            is_clean = crew.listing is not None and self._totals.overall().is_clean
            found = crew.listing.changes() if crew.listing is not None and is_clean else None
            if found is not None:
                return self._bring(crew, found, [copied], copied, {}) is not None
            self._last_pass(crew, copied, lists_target=False)
            return self._totals.overall().is_clean
        return any(self._brings_new(crew, crew.detector, copied) == 0 for _ in range(_LAST_PASSES))

    def _sleep(self, seconds: float, what: str, detector: ChangeDetector | None = None) -> None:
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
            if detector is not None and time.monotonic() >= glance_at:
                if detector.glance(Rest.GLANCE):
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
            rounds=self._rounds,
            copied=self._lag.copied,
            lag_files=self._lag.files,
            lag_seconds=self._lag.seconds,
            largest_lag_seconds=self._lag.largest_seconds,
            away_seconds=self._away_seconds,
        )
