"""The files of a report in its folder: the page, the document, the table; the file lists lie there already."""

from __future__ import annotations

from pathlib import Path

from migrator.reports.csv import report_as_csv
from migrator.reports.html.page import report_as_html
from migrator.reports.json import report_as_json
from migrator.reports.report import Report
from migrator.reports.report_folder import ReportFolder

PAGE = "report.html"
DOCUMENT = "report.json"
TABLE = "organizations.csv"


def write_report(folder: ReportFolder, report: Report) -> Path:
    """Write all of them; answers where the page is. Raises MustStop."""
    folder.write(DOCUMENT, report_as_json(report) + "\n")
    folder.write(TABLE, report_as_csv(report))
    return folder.write(PAGE, report_as_html(report))
