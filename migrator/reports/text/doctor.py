"""What the doctor found, as text and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from migrator.config.env_file import Setting
from migrator.core.findings import Finding, FindingStatus
from migrator.reports.formatting import Whole, duration, plural, shown, table
from migrator.reports.json import as_json
from migrator.reports.report import SCHEMA
from migrator.reports.text.wrapping import joined

_ROWS_SHOWN = 40
_ORDER = (FindingStatus.PASS, FindingStatus.WARNING, FindingStatus.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorReport:
    """Findings, and what they are about. `buckets`: (organization, bucket, whether it exists); `nginx`: lines that cure, else empty."""

    source: str
    target: str
    findings: tuple[Finding, ...]
    settings: tuple[Setting, ...]
    buckets: tuple[tuple[str, str | None, bool | None], ...]
    nginx: tuple[str, ...]
    probed: bool
    seconds: float
    exit_status: int


def doctor_as_json(report: DoctorReport) -> str:
    """The document of ``doctor --json``."""
    return as_json(
        {
            "schema": SCHEMA,
            "command": "doctor",
            "from": report.source,
            "to": report.target,
            "probe": report.probed,
            "findings": [finding.as_dict() for finding in report.findings],
            "organizations": [
                {"organization": organization, "bucket": bucket, "bucket_exists": exists}
                for organization, bucket, exists in report.buckets
            ],
            "settings": [setting.as_dict() for setting in report.settings],
            "nginx": "\n".join(report.nginx) or None,
            "seconds": round(report.seconds, 3),
            "exit_status": report.exit_status,
        }
    )


def doctor_as_text(report: DoctorReport, width: int | None = None) -> str:
    """Return the findings, the gravest last, wrapped to `width` columns."""
    return joined(_lines(report), width)


def _lines(report: DoctorReport) -> Iterator[str]:
    yield f"from  {shown(report.source)}"
    yield f"to    {shown(report.target)}"
    yield ""
    yield from _settings(report.settings)
    yield from _buckets(report.buckets)
    for status in _ORDER:
        for finding in report.findings:
            if finding.status is status:
                forced = " (forced)" if finding.forced else ""
                yield f"{status.value + ':':8} {shown(finding.seen)} [{finding.name}]{forced}"
                if status is not FindingStatus.PASS:
                    yield from _why_and_cure(finding)
    if report.nginx:
        yield ""
        yield from (Whole(shown(line)) for line in report.nginx)
    yield ""
    counts = {status: sum(finding.status is status for finding in report.findings) for status in _ORDER}
    yield (
        f"{plural(counts[FindingStatus.ERROR], 'error')}{_names_of_errors(report)}, "
        f"{plural(counts[FindingStatus.WARNING], 'warning')}, "
        f"{counts[FindingStatus.PASS]} passed, in {duration(report.seconds)}."
    )
    if any(one.status is FindingStatus.ERROR and not one.forced for one in report.findings):
        yield "`migrate` does not start while there is an error. --force NAME starts it anyway."


def _names_of_errors(report: DoctorReport) -> str:
    """Name them in the last line, for what cures them may have scrolled them away."""
    names = dict.fromkeys(one.name for one in report.findings if one.status is FindingStatus.ERROR)
    return f" ({', '.join(names)})" if names else ""


def _why_and_cure(finding: Finding) -> Iterator[str]:
    if finding.why:
        yield f"         why:  {shown(finding.why)}"
    if finding.cure:
        yield f"         cure: {shown(finding.cure)}"


def _settings(settings: Sequence[Setting]) -> Iterator[str]:
    if settings:
        yield from table([[shown(one.name), shown(one.shown), shown(one.origin)] for one in settings], left=3)
        yield ""


def _buckets(buckets: Sequence[tuple[str, str | None, bool | None]]) -> Iterator[str]:
    rows = [["organization", "bucket", ""]]
    states = {True: "is there", False: "is missing", None: ""}
    rows += [[shown(one), shown(bucket), states[exists]] for one, bucket, exists in buckets[:_ROWS_SHOWN] if bucket]
    if len(rows) > 1:
        yield from table(rows, left=3)
        if len(buckets) > _ROWS_SHOWN:
            yield f"… and {plural(len(buckets) - _ROWS_SHOWN, 'organization')} more (all of them: --json)"
        yield ""
