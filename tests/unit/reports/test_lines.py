"""Lines about one raw file, and what an interrupted run says of how far it came."""

from __future__ import annotations

from dataclasses import fields

import pytest

from migrator.core.notices import Problem
from migrator.reports.formatting import placed
from migrator.reports.text.run_summary import problem_line, verdict
from migrator.reports.text.verify import Expected, Verification, verification_as_text
from migrator.transfer.file_copier import DIFFERENT_CONTENT
from tests.unit.reports.samples import report_of, tally_of


@pytest.mark.parametrize(
    ("where", "reason", "line"),
    [
        ("/data/a", "no right", "/data/a: no right"),
        ("/data/a", "/data/a: no right", "/data/a: no right"),
        ("/data/a", "/data/a cannot be read.", "/data/a cannot be read."),
        ("s3://b/a", "The server does not allow reading s3://b/a.", "The server does not allow reading s3://b/a."),
    ],
)
def test_no_path_stands_twice_in_a_line(where: str, reason: str, line: str) -> None:
    assert placed(where, reason) == line


def test_a_conflict_has_the_sizes_of_both_ends() -> None:
    same = Problem("conflict", "acme", "/data/a", DIFFERENT_CONTENT, size=12_345)
    assert problem_line(same) == f"/data/a: {DIFFERENT_CONTENT} (12.3 kB at both ends)"
    other = Problem("conflict", "acme", "/data/a", "another size (3 bytes, 5 at the source)", size=5)
    assert problem_line(other) == "/data/a: another size (3 bytes, 5 at the source)"


def test_an_interrupted_plan_says_how_far_it_came() -> None:
    rows = {"alpha": tally_of(missing=(3, 30)), "beta": tally_of()}
    said = verdict(report_of(rows, command="plan", dry_run=True, interrupted_by="SIGINT"))
    assert "having come to 1 of 2 organizations: so far 3 files, 30 bytes: 3 missing." in said


def test_an_interrupted_verification_says_how_far_it_came() -> None:
    report = report_of({"alpha": tally_of(proven=(3, 30))}, command="verify", interrupted_by="SIGINT")
    known = {field.name: getattr(report, field.name) for field in fields(report)}
    for expected, words in (
        (None, "3 of ≥3 files"),
        (Expected(9, False), "3 of ≥9 files"),
        (Expected(9, True), "3 of 9 files"),
    ):
        text = verification_as_text(Verification(**known, level="etag", expected=expected))
        assert f"{words} proven so far. Rerun the same command to resume." in text
    assert "3 of the 3 files that it came to were proven" in verdict(report)
