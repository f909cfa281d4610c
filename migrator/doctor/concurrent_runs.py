"""Who else writes, or wrote, at these ends."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.core.findings import Finding
from migrator.doctor import finding_names
from migrator.doctor.finding_shorthands import passed, some_of, warned


def run_finding(run: str, *, is_running: bool) -> Finding:
    """`run` is the id of a run of these two locations that has no end, "" for none."""
    if is_running:
        return warned(
            finding_names.UNFINISHED_RUN,
            "A run between these two locations is under way now.",
            "No second one can start beside it.",
            "bytes-migrator status",
        )
    if run:
        return warned(
            finding_names.UNFINISHED_RUN,
            f"The run {run} was broken off.",
            "What it copied is at the target.",
            "Rerun migrate to resume.",
        )
    return passed(finding_names.UNFINISHED_RUN, "No run is unfinished.")


def ledgers_finding(others: Sequence[str]) -> Finding:
    """`others` are runs, in words, between one of these two locations and a third."""
    if not others:
        return passed(finding_names.OTHER_LEDGERS, "No other ledger in the state folder has one of these locations.")
    return warned(
        finding_names.OTHER_LEDGERS,
        f"There were migrations between one of these locations and another: {some_of(others)}.",
        "Two sources in one target are mixed; another target than last time splits raw files.",
        "bytes-migrator status shows them. Continue if you want that.",
    )
