"""The report as an operator reads it aloud."""

from __future__ import annotations

from collections.abc import Iterator

from migrator.model import Finding, FindingStatus, Outcome, Problem, Tally
from migrator.reports.report import MAX_DURATION, Report, Row
from migrator.reports.words import duration, files, number, plural, shown, size, table

_ROWS_SHOWN = 40
_PROBLEMS_SHOWN = 20
_KINDS = {
    "left-alone": ("bucket without raw files: left alone", "buckets without raw files: left alone"),
    "stray": ("stray, no raw file of Bytes: left where it is", "strays, no raw files of Bytes: left where they are"),
    "vanished": ("vanished while this ran", "vanished while this ran"),
    "refused": ("refused: no valid name at the target", "refused: no valid name at the target"),
    "unreadable-folder": (
        "folder cannot be read: what it holds was not counted",
        "folders cannot be read: what they hold was not counted",
    ),
    "failed": ("failed", "failed"),
    "conflict": (
        "in conflict: the target holds something else, and it was left alone",
        "in conflict: the target holds something else, and it was left alone",
    ),
}
"""What each kind of problem is called, for one and for several; the gravest last."""

_FIRST_COLUMNS = ("organization", "bucket", "files", "size")
_ALWAYS_SHOWN = {True: (Outcome.MISSING, Outcome.PRESENT), False: (Outcome.COPIED, Outcome.PRESENT)}


def report_as_text(report: Report) -> str:
    """What plan and migrate print at their end."""
    return "\n".join(_lines(report))


def finding_lines(findings: tuple[Finding, ...]) -> Iterator[str]:
    """Warnings and errors, each with why and cure; what passed needs no line."""
    for finding in findings:
        if finding.status is FindingStatus.PASS:
            continue
        yield f"{finding.status.value}: {shown(finding.seen)} [{finding.name}]"
        if finding.why:
            yield f"  why:  {shown(finding.why)}"
        if finding.cure:
            yield f"  cure: {shown(finding.cure)}"


def _lines(report: Report) -> Iterator[str]:
    yield f"from  {shown(report.source)}"
    yield f"to    {shown(report.target)}"
    yield ""
    yield from _organization_table(report)
    yield ""
    yield from _problem_lines(report)
    yield from finding_lines(report.findings)
    yield from _in_one_sentence(report)
    if report.next_steps:
        yield ""
        if not (report.overall.is_clean or report.interrupted_by):
            yield "First see to what is listed above: until then, Bytes would not find those raw files at the new place."
        yield from map(shown, report.next_steps)


def _organization_table(report: Report) -> Iterator[str]:
    overall = report.overall
    columns = [outcome for outcome in Outcome if outcome in _ALWAYS_SHOWN[report.dry_run] or overall[outcome].files]
    head = [*_FIRST_COLUMNS, *(outcome.value for outcome in columns)]
    beside = [(name, count) for name, count in (("extra", overall.extra), ("stray", overall.stray)) if count.files]
    rows = [[*head, *(name for name, _ in beside)]]
    rows += [_cells(row, columns, [name for name, _ in beside]) for row in report.rows[:_ROWS_SHOWN]]
    if len(report.rows) > 1:
        total = Row(organization="all", bucket=None, tally=overall)
        rows.append(_cells(total, columns, [name for name, _ in beside]))
    lines = table(rows, left=2)
    yield lines[0]
    yield from lines[1 : len(lines) - 1]
    hidden = len(report.rows) - _ROWS_SHOWN
    if hidden > 0:
        yield f"… and {plural(hidden, 'organization')} more (all of them: --json)"
    yield lines[-1]


def _cells(row: Row, columns: list[Outcome], beside: list[str]) -> list[str]:
    discovered = row.tally.discovered
    counts = {"extra": row.tally.extra, "stray": row.tally.stray}
    return [
        shown(row.organization),
        shown(row.bucket or "-"),
        number(discovered.files),
        size(discovered.bytes),
        *(number(row.tally[outcome].files) for outcome in columns),
        *(number(counts[name].files) for name in beside),
    ]


def _problem_lines(report: Report) -> Iterator[str]:
    """What needs a look, the gravest last: there the eye is when the output stops."""
    kinds: dict[str, list[Problem]] = {}
    for problem in report.totals.problems:
        kinds.setdefault(problem.kind, []).append(problem)
    for kind, total in _problem_counts(report, kinds):
        yield f"{number(total)} {_KINDS[kind][total != 1]}"
        if kind == Outcome.REFUSED.value and any(finding.name == "bucket-names" for finding in report.findings):
            yield "  for the reason given under [bucket-names] below"
        else:
            yield from _first_of(kinds.get(kind, []), total, is_plan=report.dry_run)
        yield ""


def _problem_counts(report: Report, kinds: dict[str, list[Problem]]) -> Iterator[tuple[str, int]]:
    """How many of each kind there are, listed one by one or not."""
    overall = report.overall
    beside = {"stray": overall.stray.files, "unreadable-folder": overall.unreadable_folders}
    for kind in _KINDS:
        outcome = next((outcome for outcome in Outcome if outcome.value == kind), None)
        counted = overall[outcome].files if outcome else beside.get(kind, 0)
        if total := max(counted, len(kinds.get(kind, ()))):
            yield kind, total


def _first_of(problems: list[Problem], total: int, *, is_plan: bool) -> Iterator[str]:
    for problem in problems[:_PROBLEMS_SHOWN]:
        yield f"  {shown(problem.where)}: {shown(problem.reason)}"
    hidden = total - min(len(problems), _PROBLEMS_SHOWN)
    if hidden > 0:
        where = "--json lists the first 1,000 of all" if is_plan else "bytes-migrator status --problems 1000 lists them"
        yield f"  … and {number(hidden)} more: {where}"


def _in_one_sentence(report: Report) -> Iterator[str]:
    tally = report.overall
    discovered = tally.discovered
    if report.dry_run:
        yield from _plan_sentences(report, tally)
        return
    took = duration(report.seconds)
    if report.interrupted_by:
        left = "" if report.counting_is_final else " at least"
        yield (
            f"{_stopped_by(report.interrupted_by)} after {took}: {files(tally[Outcome.COPIED].files)} copied, "
            f"{number(tally[Outcome.PRESENT].files)} were there already,{left} {number(tally[Outcome.PENDING].files)} are left."
        )
    elif report.nothing_to_do:
        yield f"Nothing to copy: all {files(discovered.files)} ({size(discovered.bytes)}) are at the target already ({took})."
    elif tally.is_clean:
        yield (
            f"Everything is accounted for: {files(discovered.files)} ({size(discovered.bytes)}), "
            f"{number(tally[Outcome.COPIED].files)} copied and {number(tally[Outcome.PRESENT].files)} there already, in {took}."
        )
    else:
        yield f"Not everything is at the target, see above: {_identity(tally)} (in {took})."
    if tally.present_unseen.files:
        yield (
            f"{number(tally.present_unseen.files)} of the present ones lie in folders that are unchanged since an earlier run "
            "finished them, and were not looked at again."
        )


def _stopped_by(what: str) -> str:
    return "Stopped, as --max-duration asks," if what == MAX_DURATION else f"Stopped by {what}"


def _plan_sentences(report: Report, tally: Tally) -> Iterator[str]:
    missing = tally[Outcome.MISSING]
    discovered = tally.discovered
    yield f"{files(discovered.files)}, {size(discovered.bytes)}: {_identity(tally)}."
    yield f"A migration would copy {files(missing.files)} ({size(missing.bytes)}), with about {_requests(report, missing.files)}."
    if report.buckets_to_create:
        first = ", ".join(shown(bucket) for bucket in report.buckets_to_create[:5])
        more = ", …" if len(report.buckets_to_create) > 5 else ""
        yield f"It would create {plural(len(report.buckets_to_create), 'bucket')}: {first}{more}."
    yield "Compared by size only; a migration compares contents. Nothing was written."


def _requests(report: Report, missing: int) -> str:
    pages = report.overall.discovered.files // 1000 + len(report.rows)
    return f"{number(missing + pages + len(report.buckets_to_create))} requests to S3"


def _identity(tally: Tally) -> str:
    parts = [f"{number(tally[outcome].files)} {outcome.value}" for outcome in Outcome if tally[outcome].files]
    return " + ".join(parts) or "nothing"
