"""The report as a table for spreadsheets: a row for each organization and one for all."""

from __future__ import annotations

import csv
import io

from migrator.core.tally import Tally
from migrator.reports.formatting import shown
from migrator.reports.report import Report

ALL = "(all organizations)"
_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def report_as_csv(report: Report) -> str:
    """RFC 4180, with a header. Text that a spreadsheet would compute has an apostrophe before it."""
    text = io.StringIO()
    table = csv.writer(text)
    names = list(Tally().as_dict())
    table.writerow(["organization", "bucket", *(f"{name}_{unit}" for name in names for unit in ("files", "bytes"))])
    for row in report.rows:
        table.writerow([cell(row.organization), cell(row.bucket or ""), *_numbers(row.tally)])
    table.writerow([ALL, "", *_numbers(report.overall)])
    return text.getvalue()


def cell(text: str) -> str:
    """Text from outside that stays text, with what could hide itself written as an escape."""
    harmless = shown(text)
    return f"'{harmless}" if harmless.lstrip().startswith(_STARTS_A_FORMULA) else harmless


def _numbers(tally: Tally) -> list[int]:
    return [count[unit] for count in tally.as_dict().values() for unit in ("files", "bytes")]
