"""The report as an operator reads it."""

from __future__ import annotations

import pytest
from hypothesis import given

from migrator.core.findings import Finding, FindingStatus
from migrator.core.notices import Problem
from migrator.core.outcomes import Outcome
from migrator.core.tally import Count, Tally
from migrator.reports.report import Report, ReportRow
from migrator.reports.text.console import report_as_text
from migrator.reports.text.findings import finding_lines
from migrator.sync.totals import Totals
from tests.unit.reports.samples import report_of, reports, tally_of
from tests.unit.reports.test_formatting import is_harmless


@given(reports())
def test_nothing_that_is_printed_can_steer_a_terminal(report: Report) -> None:
    text = report_as_text(report)
    assert all(is_harmless(line) for line in text.split("\n"))
    assert "S3CR3T" not in text


CLEAN = tally_of(copied=(2, 2_000), present=(1, 1_000))


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        (
            report_of({"alpha": CLEAN}),
            "Everything is accounted for: 3 files (3.0 kB), 2 copied and 1 there already, in 1 min 15 s.",
        ),
        (
            report_of({"alpha": tally_of(present=(3, 3_000))}),
            "Nothing to copy: all 3 files (3.0 kB) are at the target already (1 min 15 s).",
        ),
        (
            report_of({"alpha": tally_of(copied=(2, 20), conflict=(1, 10), failed=(4, 4))}),
            "Not everything is at the target, see above: 2 copied + 1 conflict + 4 failed (in 1 min 15 s).",
        ),
        (
            report_of({"alpha": tally_of(copied=(2, 20), pending=(5, 5))}, interrupted_by="SIGINT"),
            "Stopped by SIGINT after 1 min 15 s: 2 files copied, 0 were there already, 5 are left.",
        ),
        (
            report_of({"alpha": tally_of(pending=(5, 5))}, interrupted_by="SIGTERM", counting_is_final=False),
            "Stopped by SIGTERM after 1 min 15 s: 0 files copied, 0 were there already, at least 5 are left.",
        ),
        (
            report_of({"alpha": tally_of(missing=(2, 2_000), present=(1, 10))}, dry_run=True),
            "A migration would copy 2 files (2.0 kB), with about",
        ),
        (
            report_of({"alpha": tally_of(missing=(1, 1))}, dry_run=True, buckets_to_create=("bytes-alpha",)),
            "It would create 1 bucket: bytes-alpha.",
        ),
        (report_of({"alpha": tally_of(missing=(1, 1))}, dry_run=True), "Nothing was written."),
    ],
)
def test_what_a_run_came_to_in_a_sentence(report: Report, sentence: str) -> None:
    assert sentence in report_as_text(report)


def test_a_folder_that_could_not_be_read_is_not_nothing_to_do() -> None:
    tally = tally_of(present=(3, 3_000))
    tally.unreadable_folders = 1
    text = report_as_text(report_of({"alpha": tally}))
    assert "Nothing to copy" not in text
    assert "Everything is accounted for" not in text


def test_a_row_for_each_organization_and_one_for_all() -> None:
    lines = report_as_text(report_of({"alpha": CLEAN, "beta": tally_of(copied=(1, 5), stray=Count(4, 4))})).splitlines()
    [head] = [line for line in lines if line.startswith("organization")]
    assert head.split() == ["organization", "bucket", "files", "size", "copied", "present", "stray"]
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.split()[:1] in (["alpha"], ["beta"], ["all"])}
    assert rows["alpha"] == ["bytes-alpha", "3", "3.0", "kB", "2", "1", "0"]
    assert rows["beta"] == ["bytes-beta", "1", "5", "bytes", "1", "0", "4"]
    assert rows["all"] == ["-", "4", "3.0", "kB", "3", "1", "4"]


def test_many_organizations_are_not_all_shown() -> None:
    text = report_as_text(report_of({f"org-{number:03}": CLEAN for number in range(60)}))
    assert "org-039" in text
    assert "org-040" not in text
    assert "… and 20 organizations more" in text


def test_problems_are_listed_by_kind_and_not_all() -> None:
    tally = tally_of(conflict=(30, 30), failed=(1, 1), vanished=(1, 1))
    report = report_of({"alpha": tally})
    report.totals.add_problems([Problem("conflict", "alpha", f"/data/{number}", "it differs") for number in range(30)])
    report.totals.add_problems([Problem("failed", "alpha", "/data/x", "no right")])
    text = report_as_text(report)
    assert "30 in conflict" in text
    assert text.count("it differs") == 20
    assert "… and 10 more" in text
    assert "  /data/x: no right" in text


def test_findings_have_why_and_cure_and_what_passed_is_not_told() -> None:
    findings = (
        Finding(name="one", status=FindingStatus.PASS, seen="Fine."),
        Finding(name="two", status=FindingStatus.WARNING, seen="Hm.", why="Because.", cure="Do this."),
        Finding(name="three", status=FindingStatus.ERROR, seen="Bad."),
    )
    assert list(finding_lines(findings)) == [
        "warning: Hm. [two]",
        "  why:  Because.",
        "  cure: Do this.",
        "error: Bad. [three]",
    ]


@pytest.mark.parametrize(
    ("tally", "interrupted_by", "status"),
    [
        (CLEAN, "", 0),
        (tally_of(), "", 0),
        (tally_of(vanished=(1, 1), extra=Count(1, 1), stray=Count(1, 1)), "", 0),
        (tally_of(conflict=(1, 1)), "", 1),
        (tally_of(failed=(1, 1)), "", 1),
        (tally_of(refused=(1, 1)), "", 1),
        (tally_of(pending=(1, 1)), "", 1),
        (Tally(unreadable_folders=1), "", 1),
        (CLEAN, "SIGINT", 130),
        (CLEAN, "SIGTERM", 143),
        (CLEAN, "SIGHUP", 129),
    ],
)
def test_exit_status(tally: Tally, interrupted_by: str, status: int) -> None:
    assert report_of({"alpha": tally}, interrupted_by=interrupted_by).exit_status == status


def test_an_organization_without_bucket_and_present_ones_that_were_not_seen() -> None:
    tally = tally_of(present=(3, 30))
    tally.present_unseen.merge(Count(2, 20))
    row = ReportRow(organization="alpha", bucket=None, tally=tally)
    totals = Totals(organizations={"alpha": tally}, samples=1, sampled_of=16)
    text = report_as_text(report_of({"alpha": tally}, rows=(row,), totals=totals))
    assert "2 files did not change at the source since an earlier run found or copied them at the target." in text
    assert "This run checked 1 of 16 parts of the target, as a sample." in text
    assert "`migrate --full` lists all of it" in text
    assert Outcome.PRESENT.value in text


def test_what_the_run_never_came_to_is_counted_and_nowhere_promised() -> None:
    text = report_as_text(report_of({"alpha": tally_of(pending=(2_000, 9))}, interrupted_by="SIGINT"))
    assert "2,000 pending: the run ended before it came to these\n\n" in text
    assert "--problems" not in text
