"""The report as an operator reads it aloud."""

from __future__ import annotations

from collections.abc import Iterator

from migrator.core.outcomes import Finding, FindingStatus, Outcome, Problem
from migrator.reports.formatting import fitted, number, plural, shown, size, table
from migrator.reports.report import Report, Row
from migrator.reports.text.ending import ending
from migrator.reports.text.sentences import KINDS, further, verdict

_ROWS_SHOWN = 40
_NAME_WIDTH, _BUCKET_WIDTH = 32, 63  # the longest that are valid
_PROBLEMS_SHOWN = 20
_FIRST_COLUMNS = ("organization", "bucket", "files", "size")
_ALWAYS_SHOWN = {True: (Outcome.MISSING, Outcome.PRESENT), False: (Outcome.COPIED, Outcome.PRESENT)}


def report_as_text(report: Report) -> str:
    """What plan and migrate print at their end."""
    return "\n".join((*body_lines(report), *ending(report)))


def finding_lines(findings: tuple[Finding, ...]) -> Iterator[str]:
    """Warnings and errors, each with why and cure; what passed needs no line."""
    for finding in findings:
        if finding.status is FindingStatus.PASS:
            continue
        forced = " (forced)" if finding.forced else ""
        yield f"{finding.status.value}{forced}: {shown(finding.seen)} [{finding.name}]"
        if finding.why:
            yield f"  why:  {shown(finding.why)}"
        if finding.cure:
            yield f"  cure: {shown(finding.cure)}"


def body_lines(report: Report) -> Iterator[str]:
    """All of the report but its last lines, which are `ending`."""
    yield f"from  {shown(report.source)}"
    yield f"to    {shown(report.target)}"
    yield ""
    yield from _organization_table(report)
    yield ""
    yield from _problem_lines(report)
    yield from finding_lines(report.findings)
    yield verdict(report)
    yield from further(report)


def _organization_table(report: Report) -> Iterator[str]:
    overall = report.overall
    columns = [outcome for outcome in Outcome if outcome in _ALWAYS_SHOWN[report.dry_run] or overall[outcome].files]
    head = [*_FIRST_COLUMNS, *(outcome.value for outcome in columns)]
    beside = [name for name, count in overall.beside.items() if count.files]
    rows = [[*head, *(name.replace("_", " ") for name in beside)]]
    rows += [_cells(row, columns, beside) for row in report.rows[:_ROWS_SHOWN]]
    if len(report.rows) > 1:
        total = Row(organization="all", bucket=None, tally=overall)
        rows.append(_cells(total, columns, beside))
    lines = table(rows, left=2)
    yield lines[0]
    yield from lines[1 : len(lines) - 1]
    hidden = len(report.rows) - _ROWS_SHOWN
    if hidden > 0:
        yield f"… and {plural(hidden, 'organization')} more (all of them: --json)"
    yield lines[-1]


def _cells(row: Row, columns: list[Outcome], beside: list[str]) -> list[str]:
    discovered = row.tally.discovered
    counts = row.tally.beside
    return [
        fitted(shown(row.organization), _NAME_WIDTH),
        fitted(shown(row.bucket or "-"), _BUCKET_WIDTH),
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
        yield f"{number(total)} {KINDS[kind][total != 1]}"
        if kind == Outcome.REFUSED.value and any(finding.name == "bucket-names" for finding in report.findings):
            yield "  for the reason given under [bucket-names] below"
        else:
            yield from _first_of(kinds.get(kind, []), total, is_plan=report.dry_run)
        yield ""


def _problem_counts(report: Report, kinds: dict[str, list[Problem]]) -> Iterator[tuple[str, int]]:
    """How many of each kind there are, listed one by one or not."""
    overall = report.overall
    beside = {
        "stray": overall.stray.files,
        "closed": overall.closed.files,
        "unreadable-folder": overall.unreadable_folders,
    }
    for kind in KINDS:
        outcome = next((outcome for outcome in Outcome if outcome.value == kind), None)
        counted = overall[outcome].files if outcome else beside.get(kind, 0)
        if total := max(counted, len(kinds.get(kind, ()))):
            yield kind, total


def _first_of(problems: list[Problem], total: int, *, is_plan: bool) -> Iterator[str]:
    for problem in problems[:_PROBLEMS_SHOWN]:
        yield f"  {shown(problem.where)}: {shown(problem.reason)}"
    hidden = total - min(len(problems), _PROBLEMS_SHOWN)
    if problems and hidden > 0:  # what the run never came to is counted, and nowhere listed
        where = "--json lists the first 1,000 of all" if is_plan else "bytes-migrator status --problems 1000 lists them"
        yield f"  … and {number(hidden)} more: {where}"
