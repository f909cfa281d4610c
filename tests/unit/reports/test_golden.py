"""The console's and the table's look, word for word. After a change on purpose: MIGRATOR_TESTS_GOLDEN=write, and look at the difference."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from migrator.core.tally import Count
from migrator.reports.csv import report_as_csv
from migrator.reports.report import Report
from migrator.reports.text.console import report_as_text
from tests.browser.pages import page_of
from tests.unit.reports.samples import tally_of

GOLDEN = Path(__file__).parents[2] / "golden"
REPORTS = {
    "fine": page_of(3),
    "problems": page_of(3, 40),
    "hostile": page_of(14, 30, hostile=True),
    "plan": page_of(5, dry_run=True),
}


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize(("form", "render"), [("txt", report_as_text), ("csv", report_as_csv)])
def test_it_looks_as_it_did(name: str, form: str, render: object) -> None:
    assert callable(render)
    text = render(REPORTS[name]).replace("\r\n", "\n") + "\n"
    path = GOLDEN / f"{name}.{form}"
    if os.environ.get("MIGRATOR_TESTS_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_the_columns_of_every_line_of_a_table_end_at_one_place() -> None:
    report: Report = replace(REPORTS["fine"], findings=())
    lines = report_as_text(report).splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("organization"))
    rows = [line for line in lines[start : start + 5] if line]
    assert len({len(row) for row in rows}) == 1


def test_one_is_not_many() -> None:
    report = replace(page_of(1), rows=(), totals=page_of(1).totals)
    report.totals.organizations = {"alpha": tally_of(copied=(1, 1), stray=Count(1, 1))}
    text = report_as_text(report)
    assert "1 file (1 bytes)" not in text
    assert "1 files" not in text
