"""The last lines of a run's report: what was forced, what keeps Bytes from reading at the target, and the steps that are left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from migrator.core.findings import Finding, FindingStatus
from migrator.doctor.finding_names import BYTES_ANSWERS, BYTES_CALLS, KEEP_BYTES_OUT, SERVICE_USER
from migrator.reports.formatting import shown
from migrator.reports.report import Report


def keeps_bytes_out(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those findings because of which Bytes cannot read at the target, or because of which nobody knows whether it can."""
    return tuple(
        one
        for one in findings
        if one.name in KEEP_BYTES_OUT
        and (one.forced or one.status is FindingStatus.ERROR or one.name in (SERVICE_USER, BYTES_ANSWERS))
        if one.status is not FindingStatus.PASS
    )


def ending(report: Report) -> Iterator[str]:
    """The last lines: a forced finding stays visible, and no steps are shown while something is in the way."""
    forced = list(forced_lines(report))
    if forced:
        yield ""
        yield from forced
    if report.next_steps:
        yield ""
        if not (report.overall.is_clean or report.interrupted_by):
            yield "Fix the problems above first: until then, Bytes would not find those raw files at the new place."
        yield from map(shown, report.next_steps)
    elif report.exit_status == 1 and not report.dry_run:
        yield ""
        yield "Fix the problems above first: until then, Bytes would not find those raw files at the new place."


def forced_lines(report: Report) -> Iterator[str]:
    """A line for each forced finding; for one that keeps Bytes out, what Bytes cannot do until it is cured."""
    out = keeps_bytes_out(report.findings)
    for finding in report.findings:
        if finding.forced and finding not in out:
            yield f"forced: {shown(finding.seen)} [{finding.name}]"
    for finding in out:
        if finding.forced or not report.dry_run:  # a plan has shown it just before, as an error
            yield from _keeps_out(report, finding)


def _keeps_out(report: Report, finding: Finding) -> Iterator[str]:
    by = f"forced by --force {finding.name}" if finding.forced else f"[{finding.name}]"
    if finding.name in (BYTES_CALLS, BYTES_ANSWERS):
        done = _what_was_done(report)
        if finding.status is FindingStatus.ERROR or finding.name == BYTES_ANSWERS:
            yield f"{done}, and Bytes cannot read it there until this is fixed, {by}: {shown(finding.seen)}"
        else:
            yield f"{done}, and Bytes cannot read it there until its own calls work on these buckets, which was not tried, {by}."
    else:
        yield f"Bytes cannot read or save at the target until this is fixed, {by}: {shown(finding.seen)}"
    cure = finding.cure.removesuffix(f" To continue anyway: --force {finding.name}.")
    if cure:
        yield f"  cure: {shown(cure)}"
    yield "Do not give Bytes the new settings before that."


def _what_was_done(report: Report) -> str:
    if report.dry_run:
        return "Everything would be copied" if report.overall.is_clean else "Some of it would be copied"
    if report.overall.is_clean and not report.interrupted_by and report.stopped is None:
        return "Everything is copied"
    return "Some of it is copied"
