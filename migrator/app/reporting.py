"""Makes the report of a run."""

from __future__ import annotations

import time
from collections.abc import Callable

from migrator.app.options import Prepared, Stopping
from migrator.coordinator import Totals
from migrator.errors import MigratorError
from migrator.estimate import Estimate
from migrator.model import (
    Count,
    Finding,
    Tally,
)
from migrator.reports.report import Report, Row, Stopped
from migrator.settings import Locations, S3Location, settings_lines


def first_totals(prepared: Prepared) -> Totals:
    """Starts with every organization, so that those without raw files have their row too, and with what lies beside them."""
    totals = Totals(organizations={organization: Tally() for organization in prepared.look.organizations})
    totals.add_problems(prepared.look.problems)
    strays = [problem for problem in prepared.look.problems if problem.kind == "stray"]
    if strays:
        totals.beside.merge(Count(len(strays), prepared.look.stray_bytes))
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
) -> Report:
    """`seconds`: how long it took until now. `error` is what ended it early."""
    locations = prepared.locations
    buckets = buckets_of(locations)
    rows = tuple(
        Row(organization=organization, bucket=buckets(organization), tally=tally)
        for organization, tally in sorted(totals.organizations.items())
    )
    return Report(
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
        next_steps=() if dry_run or error is not None else next_steps(locations, stopping),
        seconds=seconds,
        counting_is_final=final or not stopping.event.is_set(),
        interrupted_by=stopping.signal,
        compared_by="size" if dry_run or by_size else "content",
        started=time.time() - seconds,
        stopped=Stopped.by(error) if error is not None else None,
        estimate=estimate,
    )


def buckets_of(locations: Locations) -> Callable[[str], str | None]:
    """The bucket in which an organization's raw files lie or will lie: the target's, else the source's."""
    for location in (locations.target, locations.source):
        if isinstance(location, S3Location):
            return location.naming.bucket_of
    return lambda organization: None


def next_steps(locations: Locations, stopping: Stopping) -> tuple[str, ...]:
    """What the operator does after a migration."""
    if stopping.signal:
        return ("Run the same command again: it goes on where it was.",)
    return (
        "What to do next",
        "  1. Stop Bytes, run the same command once more for what came in meanwhile, and go on if everything is accounted for.",
        "  2. Give Bytes these settings:",
        *(f"       {line}" for line in settings_lines(locations.target)),
        "  3. Start Bytes and open some raw file in OpenKAT, an old one and a new one.",
        "  To go back: put the old settings back and restart Bytes; nothing was removed from the source. What Bytes saved at the",
        "  new place meanwhile comes back with the same command, with --from and --to swapped.",
    )
