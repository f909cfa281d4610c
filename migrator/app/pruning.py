"""Puts `prune` together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace

from migrator.app.first_checks import prepare_ends, refuse_idle_limits, undated_findings
from migrator.app.migrating import deadline_of, new_run_id
from migrator.app.options import Options
from migrator.app.place_locks import Check, Ground, held_to_prune
from migrator.app.prune_preflight import prune_findings, refuse_running
from migrator.app.prune_request import PruneWish, guard_findings, is_confirmed
from migrator.app.prune_source_in_use import AsksBytes, refuse_unknown
from migrator.app.prune_workers import prune_workers
from migrator.app.stopping import Stopping
from migrator.app.store_factory import held_ledger, reading, reading_both
from migrator.checks.prune.coordinator import PruneCoordinator
from migrator.checks.prune.deletion_manifest import ManifestOfRun
from migrator.checks.prune.tallies import Pruned
from migrator.config.locations import Locations
from migrator.core.cancellation import InnerFlag
from migrator.core.errors import Interrupted, MigratorError, MustStop
from migrator.core.findings import Finding
from migrator.doctor.finding_shorthands import warned
from migrator.ledger.ledger import Ledger
from migrator.reports.report import status_when_interrupted
from migrator.reports.stored_form import checks_as_kept, lines_as_kept
from migrator.reports.text.prune import PruneReport, prune_lines
from migrator.sync.coordinator import Observer


def prune(
    locations: Locations, options: Options, wish: PruneWish, show: Callable[[str, int], None], stopping: Stopping
) -> PruneReport:
    """Prove, and delete what is proven if the number is confirmed. Raises MigratorError where nothing was deleted."""
    started, run_id = time.monotonic(), new_run_id()
    deadline = deadline_of(options, stopping)
    refuse_idle_limits((locations.source, locations.target), options, writes=False)
    refuse_unknown(wish.place, options)
    with reading_both(locations, options, stopping.event) as (source, target, patience, throttle):
        prepared = prepare_ends(locations, options, source, target, to_write=False)
    manifest = ManifestOfRun(options.state.path / "manifests" / run_id) if wish.may_delete else None
    halt = InnerFlag(stopping.event)
    with ExitStack() as stack:
        if manifest is not None:
            stack.enter_context(manifest)  # left behind the workers, which write into it
        workers = stack.enter_context(
            prune_workers(prepared, options, wish, run_id=run_id, manifest=manifest, throttle=throttle, halt=halt)
        )
        source = stack.enter_context(reading(prepared.locations.source, patience, throttle))
        target = stack.enter_context(reading(prepared.locations.target, patience, throttle))
        ground = Ground(prepared=prepared, source=source, target=target, patience=patience)
        findings = prune_findings(ground, prepared.findings, options, wish, stopping)
        if wish.api is not None:
            wish.api.sign_in()
        coordinator = PruneCoordinator(workers, halt=halt, count=_counting(show, deadline), listed=wish.listed)
        run = _Run(run_id, ground, findings, options, wish, stopping, coordinator, manifest)
        error = run.go(stack)
        report = replace(
            run.report(locations),
            seconds=time.monotonic() - started,
            started=time.time() - (time.monotonic() - started),
            interrupted_by=stopping.signal,
            error=error,
        )
        run.keep(report)
    return report


class _Run:
    """One run, once both ends were looked at: the proof of everything, and what follows it. With a manifest, raw files may go."""

    def __init__(
        self,
        run_id: str,
        ground: Ground,
        findings: tuple[Finding, ...],
        options: Options,
        wish: PruneWish,
        stopping: Stopping,
        coordinator: PruneCoordinator,
        manifest: ManifestOfRun | None,
    ) -> None:
        self._run_id, self._ground, self._options, self._wish = run_id, ground, options, wish
        self._findings, self._stopping = findings, stopping
        self._coordinator, self._manifest = coordinator, manifest
        self._asks = AsksBytes(wish.api) if wish.api is not None else None
        self.is_dry = True
        self._ledger: Ledger | None = None

    def keep(self, report: PruneReport) -> None:
        """Have the ledger keep what the run shows at its end; what it did is kept anyway."""
        if self._ledger is not None and not self.is_dry:
            lines = prune_lines(report, self._wish.command)
            with suppress(MigratorError):
                self._ledger.save_report(self._run_id, {**checks_as_kept(report.findings), **lines_as_kept(lines)})

    def go(self, stack: ExitStack) -> MigratorError | None:
        """Prove and delete; return what ended it once something may be deleted.

        Raises:
            MigratorError: If something ends it before that.
        """
        ledger, check = None, None
        if self._manifest is not None:
            ledger = self._ledger = stack.enter_context(held_ledger(self._ground.locations, self._options))
            refuse_running(self._ground, self._options)
            check = stack.enter_context(held_to_prune(self._ground, self._run_id, self._wish.command, self._stopping))
            self._manifest.prepare()
        try:
            self._prove()
            pruned = self._coordinator.pruned
            if ledger is not None and is_confirmed(self._wish, pruned, pruned.overall().deletable.files):
                self.is_dry = False
                self._delete(ledger, check)
        except Interrupted:
            return None
        except MigratorError as error:
            if self.is_dry:
                raise
            return error
        return None

    def report(self, locations: Locations) -> PruneReport:
        """Return what it came to, but for times and what ended it."""
        pruned = self._coordinator.pruned
        return PruneReport(
            run=self._run_id,
            source=str(locations.source),
            target=str(locations.target),
            dry_run=self.is_dry,
            pruned=pruned,
            findings=(
                *self._findings,
                *undated_findings(self._options.ages, pruned.undated, deletes=True),
                *guard_findings(self._wish, pruned),
                *_remover_findings(pruned),
            ),
            manifest=str(self._manifest.folder) if self._manifest and not self.is_dry else None,
            seconds=0.0,
        )

    def _prove(self) -> None:
        sample = self._coordinator.prove(self._ground.organizations, self._manifest)
        if self._asks is not None:
            self._asks.before(sample)

    def _delete(self, ledger: Ledger, check: Check | None) -> None:
        if self._manifest is None:
            return
        self._manifest.keep()
        with _recorded(ledger, self._run_id, self._ground.locations, self._coordinator.pruned, self._stopping):
            ledger.save_report(self._run_id, checks_as_kept(self._findings))
            self._coordinator.delete(
                self._manifest,
                self._ground.organizations,
                still_held=check or (lambda organization: None),
                asks=self._asks,
            )


def _remover_findings(pruned: Pruned) -> Iterator[Finding]:
    """What the server does not do, and what was done instead."""
    if not pruned.one_by_one:
        return
    yield warned(
        "server-abilities",
        "This server refuses DeleteObjects, so the raw files were deleted one by one.",
        "Nothing is lost by it; it costs requests and time.",
    )


def _counting(show: Callable[[str, int], None], deadline: Sequence[Observer]) -> Callable[[str], Callable[[int], None]]:
    """Gives for "proven" and "deleted" what tells how many files were; it also ends the run when its time is over."""

    def count(what: str) -> Callable[[int], None]:
        def counted(files: int) -> None:
            for one in deadline:
                one.tick()
            show(what, files)

        return counted

    return count


def _totals_of(pruned: Pruned) -> dict[str, dict[str, dict[str, int]]]:
    """What `status` and `report` show of the run, by organization."""
    return {name: tally.as_dict(dry_run=False) for name, tally in pruned.organizations.items()}


@contextmanager
def _recorded(ledger: Ledger, run_id: str, locations: Locations, pruned: Pruned, stopping: Stopping) -> Iterator[None]:
    """`status` shows the run; what was finished is not relied on any more."""
    source, target = str(locations.source), str(locations.target)
    ledger.begin_run(run_id, "prune", source, target, settings_fingerprint="", started_at=time.time())
    for organization in pruned.organizations:
        ledger.forget_finished(organization)

    def end(status: int) -> None:
        ledger.record_problems(run_id, pruned.problems)
        ledger.end_run(run_id, exit_status=status, ended_at=time.time(), totals=_totals_of(pruned))

    try:
        yield
    except BaseException as error:
        status = error.exit_status if isinstance(error, MigratorError) else MustStop.exit_status
        with suppress(MigratorError):  # what ended it is told, and not that the ledger has no room either
            end(status_when_interrupted(stopping.signal) if isinstance(error, Interrupted) else status)
        raise
    is_whole = not stopping.signal
    end(int(bool(pruned.problems_total)) if is_whole else status_when_interrupted(stopping.signal))
