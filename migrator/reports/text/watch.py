"""What `watch` came to: the report of its last pass, and what it did all in all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from migrator.core.entities import RawFile
from migrator.core.notices import Problem
from migrator.core.tally import Count
from migrator.reports.formatting import duration, files, number, placed, plural, size
from migrator.reports.json import as_json, report_as_dict
from migrator.reports.report import Report
from migrator.reports.text.console import body_lines
from migrator.reports.text.ending import ending
from migrator.reports.text.wrapping import joined

IDLE, STOPPED = "idle", "stopped"
"""What ends watching besides signals and limits: nothing new came; the operator said that Bytes is stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """`report` is the last pass's. Times in seconds. `proven` were read at both ends; `unproven` could not be proven to be equal.

    `newest` are the raw files that were copied after Bytes was stopped.
    """

    report: Report
    ended_by: str
    seconds: float
    passes: int
    rounds: int
    copied: Count
    lag_files: int
    lag_seconds: float
    largest_lag_seconds: float
    away_seconds: float
    downtime_seconds: float | None = None
    proven: Count = field(default_factory=Count)
    unproven: tuple[Problem, ...] = ()
    settings_lines: tuple[str, ...] = ()
    still_writes: bool = False
    newest: tuple[RawFile, ...] = ()

    @property
    def exit_status(self) -> int:
        """Return the last pass's status, at least 1 if something is unproven or Bytes still writes at the source."""
        if self.unproven or self.still_writes:
            return max(1, self.report.exit_status)
        return self.report.exit_status


def watch_as_json(watched: Watched) -> str:
    """The document of ``--json`` for watch: that of a pass, and more."""
    document = report_as_dict(watched.report)
    problems = [*watched.report.totals.problems, *watched.unproven]
    document |= {
        "seconds": round(watched.seconds, 3),
        "ended_by": watched.ended_by,
        "passes": watched.passes,
        "looks": watched.rounds,
        "copied": watched.copied.as_dict(),
        "lag": {
            "files": watched.lag_files,
            "seconds": round(watched.lag_seconds, 3),
            "largest_seconds": round(watched.largest_lag_seconds, 3),
        },
        "server_away_seconds": round(watched.away_seconds, 3),
        "downtime_seconds": None if watched.downtime_seconds is None else round(watched.downtime_seconds, 3),
        "proven": watched.proven.as_dict(),
        "still_writes": watched.still_writes,
        "settings_lines": list(watched.settings_lines),
        "problems": [problem.as_dict() for problem in problems],
        "problems_total": watched.report.totals.problems_total + len(watched.unproven),
        "exit_status": watched.exit_status,
    }
    return as_json(document)


def watch_as_text(watched: Watched, width: int | None = None) -> str:
    """What watch prints at its end."""
    return joined(_lines(watched, width), width)


def _lines(watched: Watched, width: int | None) -> Iterator[str]:
    yield from body_lines(watched.report, width)
    yield ""
    yield (
        f"Watched for {duration(watched.seconds)}: {plural(watched.passes, 'pass').replace('passs', 'passes')}, "
        f"{number(watched.rounds)} looks, {files(watched.copied.files)} ({size(watched.copied.bytes)}) copied. "
        f"What came in meanwhile was at the target after {duration(watched.largest_lag_seconds)} at most."
    )
    if watched.lag_files:
        yield f"{files(watched.lag_files)} were still to be copied when it ended."
    if watched.away_seconds:
        yield f"The server was away for {duration(watched.away_seconds)}."
    for problem in watched.unproven:
        yield f"not proven: {placed(problem.where, problem.reason)}"
    if watched.downtime_seconds is not None:
        yield from _last_pass_lines(watched)
    yield from ending(watched.report)
    if watched.exit_status != watched.report.exit_status:
        yield "Do not give Bytes the new settings yet: fix what is listed above, then rerun."


def _last_pass_lines(watched: Watched) -> Iterator[str]:
    yield f"What the last pass copied was read at both ends and is equal: {files(watched.proven.files)} ({size(watched.proven.bytes)})."
    if watched.still_writes:
        yield "warning: raw files still came in after you said that Bytes was stopped. Stop it, then rerun."
    yield f"Downtime so far: {duration(watched.downtime_seconds or 0.0)}."
