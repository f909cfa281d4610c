"""The report as one page that needs nothing else: HTML from templates, autoescaped, with a policy that lets only its own script run.

The home of Jinja2. Names from outside reach the template as `shown` leaves them, and are escaped once more for HTML.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from migrator.core.outcomes import FindingStatus, NoticeKind, Outcome, Problem
from migrator.reports.formatting import duration, files, moment, number, plural, shown, size
from migrator.reports.html import charts
from migrator.reports.report import Report, ReportRow
from migrator.reports.text.ending import forced_lines, keeps_bytes_out
from migrator.reports.text.sentences import KINDS, WHAT_NEXT, estimate_lines, further, time_range, verdict
from migrator.sync.coordinator import GRAVEST_FIRST, reason_of

_FOLDER = Path(__file__).parent / "assets"
_COLOURS = {
    Outcome.COPIED: "good",
    Outcome.PROVEN: "good",
    Outcome.UNPROVEN: "todo",
    Outcome.PRESENT: "fine",
    Outcome.MISSING: "todo",
    Outcome.PENDING: "todo",
    Outcome.VANISHED: "fine",
}
_ALWAYS_SHOWN = {True: (Outcome.MISSING, Outcome.PRESENT), False: (Outcome.COPIED, Outcome.PRESENT)}


@dataclass(frozen=True, slots=True)
class Section:
    """The problems of one kind: how many there are, by reason, and the first of them."""

    kind: str
    title: str
    next: str
    total: int
    groups: tuple[tuple[str, int], ...]
    problems: tuple[Problem, ...]


def report_as_html(report: Report) -> str:
    """The page. Under 1 MB with 1,000 organizations and 1,000 problems."""
    style, script = _text("page.css"), _text("page.js")
    overall = report.overall
    columns = [outcome for outcome in Outcome if outcome in _ALWAYS_SHOWN[report.dry_run] or overall[outcome].files]
    page = _template().render(
        report=report,
        title=_title(report),
        policy=_policy(style, script),
        style=style,
        script=script,
        verdict=verdict(report, "see below"),
        further=list(further(report)),
        forced=list(forced_lines(report)),
        keeps_out=keeps_bytes_out(report.findings),
        overall=overall,
        columns=columns,
        colours={outcome: _COLOURS.get(outcome, "bad") for outcome in Outcome},
        parts=_parts(report),
        beside=[(name, count) for name, count in overall.beside.items() if count.files],
        state_of=functools.partial(_state, dry_run=report.dry_run),
        charts_across=[charts.by_organization(report, "bytes"), charts.by_organization(report, "files")],
        charts_up=[
            charts.sizes(report),
            charts.months(report),
            *([charts.course(report)] if not report.dry_run else []),
        ],
        findings=sorted(report.findings, key=lambda finding: list(FindingStatus).index(finding.status), reverse=True),
        sections=list(_sections(report)),
        time_range=time_range(report.estimate) if report.estimate else "",
        estimate=list(estimate_lines(report.estimate)) if report.estimate else [],
        listed=sum(len(section.problems) for section in _sections(report)),
        started=moment(report.started),
    )
    return page.lstrip()


def _title(report: Report) -> str:
    if report.dry_run:
        return "Dry run: what a migration would do"
    return "Report of a migration" if report.command == "migrate" else f"Report of {report.command}"


def _parts(report: Report) -> list[tuple[Outcome, float]]:
    """The shares of each outcome in all raw files, for one bar; what is there at all is wide enough to be seen."""
    overall = report.overall
    found = [(outcome, overall[outcome].files) for outcome in Outcome if overall[outcome].files]
    total = sum(count for _, count in found)
    widths = [max(0.006, count / total) for _, count in found]
    return [(outcome, width / sum(widths)) for (outcome, _), width in zip(found, widths, strict=True)]


def _state(row: ReportRow, *, dry_run: bool) -> tuple[str, str]:
    """A word for an organization, and how it is coloured."""
    tally = row.tally
    for outcome in (Outcome.CONFLICT, Outcome.FAILED, Outcome.REFUSED):
        if tally[outcome].files:
            return f"{number(tally[outcome].files)} {outcome.value}", "bad"
    if tally.unreadable_folders:
        return plural(tally.unreadable_folders, "unreadable folder"), "bad"
    if tally.closed.files:
        return f"{number(tally.closed.files)} closed to Bytes", "bad"
    if tally[Outcome.PENDING].files:
        return "not finished", "todo"
    if tally[Outcome.MISSING].files:
        return "to be copied", "todo"
    if not tally.discovered.files:
        return "no raw files", "fine"
    return ("nothing to do" if dry_run else "complete"), "good"


def _sections(report: Report) -> Iterator[Section]:
    totals, overall = report.totals, report.overall
    kinds = {kind for kind, _ in totals.groups} | {
        outcome.value for outcome in Outcome if outcome.value in KINDS and overall[outcome].files
    }
    shown_problems = totals.problems
    for kind in sorted(kinds, key=lambda kind: GRAVEST_FIRST.index(kind) if kind in GRAVEST_FIRST else -1):
        groups = tuple((reason, count) for (of, reason), count in totals.groups.most_common() if of == kind)
        counted = next((overall[outcome].files for outcome in Outcome if outcome.value == kind), 0)
        counted = overall.closed.files if kind == NoticeKind.CLOSED.value else counted
        total = max(sum(count for _, count in groups), counted)
        names = KINDS.get(kind, (kind, kind))
        yield Section(
            kind=kind,
            title=f"{number(total)} {names[total != 1]}",
            next=WHAT_NEXT.get(kind, ""),
            total=total,
            groups=groups,
            problems=tuple(problem for problem in shown_problems if problem.kind == kind),
        )


def _policy(style: str, script: str) -> str:
    """Nothing is loaded from anywhere; only this style and this script count, by their hashes."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@functools.cache
def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


@functools.cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        optimized=False,  # a template that is rendered once: folding its constants costs more than it saves
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        shown=shown, size=size, number=number, files=files, plural=plural, duration=duration, reason=reason_of
    )
    return environment.get_template("page.html.j2")
