"""How long a run will take, by what the ledger has of earlier ones."""

from __future__ import annotations

from typing import Any

import pytest

from migrator.app.speed_measurement import earlier_pace
from migrator.core.tally import Count
from migrator.ledger.record_codec import RunRow
from migrator.reports.estimate import Measured, Work, estimate_of


def run(seconds: float, files: int, size: int, **more: Any) -> RunRow:
    count = {"files": files, "bytes": files * size}
    known: dict[str, Any] = {
        "run_id": f"run-{seconds:g}",
        "command": "migrate",
        "source": "/data (disk)",
        "target": "s3://b/{organization} at http://127.0.0.1:1",
        "settings_fingerprint": "",
        "started_at": 100.0,
        "ended_at": 100.0 + seconds,
        "exit_status": 0,
        "totals": {"acme": {"discovered": count, "copied": count}},
    }
    return RunRow(**{**known, **more})


def estimate(runs: list[RunRow], alike: list[RunRow], files: int, size: int) -> tuple[float, float]:
    work = Work(missing={"acme": Count(files, files * size)}, discovered=files)
    return estimate_of(work, Measured(earlier=earlier_pace(runs, lambda: alike))).seconds


@pytest.mark.parametrize(("files", "seconds"), [(1_000, 2.0), (10_000, 15.5), (100_000, 150.5)])
def test_ten_times_the_files_take_about_ten_times_as_long(files: int, seconds: float) -> None:
    fast, slow = estimate([run(15.5, 10_000, 10_000)], [], files, 10_000)
    assert fast < seconds < slow < 3 * seconds
    assert fast > seconds / 3


def test_the_middle_of_the_last_runs_counts_and_runs_that_copied_little_do_not() -> None:
    usual = [run(15.5, 10_000, 10_000) for _ in range(3)]
    few, stalled = run(60.0, 3, 10), run(900.0, 10_000, 10_000)
    assert estimate([few, stalled, *usual], [], 10_000, 10_000) == estimate(usual, [], 10_000, 10_000)


def test_runs_of_other_ledgers_count_where_these_locations_have_none() -> None:
    other, own = run(155.5, 10_000, 10_000), run(15.5, 10_000, 10_000)
    assert estimate([], [other], 10_000, 10_000) == estimate([other], [], 10_000, 10_000)
    assert estimate([own], [other], 10_000, 10_000) == estimate([own], [], 10_000, 10_000)
    assert (
        earlier_pace([], lambda: [run(9.0, 10_000, 10, command="verify"), run(9.0, 10_000, 10, ended_at=None)]) is None
    )
