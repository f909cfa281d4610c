"""What the operator does after a run: the steps of the switch, as far as they are still open, and only if there is no blocker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum

from migrator.config.locations import Location, Locations, settings_lines
from migrator.core.outcomes import Outcome
from migrator.reports.report import Report
from migrator.reports.text.ending import keeps_bytes_out

GO_ON = ("Rerun the same command to resume.",)


class Steps(Enum):
    """Which steps of the switch are still open: none, those after Bytes was stopped, all, or what the run's totals say."""

    NONE = "none"
    AFTER_THE_STOP = "after the stop"
    ALL = "all"
    BY_TOTALS = "by totals"


def next_steps(report: Report, locations: Locations, steps: Steps, *, is_part: bool) -> tuple[str, ...]:
    """The lines for the end of a report; empty where Bytes must not be switched yet. `is_part`: not all raw files were looked at."""
    if report.dry_run or report.stopped is not None:
        return ()
    if report.interrupted_by:
        return GO_ON
    if steps is Steps.NONE or report.exit_status != 0 or keeps_bytes_out(report.findings):
        return ()
    if is_part:
        return (
            "This run looked at a part only. Before the switch, run it again without --organization and without an age.",
        )
    if locations.bytes_reads is not None and locations.bytes_reads.identity == locations.target.identity:
        return ("Bytes' settings already point to the target: nothing is left to switch.",)
    if steps is Steps.BY_TOTALS:
        steps = Steps.ALL if report.overall[Outcome.COPIED].files else Steps.AFTER_THE_STOP
    return tuple(_lines(locations.target, is_all=steps is Steps.ALL))


def _lines(target: Location, *, is_all: bool) -> Iterator[str]:
    stop = "Stop Bytes, rerun this command with --full for what came in meanwhile, and continue only if it ends with 0."
    give = ("Give Bytes these settings:", *(f"     {line}" for line in settings_lines(target)))
    steps: list[Sequence[str]] = [(stop,)] if is_all else []
    steps += [give, ("Start Bytes and open some raw file in OpenKAT, an old one and a new one.",)]
    yield "What to do next"
    for number, (first, *more) in enumerate(steps, 1):
        yield f"  {number}. {first}"
        yield from (f"  {line}" for line in more)
    yield (
        "  To go back: put the old settings back and restart Bytes; nothing was removed from the source. The same command with --from and"
        " --to swapped copies back what Bytes saved at the new place meanwhile."
    )
