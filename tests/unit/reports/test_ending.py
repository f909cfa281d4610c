"""The last lines of a run: which steps are left, and what a forced finding keeps Bytes from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from migrator.app.next_steps import Steps, next_steps
from migrator.cli.logs import log_forced, log_to
from migrator.config.locations import DiskLocation, Locations
from migrator.core.findings import Finding, FindingStatus
from migrator.core.notices import Problem
from migrator.core.tally import Count
from migrator.reports.html.page import report_as_html
from migrator.reports.json import report_as_dict
from migrator.reports.report import Report
from migrator.reports.stored_form import as_kept, forced_in
from migrator.reports.text.console import report_as_text
from migrator.reports.text.watch import IDLE, STOPPED, Watched, watch_as_text
from migrator.sync.source_overview import as_forced
from tests.unit.reports.samples import report_of, tally_of

OLD = DiskLocation(root=Path("/old"), folder_mode=0o740, file_mode=0o640)
NEW = DiskLocation(root=Path("/new"), folder_mode=0o740, file_mode=0o640)
ENDS = Locations(source=OLD, target=NEW, settings=(), findings=())
COPIED = {"alpha": tally_of(copied=(2, 20), present=(1, 10))}
NOTHING_NEW = {"alpha": tally_of(present=(3, 30))}
BROKEN = Finding(
    name="bytes-calls",
    status=FindingStatus.ERROR,
    seen="Bytes would answer HTTP 500.",
    cure="Put nginx before it. To continue anyway: --force bytes-calls.",
)
UNTRIED = replace(BROKEN, status=FindingStatus.WARNING, seen="Bytes' own calls were not tried.")
NO_ROOM = replace(BROKEN, name="disk-space", seen="There is too little room.", cure="")
INVALID = replace(BROKEN, name="bucket-names", seen="1 of 2 bucket names are invalid.")


def forced(*findings: Finding) -> tuple[Finding, ...]:
    return as_forced(findings, frozenset(one.name for one in findings))


def ended(report: Report, steps: Steps = Steps.BY_TOTALS, *, is_part: bool = False, ends: Locations = ENDS) -> Report:
    return replace(report, next_steps=next_steps(report, ends, steps, is_part=is_part))


@pytest.mark.parametrize(
    ("report", "steps", "numbered"),
    [
        (report_of(COPIED), Steps.BY_TOTALS, ["1. Stop Bytes", "2. Give Bytes", "3. Start Bytes"]),
        (report_of(NOTHING_NEW), Steps.BY_TOTALS, ["1. Give Bytes", "2. Start Bytes"]),
        (report_of(NOTHING_NEW), Steps.ALL, ["1. Stop Bytes", "2. Give Bytes", "3. Start Bytes"]),
        (report_of(COPIED), Steps.AFTER_THE_STOP, ["1. Give Bytes", "2. Start Bytes"]),
        (report_of(COPIED), Steps.NONE, []),
        (report_of({"alpha": tally_of(copied=(2, 20), failed=(1, 1))}), Steps.ALL, []),
        (report_of({"alpha": tally_of(copied=(2, 20), conflict=(1, 1))}), Steps.BY_TOTALS, []),
        (report_of(COPIED, findings=(BROKEN,)), Steps.ALL, []),
        (report_of(COPIED, findings=forced(BROKEN)), Steps.ALL, []),
        (report_of(COPIED, findings=forced(UNTRIED)), Steps.AFTER_THE_STOP, []),
        (report_of(COPIED, findings=forced(INVALID)), Steps.BY_TOTALS, []),
        (report_of(COPIED, findings=forced(replace(BROKEN, name="service-user"))), Steps.ALL, []),
        (report_of(COPIED, findings=forced(replace(BROKEN, name="closed-to-bytes"))), Steps.ALL, []),
        (report_of(COPIED, findings=forced(replace(BROKEN, name="folders-above"))), Steps.ALL, []),
        (report_of(COPIED, findings=forced(NO_ROOM)), Steps.AFTER_THE_STOP, ["1. Give Bytes", "2. Start Bytes"]),
        (report_of(COPIED, dry_run=True), Steps.ALL, []),
    ],
)
def test_only_steps_that_are_open_are_listed_and_each_once(report: Report, steps: Steps, numbered: list[str]) -> None:
    lines = ended(report, steps).next_steps
    found = [line.strip() for line in lines if line.strip()[:1].isdigit()]
    assert len(found) == len(numbered)
    assert all(line.startswith(begin) for line, begin in zip(found, numbered, strict=True))
    assert sum("BYTES_DATA_DIR=/new" in line for line in lines) == bool(numbered)


def test_no_steps_where_bytes_settings_already_point_to_the_target() -> None:
    [line] = ended(report_of(COPIED), ends=replace(ENDS, bytes_reads=NEW)).next_steps
    assert "already point to the target" in line
    assert ended(report_of(COPIED), ends=replace(ENDS, bytes_reads=OLD)).next_steps[0] == "What to do next"


def test_a_run_over_a_part_lists_no_steps() -> None:
    [line] = ended(report_of(COPIED), is_part=True).next_steps
    assert "a part only" in line


@pytest.mark.parametrize("finding", [BROKEN, UNTRIED])
def test_a_forced_finding_that_keeps_bytes_out_ends_the_report(finding: Finding) -> None:
    report = ended(report_of(COPIED, findings=forced(finding)))
    text = report_as_text(report)
    last = text.splitlines()[-3:]
    assert last[0].startswith("Everything is copied, and Bytes cannot read it there until ")
    assert "--force bytes-calls" in last[0]
    assert last[1:] == ["  cure: Put nginx before it.", "Do not give Bytes the new settings before that."]
    assert report.exit_status == 0
    assert report_as_dict(report)["findings"][0]["forced"] is True  # type: ignore[index]
    page = report_as_html(report)
    assert "Bytes cannot read it there until" in page
    assert 'class="verdict bad"' in page


def test_another_forced_finding_is_in_the_last_lines_before_the_steps() -> None:
    lines = report_as_text(ended(report_of(NOTHING_NEW, findings=forced(NO_ROOM)))).splitlines()
    assert lines.index("forced: There is too little room. [disk-space]") < lines.index("What to do next")


def test_a_part_that_failed_is_not_called_copied() -> None:
    text = report_as_text(ended(report_of({"a": tally_of(copied=(2, 20), failed=(1, 1))}, findings=forced(BROKEN))))
    assert "Some of it is copied, and Bytes cannot read it there until" in text
    assert "Everything" not in text


def test_a_forced_finding_is_in_the_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with log_to({"verbose": False, "log_file": path, "log_format": "json"}):
        log_forced((*forced(BROKEN), NO_ROOM))
    [line] = path.read_text().splitlines()
    told = json.loads(line)
    assert (told["event"], told["name"], told["forced"]) == ("finding", "bytes-calls", True)


def test_a_report_that_is_told_again_still_has_it() -> None:
    kept = as_kept(report_of(COPIED, findings=(*forced(BROKEN), NO_ROOM)))
    assert forced_in(kept) == ("bytes-calls",)


def watched(report: Report, ended_by: str, **more: object) -> Watched:
    values: dict[str, object] = {
        "report": report,
        "ended_by": ended_by,
        "seconds": 1.0,
        "passes": 1,
        "rounds": 1,
        "copied": Count(),
        "lag_files": 0,
        "lag_seconds": 0.0,
        "largest_lag_seconds": 0.0,
        "away_seconds": 0.0,
        **more,
    }
    return Watched(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(("by", "steps", "stops"), [(STOPPED, Steps.AFTER_THE_STOP, 0), (IDLE, Steps.ALL, 1)])
def test_watch_prints_settings_once_and_never_stop_after_the_stop(by: str, steps: Steps, stops: int) -> None:
    downtime = 2.0 if by == STOPPED else None
    text = watch_as_text(watched(ended(report_of(COPIED), steps), by, downtime_seconds=downtime))
    assert text.count("BYTES_DATA_DIR=/new") == 1
    assert text.count("Stop Bytes") == stops


def test_watch_that_could_not_prove_everything_prints_no_settings() -> None:
    unproven = (Problem("unproven", "alpha", "/old/x", "it differs"),)
    told = watched(ended(report_of(COPIED), Steps.NONE), STOPPED, downtime_seconds=2.0, unproven=unproven)
    text = watch_as_text(told)
    assert told.exit_status == 1
    assert "BYTES_DATA_DIR" not in text
    assert text.splitlines()[-1].startswith("Do not give Bytes the new settings yet")
