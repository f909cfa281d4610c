"""The page of `plan`, `migrate`, `watch` and `verify`, of a run that has just ended or of one from the ledger."""

from __future__ import annotations

from collections.abc import Iterator

from migrator.core.notices import NoticeKind
from migrator.core.outcomes import Outcome
from migrator.core.tally import MIGRATION_OUTCOMES, Count, Tally
from migrator.reports.formatting import files, moment, number, size
from migrator.reports.html import charts
from migrator.reports.html.page_data import (
    BAD,
    FINE,
    GOOD,
    TODO,
    Figure,
    Page,
    PageRow,
    ProblemSection,
    finding_of,
    gravest,
    parts_of,
)
from migrator.reports.report import Report, ReportRow
from migrator.reports.text.ending import forced_lines, keeps_bytes_out
from migrator.reports.text.run_summary import KINDS, WHAT_NEXT, estimate_lines, further, verdict
from migrator.reports.text.verify import PROOF_KINDS
from migrator.sync.totals import GRAVEST_FIRST

_TITLES = {"plan": "Plan of a migration", "migrate": "Migration", "watch": "Migration", "verify": "Verification"}
_TONES = {
    "copied": GOOD,
    "proven": GOOD,
    "unproven": TODO,
    "present": FINE,
    "missing": TODO,
    "pending": TODO,
    "vanished": FINE,
}
"""Tones of outcomes; what is not here is bad."""
_PROOFS = ("proven", "unproven", "conflict", "missing", "failed")
_BESIDE = {
    "extra": "Extra: raw files only at the target, left alone.",
    "stray": "Stray: not raw files, left alone.",
    "owner_corrected": "Owner corrected: kept Bytes' user out until this run.",
    "closed": "Closed: still keep Bytes' user out.",
}


def page_of_run(report: Report) -> Page:
    """Return the page's content."""
    counts = _counts(report.command, report.overall)
    columns = tuple(name for name, count in counts.items() if count.files or name in _always(report))
    beside = tuple(name for name, count in report.overall.beside.items() if count.files)
    total = ReportRow(organization="all", bucket=None, tally=report.overall)
    return Page(
        title=_TITLES.get(report.command, report.command),
        command=report.command,
        run=report.run,
        version=report.version,
        started=moment(report.started) or "",
        seconds=report.seconds,
        ends=(("from", report.source), ("to", report.target)),
        tone=_tone(report),
        heading=_heading(report),
        lines=tuple(_lines(report)),
        figures=tuple(
            Figure(name=name, files=counts[name].files, bytes=counts[name].bytes, tone=_tone_of(report, name))
            for name in columns
        ),
        columns=tuple(name.replace("_", " ") for name in (*columns, *beside)),
        rows=tuple(_row(report, row, columns, beside) for row in report.rows),
        total=_row(report, total, columns, beside),
        total_name="discovered",
        parts=parts_of([(name, count.files, _tone_of(report, name)) for name, count in counts.items()]),
        remark=_remark(report, beside),
        sections=tuple(_sections(report)),
        problems_total=report.totals.problems_total,
        findings=report.findings,
        stopped=finding_of(report.stopped),
        charts_across=charts.by_organization([(row.organization, row.tally.discovered) for row in report.rows]),
        charts_up=charts.of_run(report),
        charts_remark=_charts_remark(report),
        next_steps=report.next_steps,
        settings=report.settings,
        about=(
            ("Run", report.run or "a plan has no number: nothing of it is kept"),
            ("State", f"{report.state}, exit status {report.exit_status}"),
            ("Compared by", report.compared_by),
        ),
        evidence=report.evidence,
        estimate=report.estimate,
        buckets_to_create=report.buckets_to_create if report.dry_run else (),
    )


def _counts(command: str, tally: Tally) -> dict[str, Count]:
    """The counts that add up to all raw files, by name: a verification has its own."""
    if command == "verify":
        proofs = tally.as_proofs()
        return {name: Count(**proofs[name]) for name in _PROOFS}
    return {outcome.value: tally[outcome] for outcome in MIGRATION_OUTCOMES}


def _always(report: Report) -> tuple[str, ...]:
    if report.command == "verify":
        return ("proven", "missing")
    return ("missing", "present") if report.dry_run else ("copied", "present")


def _tone_of(report: Report, name: str) -> str:
    if report.command == "verify" and name == "missing":
        return BAD if report.state == "finished" else TODO
    return _TONES.get(name, BAD)


def _tone(report: Report) -> str:
    if report.state == "running":
        return TODO
    if not report.is_fine or keeps_bytes_out(report.findings):
        return BAD
    return FINE if report.dry_run and report.overall[Outcome.MISSING].files else GOOD


def _heading(report: Report) -> str:
    tally = report.overall
    missing, found = tally[Outcome.MISSING], tally.discovered
    if not report.dry_run or report.interrupted_by or report.stopped is not None:
        return verdict(report, "see below")
    if not report.is_fine:
        return f"Not everything could be migrated, see below. {verdict(report, 'see below')}"
    if not missing.files:
        return f"Nothing to copy: all {files(found.files)} ({size(found.bytes)}) are at the target already."
    return f"A migration would copy {number(missing.files)} of {files(found.files)} ({size(missing.bytes)})."


def _lines(report: Report) -> Iterator[str]:
    """What the verdict leaves open; what stands elsewhere on the page is not said again."""
    if report.command == "verify" and report.proves:
        yield f"Level {report.compared_by}: {report.proves}"
    said = list(estimate_lines(report.estimate)) if report.estimate else []
    for line in further(report):
        if line not in said and not line.startswith(("  ", "A migration would copy", "It would create")):
            yield line
    yield from forced_lines(report)


def _row(report: Report, row: ReportRow[Tally], columns: tuple[str, ...], beside: tuple[str, ...]) -> PageRow:
    counts, found = _counts(report.command, row.tally), row.tally.discovered
    state, tone = _state(report, row.tally, counts)
    return PageRow(
        organization=row.organization,
        bucket=row.bucket,
        state=state,
        tone=tone,
        files=found.files,
        bytes=found.bytes,
        counts=(*(counts[name].files for name in columns), *(row.tally.beside[name].files for name in beside)),
    )


def _state(report: Report, tally: Tally, counts: dict[str, Count]) -> tuple[str, str]:
    """Words for an organization, and their tone."""
    is_proof = report.command == "verify"
    bad: list[tuple[int, str, str]] = [
        (counts[name].files, name, BAD) for name in ("conflict", "failed", "refused") if name in counts
    ]
    if is_proof:
        bad += [(counts["missing"].files, "missing", _tone_of(report, "missing"))]
    bad += [
        (tally.unreadable_folders, "unreadable folder" + "s" * (tally.unreadable_folders != 1), BAD),
        (tally.closed.files, "closed to Bytes", BAD),
    ]
    if is_proof:
        bad += [(counts["unproven"].files, "unproven", TODO)]
    found = gravest(bad)
    if found is not None:
        return found
    if tally[Outcome.PENDING].files:
        return "not finished", TODO
    if tally[Outcome.MISSING].files:
        return "to be copied", TODO
    if not tally.discovered.files:
        return "no raw files", FINE
    done = "proven" if is_proof else "nothing to do" if report.dry_run else "complete"
    return done, GOOD


def _remark(report: Report, beside: tuple[str, ...]) -> str:
    if not beside:
        return ""
    counted = report.overall.beside
    listed = ", ".join(f"{number(counted[name].files)} {name.replace('_', ' ')}" for name in beside)
    return f"Not part of these: {listed}. {' '.join(_BESIDE[name] for name in beside)}"


def _sections(report: Report) -> Iterator[ProblemSection]:
    totals, overall = report.totals, report.overall
    names = PROOF_KINDS if report.command == "verify" else KINDS
    counted = {name: count.files for name, count in _counts(report.command, overall).items() if name in names}
    counted |= {NoticeKind.CLOSED.value: overall.closed.files}
    kinds = {kind for kind, _ in totals.groups} | {kind for kind, count in counted.items() if count}
    if report.command == "verify":
        kinds -= {Outcome.PENDING.value, Outcome.VANISHED.value}
    if report.dry_run:
        kinds -= {Outcome.MISSING.value}  # that is what a plan is for
    first = totals.problems
    order = tuple(reversed(PROOF_KINDS)) if report.command == "verify" else GRAVEST_FIRST
    for kind in sorted(kinds, key=lambda kind: order.index(kind) if kind in order else -1):
        groups = tuple((reason, count) for (of, reason), count in totals.groups.most_common() if of == kind)
        total = max(sum(count for _, count in groups), counted.get(kind, 0))
        words = names.get(kind) or KINDS.get(kind) or (kind, kind)
        yield ProblemSection(
            kind=kind,
            title=f"{number(total)} {words[total != 1]}",
            next="" if report.command == "verify" else WHAT_NEXT.get(kind, ""),
            total=total,
            groups=groups,
            problems=tuple(problem for problem in first if problem.kind == kind),
        )


def _charts_remark(report: Report) -> str:
    unseen = report.overall.present_unseen.files
    if not unseen or report.command == "verify":
        return ""
    return f"{files(unseen)} that did not change since an earlier run are not in the charts of sizes and months."
