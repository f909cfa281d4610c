"""The doctor: looks at both ends, and at who else writes to them.

A forced finding stays in the list, marked as forced. A look that asks a server is left out if its finding is forced, and that is said.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

from migrator.app.doctor_disk_target import inspect_disk_target, sample_of_target
from migrator.app.doctor_examination import DoctorRequest, Examination
from migrator.app.doctor_s3_target import inspect_s3_target
from migrator.app.doctor_source import SAMPLE_SECONDS, inspect_source
from migrator.app.options import Options
from migrator.app.ownership import Ownership
from migrator.config.locations import Locations, S3Location
from migrator.config.settings_checks import ALL_WELL
from migrator.core.findings import Finding, FindingStatus
from migrator.doctor.concurrent_runs import ledgers_finding, run_finding
from migrator.doctor.finding_shorthands import passed
from migrator.doctor.server import raws_finding, version_finding
from migrator.doctor.source import listing_errors
from migrator.ledger.directory import is_running
from migrator.ledger.ledger import ledger_read, ledgers_read
from migrator.reports.text.doctor import DoctorReport
from migrator.sync.source_overview import as_forced

_COPYING = ("migrate", "watch")


def examine(locations: Locations, options: Options, wish: DoctorRequest, run_id: str) -> DoctorReport:
    """Look at everything. Writes nothing without `wish.probe`. Raises SettingsError for what cannot be meant."""
    began = time.monotonic()
    fired = {one.name for one in locations.findings}
    with ExitStack() as stack:
        found = Examination(
            locations=locations,
            options=options,
            wish=wish,
            run_id=run_id,
            stack=stack,
            findings=[
                *locations.findings,
                *(passed(name, seen) for name, seen in ALL_WELL.items() if name not in fired),
            ],
        )
        if wish.bytes_version:
            found.findings.append(version_finding(wish.bytes_version))
        overview, sample = inspect_source(found)
        if isinstance(locations.target, S3Location):
            found.findings.append(raws_finding())
            inspect_s3_target(locations.target, overview, found)
        else:
            there = sample_of_target(locations.target, overview)
            found.findings += listing_errors(there, str(locations.target))
            found.findings += inspect_disk_target(locations.target, options, overview, sample, there)
            access = Ownership(locations.target, options, seconds=SAMPLE_SECONDS)
            access.scan()
            found.findings += access.findings(passed=True)
            found.buckets = [(one, None, None) for one in overview.organizations]
    found.findings += _writers(locations, options)
    if wish.read_through:
        from migrator.app.read_through import read_through_verdict  # noqa: PLC0415 `plan` and `migrate` do not need it

        reads = read_through_verdict(locations, nginx_user=wish.nginx_user)
        found.findings += reads.findings
        found.nginx = reads.nginx or found.nginx
    findings = as_forced(found.findings, options.forced)
    return DoctorReport(
        source=str(locations.source),
        target=str(locations.target),
        findings=findings,
        settings=locations.settings,
        buckets=tuple(found.buckets),
        nginx=found.nginx,
        probed=wish.probe,
        seconds=time.monotonic() - began,
        exit_status=int(any(one.status is FindingStatus.ERROR and not one.forced for one in findings)),
    )


def _writers(locations: Locations, options: Options) -> Iterator[Finding]:
    source, target = locations.source.identity, locations.target.identity
    own = options.state.ledger_path(source, target)
    with ledger_read(options.state, source, target) as ledger:
        last = ledger.runs(1) if ledger is not None else ()
    run = last[0].run_id if last and last[0].ended_at is None else ""
    yield run_finding(run, is_running=is_running(own))
    back = options.state.ledger_path(target, source)
    ends = {str(locations.source), str(locations.target)}
    others = []
    for other in ledgers_read(path for path in options.state.ledgers() if path not in (own, back)):
        copies = [run for run in other.runs() if run.command in _COPYING]  # a verification writes to neither end
        others += [f"{run.source} to {run.target}" for run in copies[:1] if ends & {run.source, run.target}]
    yield ledgers_finding(others)
