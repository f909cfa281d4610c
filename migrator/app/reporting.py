"""Makes the report of a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from migrator.app.first_check_result import Prepared
from migrator.app.next_steps import Steps, next_steps
from migrator.app.stopping import Stopping
from migrator.app.store_factory import End
from migrator.config.locations import Location, S3Location
from migrator.core.errors import MigratorError
from migrator.core.findings import Finding
from migrator.core.notices import NoticeKind
from migrator.core.tally import Count, Tally
from migrator.reports.estimate import Estimate
from migrator.reports.report import Report, ReportRow, Stopped
from migrator.sync.source_overview import SourceOverview
from migrator.sync.totals import Totals


def totals_of(overview: SourceOverview) -> Totals:
    """What the first look alone has met: every organization, so that those without raw files have their row too, and strays beside them."""
    totals = Totals(organizations={organization: Tally() for organization in overview.organizations})
    totals.add_problems(overview.problems)
    for problem in overview.problems:
        if problem.kind == NoticeKind.UNREADABLE_FOLDER.value and problem.organization:
            totals.organizations.setdefault(problem.organization, Tally()).unreadable_folders += 1
    strays = [problem for problem in overview.problems if problem.kind == NoticeKind.STRAY.value]
    if strays:
        totals.beside.merge(Count(len(strays), overview.stray_bytes))
    return totals


def report_of(
    command: str,
    run_id: str,
    prepared: Prepared,
    totals: Totals,
    seconds: float,
    stopping: Stopping,
    *,
    dry_run: bool = False,
    by_size: bool = False,
    findings: tuple[Finding, ...] | None = None,
    final: bool = True,
    error: MigratorError | None = None,
    estimate: Estimate | None = None,
    steps: Steps = Steps.BY_TOTALS,
) -> Report:
    """`seconds`: how long it took until now. `error` is what ended it early. `steps` of the switch are listed if nothing is in the way."""
    locations = prepared.locations
    buckets = buckets_of(locations.source, locations.target)
    rows = tuple(
        ReportRow(organization=organization, bucket=buckets(organization), tally=tally)
        for organization, tally in sorted(totals.organizations.items())
    )
    report = Report(
        command=command,
        run=run_id,
        source=str(locations.source),
        target=str(locations.target),
        dry_run=dry_run,
        rows=rows,
        totals=totals,
        findings=prepared.findings if findings is None else findings,
        settings=locations.settings,
        buckets_to_create=prepared.buckets_to_create,
        next_steps=(),
        seconds=seconds,
        counting_is_final=final or not stopping.event.is_set(),
        interrupted_by=stopping.signal,
        compared_by="size" if dry_run or by_size else "content",
        started=time.time() - seconds,
        stopped=Stopped.by(error) if error is not None else None,
        estimate=estimate,
    )
    return replace(report, next_steps=next_steps(report, locations, steps, is_part=prepared.is_part))


def buckets_of(source: End, target: Location) -> Callable[[str], str | None]:
    """The bucket in which an organization's raw files lie or will lie: the target's, else the source's."""
    for location in (target, source):
        if isinstance(location, S3Location):
            return location.naming.bucket_of
    return lambda organization: None
