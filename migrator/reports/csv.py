"""The report as a table for spreadsheets: a row for each organization and one for all."""

from __future__ import annotations

import csv
import io

from migrator.core.tally import Tally
from migrator.reports.formatting import shown
from migrator.reports.report import Report
from migrator.reports.text.audit import AuditReport
from migrator.reports.text.prune import PruneReport

_Counts = dict[str, dict[str, int]]
_Row = tuple[str, "str | None", _Counts]
ALL = "(all organizations)"
_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def report_as_csv(report: Report | AuditReport | PruneReport) -> str:
    """RFC 4180, with a header. Text that a spreadsheet would compute has an apostrophe before it."""
    text = io.StringIO()
    table = csv.writer(text)
    rows, total = _rows(report)
    table.writerow(["organization", "bucket", *(f"{name}_{unit}" for name in total for unit in ("files", "bytes"))])
    for organization, bucket, counts in rows:
        table.writerow([cell(organization), cell(bucket or ""), *_numbers(counts)])
    table.writerow([ALL, "", *_numbers(total)])
    return text.getvalue()


def _rows(report: Report | AuditReport | PruneReport) -> tuple[list[_Row], _Counts]:
    """A row for each organization, and the counts of all of them together: by the names of the command's ``--json``."""
    if isinstance(report, AuditReport):
        return [(row.organization, row.bucket, row.tally.as_dict()) for row in report.rows], report.overall.as_dict()
    if isinstance(report, PruneReport):
        dry_run, pruned = report.dry_run, report.pruned
        rows = [(name, None, tally.as_dict(dry_run=dry_run)) for name, tally in sorted(pruned.organizations.items())]
        return [*rows], pruned.overall().as_dict(dry_run=dry_run)
    as_counts = Tally.as_proofs if report.command == "verify" else Tally.as_dict
    return [(row.organization, row.bucket, as_counts(row.tally)) for row in report.rows], as_counts(report.overall)


def cell(text: str) -> str:
    """Text from outside that stays text, with what could hide itself written as an escape."""
    harmless = shown(text)
    return f"'{harmless}" if harmless.lstrip().startswith(_STARTS_A_FORMULA) else harmless


def _numbers(counts: _Counts) -> list[int]:
    return [count[unit] for count in counts.values() for unit in ("files", "bytes")]
