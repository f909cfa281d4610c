"""A warning is shown where it matters, and once; whatever keeps Bytes from reading is shown each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.app.run_memory import known_findings
from migrator.core.findings import Finding, FindingStatus
from migrator.doctor import finding_names as names
from migrator.ledger.ledger import Ledger
from migrator.reports.stored_form import as_kept
from migrator.reports.text.findings import BEFORE_A_COPY, ONCE, ONLY_DOCTOR, as_known, finding_lines
from tests.unit.reports.samples import report_of, tally_of


def a_finding(name: str, status: FindingStatus = FindingStatus.WARNING, *, forced: bool = False) -> Finding:
    return Finding(name=name, status=status, seen="Seen.", why="Because.", cure="Do this.", forced=forced)


@pytest.mark.parametrize("name", sorted(ONCE - BEFORE_A_COPY))
def test_a_lasting_condition_is_shown_once(name: str) -> None:
    findings = (a_finding(name),)
    assert next(finding_lines(findings)) == f"warning: Seen. [{name}]"
    assert list(finding_lines(findings, as_known(findings))) == [
        "1 more warning not shown, 1 known from earlier: `bytes-migrator doctor` shows all."
    ]


@pytest.mark.parametrize("name", sorted(set(names.FINDINGS) - ONCE - ONLY_DOCTOR - BEFORE_A_COPY))
def test_what_may_keep_bytes_from_reading_is_shown_each_time(name: str) -> None:
    findings = (a_finding(name),)
    assert next(finding_lines(findings, as_known(findings))).endswith(f"[{name}]")


@pytest.mark.parametrize("name", names.FINDINGS)
def test_errors_and_forced_findings_are_shown_each_time(name: str) -> None:
    for one in (a_finding(name, FindingStatus.ERROR), a_finding(name, forced=True)):
        assert next(finding_lines((one,), as_known((one,)))).endswith(f"Seen. [{name}]")


def test_new_words_are_news() -> None:
    before = Finding(name=names.BYTES_RAWS, status=FindingStatus.WARNING, seen="One.")
    after = Finding(name=names.BYTES_RAWS, status=FindingStatus.WARNING, seen="Two.")
    assert list(finding_lines((after,), as_known((before,)))) == [f"warning: Two. [{names.BYTES_RAWS}]"]


def test_empty_files_are_for_the_plan() -> None:
    findings = (a_finding(names.EMPTY_FILES),)
    assert next(finding_lines(findings, is_plan=True)).startswith("warning")
    assert list(finding_lines(findings)) == ["1 more warning not shown: `bytes-migrator doctor` shows all."]


def test_the_ledger_knows_what_the_last_run_of_the_pair_showed(tmp_path: Path) -> None:
    findings = (a_finding(names.BYTES_RAWS),)
    report = report_of({"alpha": tally_of(copied=(1, 1))}, findings=findings)
    with Ledger.open(tmp_path / "a.sqlite", source_identity="a", target_identity="b", now=1.0) as ledger:
        assert known_findings(ledger) == frozenset()
        ledger.begin_run("one", "migrate", "a", "b", settings_fingerprint="x", started_at=1.0)
        ledger.save_report("one", as_kept(report))
        ledger.begin_run("two", "verify", "a", "b", settings_fingerprint="x", started_at=2.0)
        assert known_findings(ledger) == as_known(findings)
