"""The console's and the table's look, word for word. After a change on purpose: MIGRATOR_TESTS_GOLDEN=write, and look at the difference."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import pytest

from migrator.checks.prune.tallies import Pruned, PruneTally
from migrator.core.notices import Problem
from migrator.core.tally import Count
from migrator.reports.csv import report_as_csv
from migrator.reports.formatting import columns_of
from migrator.reports.report import Report
from migrator.reports.runbook import runbook_as_markdown
from migrator.reports.text.audit import audit_as_text
from migrator.reports.text.console import report_as_text, stored_as_text
from migrator.reports.text.doctor import doctor_as_text
from migrator.reports.text.explanation import explanation_lines, explanations, index_lines
from migrator.reports.text.findings import error_lines
from migrator.reports.text.prune import PruneReport, prune_as_text
from migrator.reports.text.status import status_as_text
from migrator.reports.text.switch import proposal_as_text, switch_status_lines, switched_as_text
from migrator.reports.text.uploads import UnfinishedUploads, uploads_as_text
from migrator.reports.text.verify import Verification, verification_as_text
from migrator.reports.text.watch import watch_as_text
from migrator.reports.text.wrapping import joined
from tests.browser.pages import page_of
from tests.unit.reports import answers
from tests.unit.reports.samples import report_of, tally_of

GOLDEN = Path(__file__).parents[2] / "golden"
REPORTS = {
    "fine": partial(page_of, 3),
    "problems": partial(page_of, 3, 40),
    "hostile": partial(page_of, 14, 30, hostile=True),
    "plan": partial(page_of, 5, dry_run=True),
}


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize(("form", "render"), [("txt", report_as_text), ("csv", report_as_csv)])
def test_it_looks_as_it_did(name: str, form: str, render: object) -> None:
    assert callable(render)
    text = render(REPORTS[name]()).replace("\r\n", "\n") + "\n"
    path = GOLDEN / f"{name}.{form}"
    if os.environ.get("MIGRATOR_TESTS_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def _verification() -> Verification:
    rows = {f"organization-{number}": tally_of(proven=(10**number, 10_000)) for number in range(1, 4)}
    report = report_of({**rows, "acme": tally_of(proven=(5, 50), conflict=(1, 9))})
    known = {field.name: getattr(report, field.name) for field in fields(report)}
    promise = "what was read at the source has the digest that the target's server keeps."
    return Verification(**{**known, "command": "verify", "proves": promise}, level="etag", seed=None)


def _pruned() -> PruneReport:
    pruned = Pruned(
        organizations={"acme": PruneTally(Count(12, 9_000), Count(10, 8_000), Count(10, 8_000), Count(2, 1_000))}
    )
    pruned.note(
        Problem(
            "kept",
            "acme",
            "/var/lib/kat-bytes/acme/000/00000001-1111-4222-8333-444455556666",
            "it is not at the target",
        )
    )
    return PruneReport(
        run="20260102-030405-abcdef",
        source="/var/lib/kat-bytes (disk)",
        target="s3://openkat-{organization} at https://s3.example.org",
        dry_run=False,
        pruned=pruned,
        findings=(),
        manifest="/var/lib/bytes-migrator/manifests/20260102-030405-abcdef",
        seconds=12.0,
    )


ANSWERS = {
    "migrate": lambda width: report_as_text(REPORTS["fine"](), width),
    "plan": lambda width: report_as_text(REPORTS["plan"](), width),
    "verify": lambda width: verification_as_text(_verification(), width),
    "prune": lambda width: prune_as_text("bytes-migrator prune", _pruned(), width),
    "doctor": lambda width: doctor_as_text(answers.doctor(), width),
    "status": lambda width: status_as_text(answers.status(), width),
    "status-switch": lambda width: joined(switch_status_lines(answers.switched().story), width),
    "audit": lambda width: audit_as_text(answers.audit(), width),
    "switch-plan": lambda width: proposal_as_text(answers.proposal(), width),
    "switch-done": lambda width: switched_as_text(answers.switched(), width),
    "watch": lambda width: watch_as_text(answers.watched(), width),
    "uploads": lambda width: uploads_as_text(answers.uploads(), width),
    "uploads-none": lambda width: uploads_as_text(UnfinishedUploads(()), width),
    "error": lambda width: joined(error_lines(answers.ERROR), width),
    "prune-stopped": lambda width: prune_as_text(
        "bytes-migrator prune", replace(_pruned(), error=answers.ERROR), width
    ),
    "report-stopped": lambda width: stored_as_text(
        replace(REPORTS["fine"](), started=answers.AT, state="stopped", stopped=answers.ERROR), width
    ),
    "explain": lambda width: joined(explanation_lines(explanations()["clock-skew"]), width),
    "explain-all": lambda width: joined(list(index_lines(explanations()))[:3], width),
}
WHOLE = ("bytes-migrator ", "aws ", "sh ", "A_", "+ ")
"""How lines begin that are for pasting: they stay whole."""


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", ANSWERS)
def test_a_terminal_of_any_width_shows_it_as_it_did(name: str, width: int) -> None:
    text = ANSWERS[name](width) + "\n"
    path = GOLDEN / f"{name}-{width}.txt"
    if os.environ.get("MIGRATOR_TESTS_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", ANSWERS)
def test_no_line_is_longer_than_the_terminal_but_what_cannot_be_broken(name: str, width: int) -> None:
    lines = (GOLDEN / f"{name}-{width}.txt").read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if "  " in line.strip()]
    words = [line for line in lines if line not in table and not line.strip().startswith(WHOLE)]
    too_long = [line for line in words if columns_of(line) > width and max(map(len, line.split())) < width - 12]
    assert not too_long


def test_a_runbook_looks_as_it_did() -> None:
    text, path = runbook_as_markdown(answers.runbook()), GOLDEN / "runbook.md"
    if os.environ.get("MIGRATOR_TESTS_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_the_columns_of_every_line_of_a_table_end_at_one_place() -> None:
    report: Report = replace(REPORTS["fine"](), findings=())
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
