"""The report as a document: its schema, its identity, and that nothing in it can upset a parser or a terminal."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from migrator.core.errors import CannotStart, LedgerBusy, SettingsError
from migrator.core.tally import MIGRATION_OUTCOMES
from migrator.reports.json import as_json, error_as_json, report_as_json
from migrator.reports.report import Report
from tests import oracle
from tests.unit.reports.samples import report_of, reports, tally_of

KEYS = {
    "schema",
    "command",
    "run",
    "from",
    "to",
    "dry_run",
    "compared_by",
    "seconds",
    "interrupted_by",
    "counting_is_final",
    "organizations",
    "totals",
    "unreadable_folders",
    "buckets_to_create",
    "findings",
    "problems",
    "problems_total",
    "settings",
    "next_steps",
    "exit_status",
}
PROBLEM = {"kind", "organization", "id", "where", "reason", "bytes", "target", "code", "request_id"}
TOTALS = {
    "discovered",
    "extra",
    "stray",
    "present_unseen",
    "closed",
    "owner_corrected",
    *(outcome.value for outcome in MIGRATION_OUTCOMES),
}


@given(reports())
def test_the_schema_and_the_identity(report: Report) -> None:
    document = json.loads(report_as_json(report))
    assert set(document) >= KEYS, "the schema only grows"
    assert document["schema"] == 1
    assert set(document["totals"]) == TOTALS
    for row in document["organizations"]:
        assert set(row) == TOTALS | {"organization", "bucket"}
    oracle.assert_adds_up(document)
    assert document["problems_total"] >= len(document["problems"])
    assert document["exit_status"] == report.exit_status
    for finding in document["findings"]:
        assert set(finding) == {"name", "status", "seen", "why", "cure"}
    for problem in document["problems"]:
        assert set(problem) == PROBLEM


@given(reports())
def test_it_is_printable_ascii_and_holds_no_secret(report: Report) -> None:
    text = report_as_json(report)
    assert all(character == "\n" or " " <= character <= "~" for character in text)
    assert "S3CR3T" not in text
    names = [row["organization"] for row in json.loads(text)["organizations"]]
    assert names == [row.organization for row in report.rows], "names come back as they were, whatever they hold"


@given(st.recursive(st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_any_document_reads_back(document: object) -> None:
    text = as_json(document)
    assert json.loads(text) == document
    assert text.isascii()


def test_the_identity_is_not_kept_by_accident() -> None:
    """What the oracle checks can fail."""
    document = json.loads(report_as_json(report_of({"alpha": tally_of(copied=(2, 20), failed=(1, 5))})))
    oracle.assert_adds_up(document)
    document["totals"]["failed"]["files"] = 0
    try:
        oracle.assert_adds_up(document)
    except AssertionError:
        return
    raise AssertionError("a sum that is wrong was not seen")


def test_errors_have_the_four_words_and_their_status() -> None:
    for error, status in (
        (SettingsError("a-name", "What.", why="Why.", cure="Cure."), 2),
        (CannotStart("a-name", "What.", why="Why.", cure="Cure."), 3),
        (LedgerBusy("a-name", "What.", why="Why.", cure="Cure."), 4),
    ):
        document = json.loads(error_as_json("migrate", error))
        assert document == {
            "schema": 1,
            "command": "migrate",
            "error": {"name": "a-name", "what": "What.", "why": "Why.", "cure": "Cure."},
            "exit_status": status,
        }
