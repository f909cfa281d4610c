"""The files of a report in its folder: the page, the document, the table; the file lists lie there already."""

from __future__ import annotations

from pathlib import Path

from migrator.reports.csv import report_as_csv
from migrator.reports.html.page import report_as_html
from migrator.reports.json import report_as_json
from migrator.reports.report import Report
from migrator.reports.report_folder import ReportFolder
from migrator.reports.text.audit import AuditReport, audit_as_json
from migrator.reports.text.prune import PruneReport, prune_as_json
from migrator.reports.text.verify import Verification, verification_as_json

PAGE = "report.html"
DOCUMENT = "report.json"
TABLE = "organizations.csv"


AnyReport = Report | AuditReport | PruneReport


def write_report(folder: ReportFolder, report: AnyReport) -> Path:
    """Write all of them; answers where the page is. Raises MustStop."""
    folder.write(DOCUMENT, _as_json(report) + "\n")
    folder.write(TABLE, report_as_csv(report))
    return folder.write(PAGE, report_as_html(report))


def _as_json(report: AnyReport) -> str:
    """What the command's own ``--json`` prints."""
    if isinstance(report, AuditReport):
        return audit_as_json(report)
    if isinstance(report, PruneReport):
        return prune_as_json(report)
    return verification_as_json(report) if isinstance(report, Verification) else report_as_json(report)
