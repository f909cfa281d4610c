"""`status` and `report`: newest pair first, conflicts before strays, and what `prune` and `verify` did."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.app.stored_report import report_of_run
from migrator.core.notices import Problem
from migrator.ledger.directory import StateFolder
from migrator.ledger.ledger import Ledger
from migrator.ledger.record_codec import Totals
from migrator.reports.formatting import Whole
from migrator.reports.stored_form import lines_as_kept, lines_in
from migrator.reports.text.console import report_as_text, stored_as_text
from migrator.reports.text.status import read_status, status_as_text
from migrator.sync.totals import reason_of
from tests.unit.reports.samples import tally_of


def a_run(
    state: StateFolder, pair: tuple[str, str], run_id: str, command: str, at: float, totals: Totals, *problems: Problem
) -> None:
    source, target = pair
    path = state.ledger_path(source, target)
    with Ledger.open(path, source_identity=source, target_identity=target, now=at) as ledger:
        ledger.begin_run(run_id, command, source, target, settings_fingerprint="x", started_at=at)
        ledger.record_problems(run_id, problems)
        ledger.end_run(run_id, exit_status=0, ended_at=at + 1, totals=totals)


def a_state(tmp_path: Path) -> StateFolder:
    tmp_path.chmod(0o700)
    return StateFolder(tmp_path)


def test_the_newest_pair_and_the_gravest_problem_come_first(tmp_path: Path) -> None:
    state = a_state(tmp_path)
    strays = [Problem("stray", "org", f"/data/{number}", "a file") for number in range(30)]
    conflict = Problem("conflict", "org", "/data/org/x", "/data/org/x: another size")
    for at, pair in ((10.0, ("/a", "s3://a")), (30.0, ("/c", "s3://c")), (20.0, ("/b", "s3://b"))):
        a_run(state, pair, f"run-{at:.0f}", "migrate", at, {}, *strays, conflict)
    pairs = read_status(state, runs=5, problems=3)
    assert [pair.source for pair in pairs] == ["/c", "/b", "/a"]
    assert [problem.kind for problem in pairs[0].problems] == ["conflict", "stray", "stray"]
    lines = status_as_text(pairs[:1]).splitlines()
    assert lines.index("  1 conflict") < lines.index("  30 strays")
    assert "    conflict: /data/org/x: another size" in lines


def test_strays_are_counted_by_reason_and_listed_only_when_asked_for(tmp_path: Path) -> None:
    state = a_state(tmp_path)
    strays = [
        Problem("stray", "org", f"/data/{number}", "a file" if number else "a temporary file") for number in range(30)
    ]
    a_run(
        state, ("/a", "s3://a"), "one", "migrate", 1.0, {}, *strays, Problem("failed", "org", "/data/org/x", "refused")
    )
    lines = status_as_text(read_status(state, runs=5, problems=None)).splitlines()
    assert lines[-3:] == [
        "  1 failed",
        "  30 strays: a file; a temporary file (--problems 30 lists each)",
        "    failed: /data/org/x: refused",
    ]
    listed = status_as_text(read_status(state, runs=5, problems=1000)).splitlines()
    assert sum(line.startswith("    stray: ") for line in listed) == 30


def test_prune_and_verify_say_what_they_did(tmp_path: Path) -> None:
    state = a_state(tmp_path)
    pair = ("/a", "s3://a")
    pruned = {
        name: {"files": files, "bytes": 10 * files} for name, files in (("discovered", 3), ("deleted", 2), ("kept", 1))
    }
    a_run(state, pair, "one", "prune", 1.0, {"org": pruned})
    a_run(state, pair, "two", "verify", 2.0, {"org": tally_of(proven=(3, 30)).as_proofs()})
    text = status_as_text(read_status(state, runs=5, problems=0))
    assert "prune finished in 1.0 s: 3 files, 0 bytes: 2 deleted, 1 kept" in text.replace("30 bytes", "0 bytes")
    assert "verify finished in 1.0 s: 3 files, 30 bytes: 3 proven" in text
    one, two = (report_as_text(report_of_run(state, run)) for run in ("one", "two"))
    assert one.endswith("2 files (20 bytes) deleted at the source, 1 kept, in 1.0 s.")
    assert "Proven: all 3 files (30 bytes), in 1.0 s." in two
    assert two.count("organization") == 1


def test_conflicts_of_other_sizes_are_one_group() -> None:
    reasons = {
        reason_of(Problem("conflict", "org", "/x", f"another size ({size:,} bytes, 5 at the source)"))
        for size in (1, 2_000)
    }
    assert reasons == {"another size"}


@pytest.mark.parametrize("command", ["verify", "prune"])
def test_a_report_shows_a_run_as_it_was_shown(command: str, tmp_path: Path) -> None:
    state = a_state(tmp_path)
    shown = ("level etag: what was read has the digest that the server keeps.", Whole("organization  files"), "Proven.")
    a_run(state, ("/a", "s3://a"), "one", command, 1_767_323_045.0, {"org": tally_of(proven=(3, 30)).as_proofs()})
    path = state.ledger_path("/a", "s3://a")
    with Ledger.open(path, source_identity="/a", target_identity="s3://a", now=2.0) as ledger:
        ledger.save_report("one", lines_as_kept(shown))
    report = report_of_run(state, "one")
    assert report.shown == shown
    assert isinstance(report.shown[1], Whole)
    first, *lines = stored_as_text(report, 40).splitlines()
    assert first == f"run   {command} of 2026-01-02 03:04:05 UTC"
    assert lines[0].strip() == "[one]"
    assert "organization  files" in lines
    assert lines[-1] == "Proven."


def test_lines_that_are_damaged_are_left_out() -> None:
    assert lines_in({"shown": [["a", False], ["b"], [1, True], "c", ["d", True]]}) == ("a", "d")
    assert lines_in({"shown": 7}) == ()
