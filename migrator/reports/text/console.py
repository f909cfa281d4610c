"""The report as an operator reads it aloud."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from migrator.core.notices import Problem
from migrator.core.outcomes import Outcome
from migrator.core.tally import Tally
from migrator.reports.formatting import Whole, clock_time, columns_of, fitted, number, plural, shown, size, table
from migrator.reports.report import Report, ReportRow
from migrator.reports.text.ending import ending
from migrator.reports.text.findings import finding_lines
from migrator.reports.text.run_summary import COUNTED_BY_REASON, KINDS, REASONS_SHOWN, further, problem_line, verdict
from migrator.reports.text.wrapping import joined

T = TypeVar("T")

ROWS_SHOWN = 40
_NAME_WIDTH, _BUCKET_WIDTH = 32, 63  # the longest that are valid
_SHORTEST_NAME = 12
_PROBLEMS_SHOWN = 20
_ALWAYS_SHOWN = {True: (Outcome.MISSING, Outcome.PRESENT), False: (Outcome.COPIED, Outcome.PRESENT)}


def report_as_text(report: Report, width: int | None = None) -> str:
    """What plan and migrate print at their end, for a terminal of so many columns."""
    return joined((*body_lines(report, width), *ending(report)), width)


def stored_as_text(report: Report, width: int | None = None) -> str:
    """What `report` prints of an earlier run: which one it is, and what it showed at its end, or what is known of it."""
    when = f" of {clock_time(report.started)}" if report.started is not None else ""
    state = "" if report.state == "finished" else f", {report.state}"
    head = f"run   {report.command}{when}{state}  [{report.run}]"
    return joined((head, *(report.shown or (*body_lines(report, width), *ending(report)))), width)


def body_lines(report: Report, width: int | None = None) -> Iterator[str]:
    """All of the report but its last lines, which are `ending`."""
    yield f"from  {shown(report.source)}"
    yield f"to    {shown(report.target)}"
    yield ""
    yield from _organization_table(report, width)
    yield from _problem_lines(report)
    yield from finding_lines(report.findings, report.known, is_plan=report.dry_run)
    yield verdict(report)
    yield from further(report)


def _organization_table(report: Report, width: int | None) -> Iterator[Whole]:
    overall = report.overall
    if not report.rows or report.deleted is not None:  # what prune did is one sentence
        return
    always = (Outcome.PROVEN,) if report.command == "verify" else _ALWAYS_SHOWN[report.dry_run]
    columns = [outcome for outcome in Outcome if outcome in always or overall[outcome].files]
    beside = [name for name, count in overall.beside.items() if count.files]
    head = ["files", "size", *(outcome.value for outcome in columns), *(name.replace("_", " ") for name in beside)]
    yield from organization_table(head, report.rows, overall, lambda tally: _cells(tally, columns, beside), width)
    yield Whole("")


def organization_table(
    head: Sequence[str],
    rows: Sequence[ReportRow[T]],
    overall: T,
    cells_of: Callable[[T], Sequence[str]],
    width: int | None = None,
) -> Iterator[Whole]:
    """The table of organizations: the first `ROWS_SHOWN`, how many more, and the total; `cells_of` gives what stands below `head`.

    Names are cut where the lines are wider than `width` columns. One bucket, or none, is in the lines above already.
    """
    names = 2 if len({row.bucket for row in rows}) > 1 else 1
    total = ReportRow(organization="all", bucket=None, tally=overall)
    cells = [[*["organization", "bucket"][:names], *head]]
    for row in (*rows[:ROWS_SHOWN], total) if len(rows) > 1 else rows:
        first = fitted(shown(row.organization), _NAME_WIDTH), fitted(shown(row.bucket or "-"), _BUCKET_WIDTH)
        cells.append([*first[:names], *cells_of(row.tally)])
    narrow = _narrowed(cells, names, width)
    lines = table(narrow, left=names - (len(cells[0]) - len(narrow[0])))
    yield from lines[:-1]
    if len(rows) > ROWS_SHOWN:
        yield Whole(f"… and {plural(len(rows) - ROWS_SHOWN, 'organization')} more (all of them: --json)")
    yield lines[-1]


def _narrowed(rows: list[list[str]], names: int, width: int | None) -> list[list[str]]:
    """The rows with their first `names` columns cut until a line fits, to no less than `_SHORTEST_NAME` columns each."""
    if width is None:
        return rows
    widths = [max(columns_of(row[column]) for row in rows) for column in range(len(rows[0]))]
    over = sum(widths) + 2 * (len(widths) - 1) - width
    while over > 0 and max(widths[:names]) > _SHORTEST_NAME:
        widths[widths.index(max(widths[:names]))] -= 1
        over -= 1
    if over > 0 and names > 1:  # without the bucket, which --json and the page have
        return _narrowed([[row[0], *row[2:]] for row in rows], 1, width)
    return [[*map(fitted, row[:names], widths[:names]), *row[names:]] for row in rows]


def _cells(tally: Tally, columns: list[Outcome], beside: list[str]) -> list[str]:
    discovered, counts = tally.discovered, tally.beside
    return [
        number(discovered.files),
        size(discovered.bytes),
        *(number(tally[outcome].files) for outcome in columns),
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
        elif kind in COUNTED_BY_REASON:
            yield from reason_lines(report, kind, total)
        else:
            problems = kinds.get(kind, [])
            where = "--json lists the first 1,000 of all" if report.dry_run else "bytes-migrator status --problems 1000"
            if problems:  # what the run never came to is counted, and nowhere listed
                yield from first_problems(map(problem_line, problems), total, where)
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


def reason_lines(report: Report, kind: str, total: int) -> Iterator[str]:
    """The reasons most often met, each with its count, and where each one is listed, in one paragraph."""
    reasons = [(reason, count) for (of, reason), count in report.totals.groups.most_common() if of == kind]
    if not reasons:
        return
    parts = [f"{number(count)}: {shown(reason)}" for reason, count in reasons[:REASONS_SHOWN]]
    rest = total - sum(count for _, count in reasons[:REASONS_SHOWN])
    if rest > 0:
        parts.append(f"{number(rest)} for other reasons")
    where = "the same command with --json" if report.dry_run else "bytes-migrator status --problems 1000"
    yield f"  {'; '.join(parts)}. All of them: {where}"


def first_problems(lines: Iterable[str], total: int, where: str, *, most: int = _PROBLEMS_SHOWN) -> Iterator[str]:
    """The first `most` lines of `total` problems, and `where` the others are listed."""
    first = list(islice(lines, most))
    yield from (f"  {line}" for line in first)
    if total > len(first):
        yield f"  … and {number(total - len(first))} more: {where}"
