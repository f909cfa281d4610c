"""The page of `audit`: the rows of Bytes' database against what Bytes can read."""

from __future__ import annotations

from collections.abc import Iterator

from migrator.checks.audit.tally import PROBLEMS_OF_A_KIND, AuditTally
from migrator.reports.formatting import moment, number
from migrator.reports.html import charts
from migrator.reports.html.page_data import BAD, FINE, GOOD, TODO, Figure, Page, PageRow, ProblemSection, parts_of
from migrator.reports.html.page_data import gravest as gravest_of
from migrator.reports.report import ReportRow
from migrator.reports.text.audit import (
    HEADINGS,
    AuditReport,
    answer_in_words,
    columns_of_audit,
    measured_sentences,
    totals_by_kind,
)

_TONES = {"readable": GOOD, "proven": GOOD, "missing": BAD, "orphaned": FINE, "unhashed": TODO}
"""Tones of counts; what is not here is bad."""
_NAMES = {"readable": "in place"}
_ROWS_END_AS = ("readable", "closed", "elsewhere", "missing")


def page_of_audit(report: AuditReport) -> Page:
    """Return the page's content."""
    overall = report.overall
    columns = tuple(columns_of_audit(report))
    other = (("and", str(report.source)),) if report.source is not None else ()
    return Page(
        title="Audit",
        command="audit",
        started=moment(report.started) or "",
        seconds=report.seconds,
        ends=(("database", report.database), ("checked", str(report.target)), *other),
        tone=GOOD if report.exit_status == 0 else BAD,
        heading=answer_in_words(report),
        lines=tuple(_lines(report)),
        figures=tuple(_figure(overall, name) for name in columns),
        columns=tuple(_NAMES.get(name, name) for name in columns),
        rows=tuple(_row(row, columns) for row in report.rows),
        total=_row(ReportRow(organization="all", bucket=None, tally=overall), columns),
        total_name="rows",
        parts=parts_of(
            [(_NAMES.get(name, name), getattr(overall, name).files, _TONES.get(name, BAD)) for name in _ROWS_END_AS]
        ),
        remark=_remark(overall),
        sections=tuple(_sections(report)),
        problems_total=report.audited.problems_total,
        findings=report.findings,
        charts_across=charts.by_organization([(row.organization, row.tally.rows) for row in report.rows]),
        settings=report.settings,
        about=(
            ("State", f"{'interrupted' if report.interrupted_by else 'finished'}, exit status {report.exit_status}"),
            ("Compared by", "content" if report.contents else "listing"),
            *((("Only", f"raw files whose scan ended {report.ages}"),) if report.ages else ()),
        ),
        evidence=report.evidence,
    )


def _lines(report: AuditReport) -> Iterator[str]:
    if report.first:
        yield report.first
    if report.interrupted_by:
        yield f"Stopped by {report.interrupted_by}: this is what was checked by then."
    yield from measured_sentences(report)
    yield "Nothing was written."


def _figure(overall: AuditTally, name: str) -> Figure:
    count = getattr(overall, name)
    return Figure(
        name=_NAMES.get(name, name), files=count.files, bytes=count.bytes, tone=_tone_of(name, files=count.files)
    )


def _tone_of(name: str, *, files: int) -> str:
    return _TONES.get(name, BAD) if files else FINE


def _row(row: ReportRow[AuditTally], columns: tuple[str, ...]) -> PageRow:
    tally = row.tally
    states = [
        (getattr(tally, name).files, name, _TONES.get(name, BAD))
        for name in ("altered", "undecodable", "failed", "missing", "closed", "elsewhere")
    ]
    state, tone = gravest_of(states) or (("in place", GOOD) if tally.rows.files else ("no rows", FINE))
    return PageRow(
        organization=row.organization,
        bucket=row.bucket,
        state=state,
        tone=tone,
        files=tally.rows.files,
        bytes=tally.rows.bytes,
        counts=tuple(getattr(tally, name).files for name in columns),
    )


def _remark(overall: AuditTally) -> str:
    if not overall.orphaned.files:
        return ""
    return (
        f"Not part of these: {number(overall.orphaned.files)} orphaned. No row names them, so Bytes never reads them."
    )


def _sections(report: AuditReport) -> Iterator[ProblemSection]:
    totals, listed = totals_by_kind(report), report.audited.first_problems(PROBLEMS_OF_A_KIND)
    for kind, heading in reversed(HEADINGS.items()):
        if not totals[kind]:
            continue
        yield ProblemSection(
            kind=kind.value,
            title=f"{number(totals[kind])} {heading}",
            total=totals[kind],
            problems=tuple(problem for problem in listed if problem.kind == kind.value),
        )
