"""Puts `plan` and `migrate` together."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from dataclasses import replace
from functools import partial

from migrator.app.bytes_call_replays import refusals_known, try_bytes_calls
from migrator.app.dask_setup import Spread, key_findings
from migrator.app.engine_factory import engine_of
from migrator.app.first_check_result import Prepared
from migrator.app.first_checks import (
    abilities_of,
    ability_findings,
    keep_learned,
    lane_findings,
    prepare_ends,
    refuse_idle_limits,
    undated_findings,
    undated_in,
    with_learned,
)
from migrator.app.options import EngineName, Options, Watch
from migrator.app.ownership import Ownership
from migrator.app.place_locks import held_to_copy
from migrator.app.reporting import report_of, totals_of
from migrator.app.run_memory import Record, fingerprint_of, known_findings, only_reading
from migrator.app.speed_measurement import estimated
from migrator.app.stopping import Deadline, Stopping
from migrator.app.store_factory import held_ledger, patience_of, reading, reading_both, throttle_of
from migrator.app.worker_config import WorkerConfig, pass_of
from migrator.config.locations import DiskLocation, Locations, S3Location
from migrator.core.errors import MigratorError, MustStop
from migrator.core.findings import Finding
from migrator.core.outcomes import Outcome
from migrator.core.protocols import Source
from migrator.core.tally import Count, Tally
from migrator.doctor.source import empty_files
from migrator.engines.single_thread import Threads
from migrator.ledger.ledger import Ledger
from migrator.reports.report import MAX_DURATION, Report
from migrator.reports.stored_form import as_kept
from migrator.stores.disk.data_folder_setup import try_out
from migrator.stores.s3.capabilities import Capabilities
from migrator.stores.s3.target import S3Target
from migrator.sync.channel import Line
from migrator.sync.coordinator import Coordinator, Engine, Memory, Observer
from migrator.sync.dry_run import Rehearse
from migrator.sync.messages import ProgressEvent, Unit
from migrator.sync.shard.pass_settings import Pass
from migrator.sync.source_counter import SourceCounter
from migrator.sync.source_overview import as_forced, refuse_errors
from migrator.sync.totals import Totals
from migrator.sync.worker import Units, Worker

_COUNTING_AFTER_STOP_SECONDS = 5.0


def plan(locations: Locations, options: Options, watch: Watch, stopping: Stopping) -> Report:
    """What `migrate` would do. Writes nothing: not to disk, not to S3. Raises MigratorError."""
    started = time.monotonic()
    refuse_idle_limits((locations.source, locations.target), options)
    deadline = deadline_of(options, stopping)
    with reading_both(locations, options, stopping.event) as (source, target, _, throttle):
        prepared = prepare_ends(locations, options, source, target)
        totals = totals_of(prepared.overview)
        recipe = WorkerConfig.of(prepared, options, run_id=new_run_id(), dry_run=True)
        spread: AbstractContextManager[Spread]
        if options.engine in (None, EngineName.LOCAL):
            whole = pass_of(recipe, source, target, Rehearse(source), stopping.event)
            spread = Threads(partial(_work_through, whole), stopping=stopping.event)
        else:
            spread = engine_of(recipe, prepared.overview.organizations, throttle, stopping.event)
        access = Ownership(locations.target, options, corrects=True, writes=False, stopping=stopping.event)
        with only_reading(locations, options) as memory, spread as engine:
            _coordinate(engine, prepared, memory, [*watch(None), *deadline], totals, stopping, access.events())
            known = refusals_known(locations.target, prepared.buckets_there, locations, options)
            findings = (*prepared.findings, *_found_on_the_way(recipe, engine, access, totals, known))
        estimate = (
            None if stopping.event.is_set() else estimated(prepared, totals, source, target, memory.runs, options.state)
        )
    seconds = time.monotonic() - started
    report = report_of(
        "plan", "", prepared, totals, seconds, stopping, findings=findings, dry_run=True, estimate=estimate
    )
    return replace(report, known=memory.known)


def migrate(
    prepared: Prepared,
    options: Options,
    watch: Watch,
    stopping: Stopping,
    on_stopped: Callable[[Report], object] = lambda report: None,
) -> Report:
    """Copy what is missing; every started run leaves a ledger to resume from.

    `on_stopped` is given the report of a run that an error ends, before that is raised.

    Raises:
        MigratorError: If something ends the run, or keeps it from starting.
    """
    started = time.monotonic()
    locations, run_id = prepared.locations, new_run_id()
    totals = totals_of(prepared.overview)
    deadline = deadline_of(options, stopping)
    throttle = throttle_of(options, stopping.event)
    with ExitStack() as stack:
        ledger = stack.enter_context(held_ledger(locations, options))
        shown_before = known_findings(ledger)
        abilities, prepared = _try_out_target(prepared, options, ledger, run_id, stopping, stack)
        access = Ownership(locations.target, options, corrects=True, stopping=stopping.event)
        record = Record(ledger, run_id, totals, relies_on_finished=not options.reread)
        fingerprint = fingerprint_of(locations, options)
        stack.enter_context(record.running("migrate", locations.source, locations.target, fingerprint))
        ledger.record_problems(run_id, prepared.overview.problems)
        recipe = WorkerConfig.of(prepared, options, run_id=run_id, abilities=abilities)
        engine = stack.enter_context(engine_of(recipe, prepared.overview.organizations, throttle, stopping.event))
        source = stack.enter_context(reading(locations.source, patience_of(options, stopping.event), throttle))
        known = record.counted_earlier(fingerprint)
        ahead = stack.enter_context(SourceCounter(source, prepared.overview.organizations, options.ages, known))
        record.ahead = ahead

        def report_now(error: MigratorError | None = None) -> Report:
            found = _found_on_the_way(recipe, engine, access, totals)
            return report_of(
                "migrate",
                run_id,
                prepared,
                totals,
                time.monotonic() - started,
                stopping,
                findings=(*with_learned(prepared.findings, abilities, totals.learned), *found),
                final=ahead.is_final,
                by_size=options.compare_by_size,
                error=error,
            )

        record.keep(as_kept(report_now()))
        try:
            lists_target = options.full or not isinstance(locations.source, DiskLocation)
            observers = [*watch(ahead), *deadline]
            _coordinate(
                engine, prepared, record, observers, totals, stopping, access.events(), lists_target=lists_target
            )
        except MigratorError as error:
            report = report_now(error)
            with suppress(MigratorError):  # where the ledger is what broke, the report is all that tells of the run
                record.keep(as_kept(report))
            on_stopped(report)
            raise
        if stopping.event.is_set():
            _count_what_is_left(totals, ahead, stopping)
        else:
            _give_up_leftovers(ledger, source, prepared, options, stopping)
        keep_learned(prepared, ledger, abilities, totals.learned)
        report = report_now()
        record.keep(as_kept(report))
        record.end(report.exit_status)
    return replace(report, known=shown_before)


def _try_out_target(
    prepared: Prepared, options: Options, ledger: Ledger, run_id: str, stopping: Stopping, stack: ExitStack
) -> tuple[Capabilities, Prepared]:
    """What can be known only by writing there: whether raw files can be published, whether Bytes' own calls work, what the server can do.

    `prepared` comes back with what was found; a data folder is held until the stack ends.
    """
    tried, prepared = try_writing(prepared, options, ledger, run_id, stopping, stack)
    abilities, prepared = abilities_of(prepared, options, ledger, run_id, stopping.event)
    findings = (
        *prepared.findings,
        *tried,
        *ledger.findings,
        *ability_findings(abilities),
        *lane_findings(prepared.locations),
    )
    return abilities, replace(prepared, findings=findings)


def try_writing(
    prepared: Prepared, options: Options, ledger: Ledger, run_id: str, stopping: Stopping, stack: ExitStack
) -> tuple[tuple[Finding, ...], Prepared]:
    """Hold the target, see whether raw files can be published in a data folder there, and whether Bytes' own calls work.

    Returns what was found, and `prepared` with the organizations that are denied. Raises CannotStart.
    """
    locations = prepared.locations
    stack.enter_context(held_to_copy(locations, prepared.owner))
    tried, denied = try_bytes_calls(prepared, options, ledger, run_id, stopping.event)
    refuse_errors(tried, options.forced)
    found = try_out(locations.target.root, prepared.owner) if isinstance(locations.target, DiskLocation) else ()
    return (*as_forced(tried, options.forced), *found), replace(prepared, denied={**prepared.denied, **denied})


def _give_up_leftovers(
    ledger: Ledger, source: Source, prepared: Prepared, options: Options, stopping: Stopping
) -> None:
    """After a whole pass, what is still in the ledger is of raw files that this pass did not meet."""
    target = prepared.locations.target
    if not isinstance(target, S3Location) or not ledger.all_uploads():
        return
    from migrator.app.uploads import give_up_leftovers  # noqa: PLC0415 only what was interrupted leaves any

    patience = patience_of(options, stopping.event)
    with (
        closing(S3Target(target, patience, abilities=Capabilities(), create_buckets=False)) as store,
        suppress(MustStop),
    ):
        give_up_leftovers(ledger, source, store)


def _found_on_the_way(
    recipe: WorkerConfig, engine: Spread, access: Ownership, totals: Totals, known: tuple[Finding, ...] = ()
) -> tuple[Finding, ...]:
    """Return what only shows once raw files are looked at, with what was `known` of Bytes' calls."""
    options = recipe.options
    return (
        *undated_findings(options.ages, undated_in(totals, recipe.source)),
        *access.findings(),
        *as_forced((*known, *empty_findings(totals)), options.forced),
        *key_findings(recipe),
        *engine.findings,
    )


def _work_through(whole: Pass, units: Units[Unit], line: Line) -> None:
    Worker(whole, units, line).run()


def _coordinate(
    engine: Engine,
    prepared: Prepared,
    memory: Memory,
    observers: Sequence[Observer],
    totals: Totals,
    stopping: Stopping,
    beforehand: Iterable[ProgressEvent],
    *,
    lists_target: bool = True,
) -> None:
    """`beforehand` are events of what was done before the first unit."""
    coordinator = Coordinator(
        engine=engine,
        memory=memory,
        observers=observers,
        totals=totals,
        stopping=stopping.event,
        lists_target=lists_target,
    )
    for event in beforehand:
        coordinator.take_down(event)
    coordinator.run(prepared.overview.organizations, prepared.overview.problems)


def deadline_of(options: Options, stopping: Stopping) -> tuple[Observer, ...]:
    """Who ends the run when its time is over; nobody without a limit."""
    seconds = options.limits.duration
    return () if seconds is None else (Deadline(seconds, stopping),)


def _count_what_is_left(totals: Totals, ahead: SourceCounter, stopping: Stopping) -> None:
    """What the run did not come to: what was counted, less what was told."""
    ahead.finish(_COUNTING_AFTER_STOP_SECONDS)
    for organization, counted in ahead.by_organization.items():
        tally = totals.organizations.setdefault(organization, Tally())
        known = tally.discovered
        if counted.files > known.files:
            tally[Outcome.PENDING].merge(Count(counted.files - known.files, max(0, counted.bytes - known.bytes)))
    if stopping.signal == MAX_DURATION and ahead.is_final and not totals.overall()[Outcome.PENDING].files:
        stopping.signal = ""  # it came to its end all the same


def empty_findings(totals: Totals) -> Iterator[Finding]:
    """The raw files of 0 bytes among those that the run looked at."""
    seen = sum(totals.shape.sizes.values())
    return empty_files(totals.shape.sizes[0], seen, all_of_them=seen == totals.overall().discovered.files)


def new_run_id() -> str:
    """Sorts by time, and is short enough to be read out."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:6]}"
