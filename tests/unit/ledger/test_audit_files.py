"""Audits are kept beside the ledgers: what was kept comes back, the oldest go, and what is damaged is as if it were not there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from migrator.app.audit_record import kept_for_report
from migrator.app.stored_report import run_of_audit
from migrator.cli.main import cli
from migrator.core.errors import SettingsError
from migrator.ledger.audit_files import KeptAudit, keep_audit, kept_audit, kept_audits
from migrator.ledger.directory import StateFolder
from migrator.reports.formatting import marked
from migrator.reports.text.audit import audit_as_text
from tests.unit.reports import answers
from tests.unit.reports.test_status_order import a_run


def a_state(tmp_path: Path) -> StateFolder:
    tmp_path.chmod(0o700)
    return StateFolder(tmp_path)


def an_audit(number: int, **more: object) -> KeptAudit:
    values: dict[str, object] = {
        "run": f"20260102-030405-{number:06x}",
        "started": float(number),
        "seconds": 2.0,
        "target": "/data (disk)",
        "database": "rows.csv",
        "exit_status": 1,
        "answer": "With these settings Bytes can read 1 of 2 raw files.",
        "lines": (("a line\x1b", False), ("a  row", True)),
        "document": '{"command": "audit"}',
        **more,
    }
    return KeptAudit(**values)  # type: ignore[arg-type]


def test_what_is_kept_comes_back_for_its_owner_alone(tmp_path: Path) -> None:
    state = a_state(tmp_path)
    keep_audit(state, an_audit(7))
    assert kept_audit(state, an_audit(7).run) == an_audit(7)
    [path] = (tmp_path / "audits").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert kept_audit(state, "../audits/x") is None
    assert kept_audit(state, an_audit(8).run) is None


def test_the_newest_come_first_and_the_oldest_go(tmp_path: Path) -> None:
    state = a_state(tmp_path)
    for number in range(5):
        keep_audit(state, an_audit(number), most=3)
    assert [one.started for one in kept_audits(state, 10)] == [4.0, 3.0, 2.0]
    assert [one.started for one in kept_audits(state, 1)] == [4.0]


@pytest.mark.parametrize("content", ["", "[]", '{"started": true}', "\xff", '{"lines": [[1]]}'])
def test_what_is_damaged_is_as_if_it_were_not_there(content: str, tmp_path: Path) -> None:
    state = a_state(tmp_path)
    keep_audit(state, an_audit(1))
    (tmp_path / "audits" / f"{an_audit(2).run}.json").write_text(content, encoding="latin-1")
    assert [one.run for one in kept_audits(state, 10)] == [an_audit(1).run]


def test_the_last_run_is_the_audit_only_where_it_began_last(tmp_path: Path) -> None:
    state = a_state(tmp_path)
    assert run_of_audit(state, None) is None
    keep_audit(state, an_audit(20))
    assert run_of_audit(state, None) == an_audit(20)
    a_run(state, ("/a", "s3://a"), "one", "migrate", 30.0, {})
    assert run_of_audit(state, None) is None
    assert run_of_audit(state, an_audit(20).run) == an_audit(20)


def test_report_and_status_show_an_audit_as_it_was_shown(tmp_path: Path) -> None:
    report = kept_for_report(a_state(tmp_path), answers.audit())
    words = ("--state-dir", str(tmp_path))

    def shown(*more: str) -> str:
        return CliRunner().invoke(cli, [*more, *words], env={"COLUMNS": "80"}).output

    assert audit_as_text(report, 80).splitlines()[0] in shown("report", report.run)
    assert [text for text, is_whole in marked(audit_as_text(report).splitlines()) if not is_whole]
    assert f'"run": "{report.run}"' in shown("report", report.run, "--json")
    refused = CliRunner().invoke(cli, ["report", report.run, "--format", "html", *words]).exception
    assert isinstance(refused, SettingsError)
    assert refused.name == "report-form"
    assert "Audits of Bytes' database" in shown("status")
    assert f"[{report.run}]" in " ".join(shown("status").split())


def test_an_audit_needs_no_state_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = kept_for_report(StateFolder(tmp_path / "file" / "state"), answers.audit())
    assert found == answers.audit()
    assert os.listdir(tmp_path) == ["file"]
