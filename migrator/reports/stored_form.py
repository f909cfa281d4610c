"""A report in the ledger: what it has besides totals and problems, which are kept anyway, and the way back.

What comes back is checked like anything from the ledger: a field that is not what was written is as if it had not been kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from migrator import __version__
from migrator.config.env_file import Setting
from migrator.core.findings import Finding, FindingStatus
from migrator.core.notices import Problem
from migrator.core.outcomes import Outcome
from migrator.core.tally import Count, Shape, Tally
from migrator.ledger.record_codec import END_OF_TIME, RunRow
from migrator.reports.formatting import marked, unmarked
from migrator.reports.report import Report, ReportRow, Stopped
from migrator.sync.totals import MOST_STEPS, Timeline, TimelineStep, Totals

_MOST_DIGITS, _MOST_DAYS = 64, 100_000
COMPARED_BY = ("content", "etag", "size")
_BESIDE = ("extra", "stray", "closed", "owner_corrected", "present_unseen")


def as_kept(report: Report) -> dict[str, object]:
    """The inverse of `report_again`, but for totals and problems. Holds no secret: settings are kept as they are shown."""
    totals = report.totals
    shape, course = totals.shape, totals.course
    return {
        "version": report.version,
        "buckets": {row.organization: row.bucket for row in report.rows if row.bucket is not None},
        "unreadable": {row.organization: row.tally.unreadable_folders for row in report.rows},
        "beside": [totals.beside.files, totals.beside.bytes],
        "above": [totals.above.closed.files, totals.above.owner_corrected.files],
        "findings": [finding.as_dict() for finding in report.findings],
        "settings": [[setting.name, setting.shown, setting.origin] for setting in report.settings],
        "buckets_to_create": list(report.buckets_to_create),
        "next_steps": list(report.next_steps),
        "seconds": report.seconds,
        "counting_is_final": report.counting_is_final,
        "interrupted_by": report.interrupted_by,
        "compared_by": report.compared_by,
        "proves": report.proves,
        "stopped": [*report.stopped.as_dict().values(), report.stopped.exit_status] if report.stopped else None,
        "target_sample": [totals.samples, totals.sampled_of],
        "groups": [[*group, count] for group, count in totals.groups.items()],
        "shape": [sorted(each.items()) for each in (shape.sizes, shape.moved, shape.days)],
        "course": [course.seconds_per_step, [[s.files, s.moved, s.bytes, s.errors] for s in course.steps]],
    }


def lines_as_kept(lines: Iterable[str]) -> dict[str, object]:
    """What a command showed at its end, for `report` to show again: see `lines_in`."""
    return {"shown": [list(each) for each in marked(lines)]}


def lines_in(kept: Mapping[str, Any]) -> tuple[str, ...]:
    """The lines that a command showed at its end; none where they were not kept."""
    return unmarked((text, whole) for text, whole in _rows(kept, "shown", str, bool))


def checks_as_kept(findings: Iterable[Finding]) -> dict[str, object]:
    """As `as_kept`, of a run that has its totals alone: the version and what was found beforehand."""
    return {"version": __version__, "findings": [finding.as_dict() for finding in findings]}


def report_again(
    run: RunRow, kept: Mapping[str, Any], problems: Iterable[Problem], counts: Mapping[str, int], *, is_running: bool
) -> Report:
    """The report of a run of the ledger; of one that is under way or was killed, as far as it is known."""
    totals = Totals(organizations={name: _tally(row) for name, row in run.totals.items()})
    for name, folders in _dict(kept, "unreadable").items():
        if name in totals.organizations and _is_count(folders):
            totals.organizations[name].unreadable_folders = folders
    for problem in problems:
        totals.add_problems([problem])
    totals.problems_total = max(totals.problems_total, sum(counts.values()))
    _fill(totals, kept)
    buckets = _dict(kept, "buckets")
    last = run.ended_at if run.ended_at is not None else run.progress_at
    return Report(
        command=run.command,
        run=run.run_id,
        source=run.source,
        target=run.target,
        dry_run=False,
        rows=tuple(
            ReportRow(organization=name, bucket=_text_or_none(buckets.get(name)), tally=tally)
            for name, tally in sorted(totals.organizations.items())
        ),
        totals=totals,
        findings=tuple(_findings(_list(kept, "findings"))),
        settings=tuple(Setting(*each) for each in _rows(kept, "settings", str, str, str)),
        buckets_to_create=tuple(filter(_is_text, _list(kept, "buckets_to_create"))),
        next_steps=tuple(filter(_is_text, _list(kept, "next_steps"))),
        seconds=max(0.0, (last if last is not None else run.started_at) - run.started_at),
        counting_is_final=kept.get("counting_is_final") is not False,
        interrupted_by=_text(kept, "interrupted_by"),
        compared_by=_one_of(kept.get("compared_by"), COMPARED_BY),
        proves=_text(kept, "proves"),
        started=run.started_at,
        version=_text(kept, "version") or "unknown",
        stopped=_stopped(kept.get("stopped")) or _only_status(run),
        deleted=_sum(run, "deleted"),
        kept=_sum(run, "kept"),
        shown=lines_in(kept) if run.ended_at is not None else (),
        state="finished" if run.ended_at is not None else "running" if is_running else "killed",
    )


def findings_in(kept: Mapping[str, Any]) -> tuple[Finding, ...]:
    """The findings of a run that was kept."""
    return tuple(_findings(_list(kept, "findings")))


def forced_in(kept: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of findings that the run went on in spite of."""
    return tuple(one.name for one in _findings(_list(kept, "findings")) if one.forced)


def _tally(row: Mapping[str, Mapping[str, int]]) -> Tally:
    tally = Tally()
    for outcome in Outcome:
        tally[outcome].merge(_count(row.get(outcome.value, {})))
    for name in _BESIDE:
        count: Count = getattr(tally, name)
        count.merge(_count(row.get(name, {})))
    return tally


def _sum(run: RunRow, name: str) -> Count | None:
    """A count over all organizations; None for a command that has no such count."""
    if run.command != "prune":
        return None
    return Count.sum(_count(row.get(name, {})) for row in run.totals.values())


def _count(value: Mapping[str, int]) -> Count:
    return Count(value.get("files", 0), value.get("bytes", 0))


def _fill(totals: Totals, kept: Mapping[str, Any]) -> None:
    match kept.get("beside"):
        case [int(files), int(size)] if _is_count(files) and _is_count(size):
            totals.beside.merge(Count(files, size))
    match kept.get("above"):
        case [int(closed), int(corrected)] if _is_count(closed) and _is_count(corrected):
            totals.above.closed.files, totals.above.owner_corrected.files = closed, corrected
    match kept.get("target_sample"):
        case [int(checked), int(among)] if _is_count(checked) and _is_count(among):
            totals.samples, totals.sampled_of = checked, among
    groups = {(kind, reason): count for kind, reason, count in _rows(kept, "groups", str, str, int) if _is_count(count)}
    if groups:
        totals.groups = Counter(groups)
    match kept.get("shape"):
        case [list(sizes), list(moved), list(days)]:
            bounded = ((sizes, _MOST_DIGITS), (moved, _MOST_DIGITS), (days, _MOST_DAYS))
            totals.shape = Shape(*(Counter(dict(_pairs(each, most))) for each, most in bounded))
    match kept.get("course"):
        case [int() | float() as seconds, list(steps)] if not isinstance(seconds, bool) and 0 < seconds < END_OF_TIME:
            sound = [each for each in steps if isinstance(each, list) and len(each) == 4 and all(map(_is_count, each))]
            totals.course = Timeline(
                seconds_per_step=seconds, steps=[TimelineStep(*each) for each in sound[:MOST_STEPS]]
            )


def _pairs(value: list[Any], most: int) -> Iterable[tuple[int, int]]:
    for each in value:
        match each:
            case [int(key), int(count)] if _is_count(key) and key < most and _is_count(count):
                yield key, count


def _findings(value: list[Any]) -> Iterable[Finding]:
    for each in value:
        match each:
            case {"name": str(name), "status": str(status), "seen": str(seen), "why": str(why), "cure": str(cure)}:
                known = next((found for found in FindingStatus if found.value == status), FindingStatus.WARNING)
                yield Finding(name=name, status=known, seen=seen, why=why, cure=cure, forced=each.get("forced") is True)


def _stopped(value: object) -> Stopped | None:
    match value:
        case [str(name), str(what), str(why), str(cure), int(status)] if _is_count(status) and status < 256:
            return Stopped(name=name, what=what, why=why, cure=cure, exit_status=status)
    return None


def _only_status(run: RunRow) -> Stopped | None:
    """Of a run that was stopped by an error under a version that did not keep the words."""
    if (run.exit_status or 0) not in (0, 1, 129, 130, 143):
        what = f"The run was stopped with exit status {run.exit_status}."
        return Stopped(name="unknown", what=what, why="", cure="", exit_status=run.exit_status or 3)
    return None


def _rows(kept: Mapping[str, Any], name: str, *types: type) -> Iterable[list[Any]]:
    for each in _list(kept, name):
        if isinstance(each, list) and len(each) == len(types) and all(map(isinstance, each, types)):
            yield each


def _dict(kept: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = kept.get(name)
    return value if isinstance(value, dict) else {}


def _list(kept: Mapping[str, Any], name: str) -> list[Any]:
    value = kept.get(name)
    return value if isinstance(value, list) else []


def _one_of(value: object, known: tuple[str, ...]) -> str:
    """Return the value if it is a known one, else the first that is known."""
    return next((one for one in known if one == value), known[0])


def _text(kept: Mapping[str, Any], name: str) -> str:
    return _text_or_none(kept.get(name)) or ""


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
