"""Logs, metrics and file lists that can no longer be written: the run goes on, and its end says so."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from migrator.cli.logs import log_to
from migrator.cli.main import main
from migrator.cli.run_outputs import Reporting
from migrator.core.errors import MustStop
from migrator.core.notices import Problem
from migrator.core.outcomes import Outcome
from migrator.reports.file_list import FileList
from migrator.reports.metrics import MetricsFile
from migrator.reports.report_folder import ReportFolder
from migrator.sync.messages import ProgressEvent
from tests import command

LOG = logging.getLogger("migrator")


def given(**options: Any) -> dict[str, Any]:
    nothing = {"verbose": False, "log_file": None, "log_format": "text", "report": None, "metrics_file": None}
    return {**nothing, "on_finish": None, **options}


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("is_there", [False, True])
def test_a_log_file_is_for_its_owner_alone(tmp_path: Path, is_there: bool) -> None:
    path = tmp_path / "log"
    if is_there:
        path.write_text("earlier\n")
        path.chmod(0o644)
    before = os.umask(0)
    try:
        with log_to(given(log_file=path)):
            LOG.warning("a line")
    finally:
        os.umask(before)
    assert mode_of(path) == 0o600
    assert path.read_text().endswith("a line\n")
    assert path.read_text().startswith("earlier\n") == is_there


def test_a_log_file_that_starts_anew_is_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("migrator.cli.logs.LOG_FILE_BYTES", 50)
    with log_to(given(log_file=tmp_path / "log")):
        for _ in range(3):
            LOG.warning("x" * 40)
    assert [mode_of(tmp_path / name) for name in ("log", "log.1")] == [0o600, 0o600]


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_log_that_cannot_be_written_is_told_at_the_end(form: str, capfd: pytest.CaptureFixture[str]) -> None:
    with log_to(given(log_file=Path("/dev/full"), log_format=form)):
        for _ in range(3):
            LOG.warning("a line")
        assert capfd.readouterr().err == ""
    told = capfd.readouterr().err
    assert told.count("\n") == 1
    assert "3 lines could not be written to the log file /dev/full (No space left on device)" in told


def test_a_log_goes_on_once_it_can_be_written_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    link = tmp_path / "log"
    link.symlink_to("/dev/full")
    with log_to(given(log_file=link)):
        LOG.warning("lost")
        link.unlink()
        LOG.warning("written")
    assert link.read_text().endswith("written\n")
    assert "1 line could not be written" in capfd.readouterr().err


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_log_holds_no_login_and_no_signature(tmp_path: Path, form: str) -> None:
    with log_to(given(log_file=tmp_path / "log", log_format=form)):
        LOG.warning("by http://me:hunter2@proxy:3128 to https://h/k?X-Amz-Signature=hunter2")
    text = (tmp_path / "log").read_text()
    assert "proxy:3128" in text
    assert "hunter2" not in text


def test_metrics_that_cannot_be_written_are_told_at_the_end(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "textfile"
    folder.mkdir()
    reports = Reporting(given(metrics_file=folder / "m.prom"), "migrate")
    reports._metrics = MetricsFile(folder / "m.prom", "migrate")
    (folder / "m.prom").unlink()
    folder.rmdir()
    reports.end(0)
    assert "warning: The metrics file" in capfd.readouterr().err
    folder.mkdir()
    assert reports._metrics.end(0, None) == ""


def test_a_file_list_that_cannot_be_written_is_told_with_its_cure(tmp_path: Path) -> None:
    lists = FileList(ReportFolder(tmp_path / "report", data_folders=()))
    for one in lists._lists:
        os.dup2(os.open("/dev/full", os.O_WRONLY), one._file.fileno())
    problem = Problem(kind=Outcome.FAILED.value, organization="acme", where="x" * 100_000, reason="y")
    lists.on_event(ProgressEvent(organization="acme", problems=(problem,)))
    with pytest.raises(MustStop) as caught:
        lists.finish()
    assert "No space left" in caught.value.what
    assert "bytes-migrator report" in caught.value.cure
    assert list((tmp_path / "report").iterdir()) == []


def test_a_run_goes_on_where_stderr_cannot_be_written(tmp_path: Path) -> None:
    words = (
        "migrate",
        "--yes",
        "--from",
        f"{tmp_path}/data",
        "--to",
        f"{tmp_path}/new",
        "--metrics-file",
        tmp_path / "m",
    )
    raw = tmp_path / "data/acme/abc/abc01234-1111-4111-8111-111111111111"
    raw.parent.mkdir(parents=True)
    raw.write_bytes(b"x")
    full = ("sh", "-c", 'exec "$@" 2>/dev/full', "sh")
    done = command.run(*words, "--log-format", "json", "--state-dir", tmp_path / "state", before=full).expect(0)
    assert "Everything is accounted for" in done.stdout


ECHOES = [
    ["plan", "s3://AK:hunter2@b"],
    ["plan", "--from", "s3://AK:hunter2@b/{organization}", "--to", "disk"],
    [
        "plan",
        "--from",
        "disk",
        "--to",
        "s3",
        "--endpoint-url",
        "http://h/?X-Amz-Signature=hunter2",
        "--bucket",
        "b",
        "--single-bucket",
    ],
    ["plan", "--from", "disk", "--to", "s3", "--bucket", "http://AK:hunter2@h/b", "--single-bucket"],
    ["plan", "--http://AK:hunter2@h", "x"],
    ["plan", "--patience", "http://AK:hunter2@h"],
]


@pytest.mark.parametrize("words", ECHOES)
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_no_command_line_is_told_with_its_secrets(
    words: list[str], more: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, *more])
    assert ended.value.code == 2
    told = "".join(capfd.readouterr())
    assert told
    assert "hunter2" not in told
