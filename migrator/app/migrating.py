"""Puts `plan` and `migrate` together."""

from __future__ import annotations

import gc
import os
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

from migrator.ahead import CountAhead
from migrator.app.memory import Record, only_reading
from migrator.app.opening import held_ledger, patience_of, reading, writing
from migrator.app.options import MOST_JOBS, Options, Prepared, Stopping, Watch
from migrator.app.planning import abilities_of, ability_findings, first_look, lane_findings
from migrator.app.reporting import first_totals, report_of
from migrator.coordinator import Coordinator, Engine, Memory, Observer, Totals
from migrator.engines.processes import Processes
from migrator.engines.threads import Threads
from migrator.errors import MigratorError
from migrator.line import Line
from migrator.model import (
    Count,
    Outcome,
    Tally,
)
from migrator.pipeline import Pass
from migrator.protocols import Sink, Source
from migrator.rehearse import Rehearse
from migrator.reports.report import Report
from migrator.rules import BY_CONTENT, BY_SIZE, Rules
from migrator.settings import DiskLocation, Locations
from migrator.stopping import Flag
from migrator.stores.disk_target import held
from migrator.stores.lanes import bulk_lane_between
from migrator.stores.s3.abilities import Abilities
from migrator.transfer.careful import CarefulLane
from migrator.transfer.sink import Transfer
from migrator.units import Ended
from migrator.worker import Units, Worker

MOST_WORKERS = 4
MOST_CAREFUL_JOBS = 8
"""boto3 gets slower with more threads: 887 files a second with one, 462 with 64."""
_COUNTING_AFTER_STOP_SECONDS = 5.0


def plan(locations: Locations, options: Options, watch: Watch, stopping: Stopping) -> Report:
    """What `migrate` would do. Writes nothing: not to disk, not to S3. Raises MigratorError."""
    started = time.monotonic()
    patience = patience_of(options, stopping.event)
    with reading(locations.source, patience) as source, reading(locations.target, patience) as target:
        prepared = first_look(locations, options, source, target)
        totals = first_totals(prepared)
        whole = _pass(source, target, Rehearse(source), BY_SIZE, prepared.refused, options, stopping.event)
        whole = replace(whole, remembers=False)
        with (
            only_reading(locations, options) as memory,
            Threads(partial(_work_through, whole), stopping=stopping.event) as engine,
        ):
            _coordinate(engine, prepared, memory, watch(None), totals, stopping)
    return report_of("plan", "", prepared, totals, time.monotonic() - started, stopping, dry_run=True)


def migrate(prepared: Prepared, options: Options, watch: Watch, stopping: Stopping) -> Report:
    """Copy what is missing. Raises MigratorError; whatever began has left a ledger to go on from."""
    started = time.monotonic()
    locations, run_id = prepared.locations, new_run_id()
    totals = first_totals(prepared)
    with ExitStack() as stack:
        ledger = stack.enter_context(held_ledger(locations, options))
        if isinstance(locations.target, DiskLocation):
            stack.enter_context(held(locations.target.root, locations.target.folder_mode))
        record = Record(ledger, run_id, totals)
        stack.enter_context(record.running("migrate", locations, options))
        ledger.record_problems(run_id, prepared.look.problems)
        abilities = abilities_of(prepared, options, ledger, run_id, stopping.event)
        findings = (*prepared.findings, *ledger.findings, *ability_findings(abilities), *lane_findings(locations))
        engine = stack.enter_context(
            _engine(_Recipe(prepared=prepared, options=options, run_id=run_id, abilities=abilities), stopping.event)
        )
        source = stack.enter_context(reading(locations.source, patience_of(options, stopping.event)))
        ahead = stack.enter_context(CountAhead(source, prepared.look.organizations, options.ages))
        _coordinate(engine, prepared, record, watch(ahead), totals, stopping)
        if stopping.event.is_set():
            ahead.finish(_COUNTING_AFTER_STOP_SECONDS)
            _count_pending(totals, ahead)
        seconds = time.monotonic() - started
        report = report_of(
            "migrate",
            run_id,
            prepared,
            totals,
            seconds,
            stopping,
            findings=findings,
            final=ahead.is_final,
            by_size=options.compare_by_size,
        )
        record.end(report.exit_status)
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recipe:
    """What a worker needs to open its own stores and lanes."""

    prepared: Prepared
    options: Options
    run_id: str
    abilities: Abilities


def _engine(recipe: _Recipe, stopping: Flag) -> Processes:
    """As many processes as there are cores to use, with the requests under way shared out among them."""
    jobs = recipe.options.jobs or MOST_JOBS
    workers = max(1, min(len(os.sched_getaffinity(0)), MOST_WORKERS, jobs))
    gc.freeze()  # what is here by now stays, and workers need not look through it
    shared = replace(recipe, options=replace(recipe.options, jobs=-(-jobs // workers)))
    return Processes(partial(_work_by_recipe, shared, stopping), workers=workers, stopping=stopping)


def _work_by_recipe(recipe: _Recipe, stopping: Flag, units: Units, line: Line) -> None:
    """The whole life of a worker process."""
    prepared, options = recipe.prepared, recipe.options
    patience = patience_of(options, stopping)
    try:
        with ExitStack() as stack:
            source = stack.enter_context(reading(prepared.locations.source, patience))
            target = stack.enter_context(
                writing(
                    prepared.locations.target,
                    patience,
                    run_id=recipe.run_id,
                    abilities=recipe.abilities,
                    create_buckets=options.create_buckets,
                    journal=line,
                )
            )
            careful = CarefulLane(source, target, jobs=min(options.jobs, MOST_CAREFUL_JOBS), patience=patience)
            sink = Transfer(target, careful, bulk_lane_between(source, target, largest_window=options.jobs))
            stack.callback(sink.close)
            rules = BY_SIZE if options.compare_by_size else BY_CONTENT
            _work_through(_pass(source, target, sink, rules, prepared.refused, options, stopping), units, line)
    except MigratorError as error:
        stopping.set()
        while units.take(wait=True) is not None:
            line.tell(Ended(error))


def _work_through(whole: Pass, units: Units, line: Line) -> None:
    Worker(whole, units, line).run()


def _pass(
    source: Source,
    target: Source,
    sink: Sink,
    rules: Rules,
    refused: frozenset[str],
    options: Options,
    stopping: Flag,
) -> Pass:
    return Pass(
        source=source,
        target=target,
        sink=sink,
        rules=rules,
        refused=refused,
        settle_ns=int(options.settle * 1e9),
        stopping=stopping,
        ages=options.ages,
    )


def _coordinate(
    engine: Engine,
    prepared: Prepared,
    memory: Memory,
    observers: Sequence[Observer],
    totals: Totals,
    stopping: Stopping,
) -> None:
    coordinator = Coordinator(engine=engine, memory=memory, observers=observers, totals=totals, stopping=stopping.event)
    coordinator.run(prepared.look.organizations)


def _count_pending(totals: Totals, ahead: CountAhead) -> None:
    """What the run did not come to: what was counted, less what was told."""
    for organization, counted in ahead.by_organization.items():
        tally = totals.organizations.setdefault(organization, Tally())
        told = tally.discovered
        if counted.files > told.files:
            tally[Outcome.PENDING].merge(Count(counted.files - told.files, max(0, counted.bytes - told.bytes)))


def new_run_id() -> str:
    """Sorts by time, and is short enough to be read out."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:6]}"
