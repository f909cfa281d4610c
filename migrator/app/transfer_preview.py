"""What a run is about to do, counted for the question that `migrate` and `watch` ask first. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from migrator.app.first_check_result import Prepared
from migrator.app.options import Options
from migrator.app.run_memory import only_reading
from migrator.app.speed_measurement import busy, earlier_pace, is_near, runs_alike
from migrator.app.store_factory import patience_of, reading
from migrator.config.locations import S3Location
from migrator.core.cancellation import StopFlag
from migrator.core.tally import Count
from migrator.ledger.record_codec import RunRow
from migrator.reports.estimate import Estimate, Measured, Work, estimate_of
from migrator.sync.source_counter import SourceCounter

COUNTED_FOR_SECONDS = 10.0
"""Longer than this nobody waits for a question; a larger source is shown as a lower bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """`source` is what was counted there, all of it if `is_final`. `at_target`: files that the last run left at the target; None: no run.

    `known` are name and words of findings that earlier runs of this pair showed.
    """

    source: Count
    is_final: bool
    at_target: int | None
    estimate: Estimate
    known: frozenset[tuple[str, str]]


def announced(prepared: Prepared, options: Options) -> Announcement:
    """Count the source for up to ten seconds. Raises MigratorError for a source that cannot be read."""
    locations = prepared.locations
    with only_reading(locations, options) as memory:
        runs, known = memory.runs, memory.known
    with reading(locations.source, patience_of(options, StopFlag())) as source:
        with SourceCounter(source, prepared.overview.organizations, options.ages) as ahead:
            ahead.finish(COUNTED_FOR_SECONDS)
        counted, by_organization, is_final = ahead.total, ahead.by_organization, ahead.is_final
    at_target = _at_target(runs)
    missing = max(0, counted.files - (at_target or 0))
    share = missing / counted.files if counted.files else 0.0
    work = Work(
        missing={
            name: Count(round(count.files * share), round(count.bytes * share))
            for name, count in by_organization.items()
        },
        discovered=counted.files,
        buckets_to_create=len(prepared.buckets_to_create),
        from_s3=isinstance(locations.source, S3Location),
        to_s3=isinstance(locations.target, S3Location),
    )
    pace = earlier_pace(runs, lambda: runs_alike(options.state, locations))
    estimate = estimate_of(work, Measured(earlier=pace, busy=busy(), is_near=is_near(locations)))
    return Announcement(source=counted, is_final=is_final, at_target=at_target, estimate=estimate, known=known)


def _at_target(runs: Sequence[RunRow]) -> int | None:
    """The files that the newest run between these locations copied or found there."""
    for run in runs:
        if run.command == "migrate" and run.totals:
            rows = run.totals.values()
            return sum(row.get(name, {}).get("files", 0) for row in rows for name in ("copied", "present"))
    return None
