"""The page of `prune`: what was deleted at the source or could be, and what was kept, and why."""

from __future__ import annotations

from collections.abc import Iterator

from migrator.checks.prune.tallies import Pruned, PruneTally
from migrator.reports.formatting import duration, files, moment, number, plural, size
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
    parts_of,
)
from migrator.reports.text.prune import PruneReport

_WHY = {
    "missing": "not at the target",
    "unproven": "the contents differ, or one end could not be read",
    "refused": "no valid name at the target",
}
"""Kinds of `Pruned.kept_by` in words; another is shown as it is."""


def page_of_prune(report: PruneReport) -> Page:
    """Return the page's content."""
    total, pruned = report.pruned.overall(), report.pruned
    counts = [one for one in _counts(total, dry_run=report.dry_run) if one[1] or one[0] != "pending"]
    columns = tuple(name for name, *_ in counts)
    return Page(
        title="Prune: what could be deleted" if report.dry_run else "Prune",
        command="prune",
        run="" if report.dry_run else report.run,
        started=moment(report.started) or "",
        seconds=report.seconds,
        ends=(("deletes at", report.source), ("proven at", report.target)),
        tone=_tone(report),
        heading=_heading(report),
        lines=tuple(_lines(report)),
        figures=tuple(
            Figure(name=name, files=files_, bytes=bytes_, tone=tone) for name, files_, bytes_, tone in counts
        ),
        columns=columns,
        rows=tuple(_row(name, tally, report, columns) for name, tally in sorted(pruned.organizations.items())),
        total=_row("all", total, report, columns),
        total_name="raw files at the source",
        parts=parts_of([(name, files_, tone) for name, files_, _, tone in counts]),
        sections=tuple(_sections(report)),
        problems_total=pruned.problems_total,
        findings=report.findings,
        stopped=finding_of(report.error),
        charts_across=charts.by_organization([(name, each.discovered) for name, each in pruned.organizations.items()]),
        about=(
            ("Run", "nothing was deleted, so nothing is kept of it" if report.dry_run else report.run),
            ("State", f"{'interrupted' if report.interrupted_by else 'finished'}, exit status {report.exit_status}"),
            ("Compared by", "content, read at both ends"),
            *((("Deleted files, with digests", report.manifest),) if report.manifest else ()),
        ),
        evidence=report.evidence,
    )


def _counts(tally: PruneTally, *, dry_run: bool) -> list[tuple[str, int, int, str]]:
    """Names, files, bytes and tones of what adds up to all raw files of the source."""
    counts = tally.as_dict(dry_run=dry_run)
    done = [("deletable", FINE)] if dry_run else [("deleted", GOOD)]
    named = (*done, ("pending", TODO), ("kept", TODO if tally.kept.files else FINE))
    return [(name, counts[name]["files"], counts[name]["bytes"], tone) for name, tone in named]


def _tone(report: PruneReport) -> str:
    if report.error is not None or report.interrupted_by:
        return BAD
    if report.exit_status:
        return TODO
    return FINE if report.dry_run and report.pruned.overall().deletable.files else GOOD


def _heading(report: PruneReport) -> str:
    total, took = report.pruned.overall(), duration(report.seconds)
    if report.error is not None:
        return f"The run had to stop after {took}: {report.error.what}"
    if report.interrupted_by:
        return f"Stopped by {report.interrupted_by} after {took}."
    if report.dry_run:
        return f"{files(total.deletable.files)} ({size(total.deletable.bytes)}) could be deleted at the source."
    return f"{files(total.deleted.files)} ({size(total.deleted.bytes)}) deleted at the source, in {took}."


def _lines(report: PruneReport) -> Iterator[str]:
    total, pruned = report.pruned.overall(), report.pruned
    if report.dry_run:
        yield "They are at the target with the same content. Nothing was deleted."
    elif report.error is not None or report.interrupted_by:
        left = total.deletable.files - total.deleted.files
        yield f"By then {files(total.deleted.files)} were deleted; {number(left)} that could be deleted are still there."
    if total.kept.files:
        yield f"{files(total.kept.files)} {'would be' if report.dry_run else 'were'} kept, see below."
    if pruned.folders_removed:
        yield f"{plural(pruned.folders_removed, 'empty folder')} removed."
    if pruned.strays:
        yield f"{plural(pruned.strays, 'stray')} left where they are: not raw files."


def _row(name: str, tally: PruneTally, report: PruneReport, columns: tuple[str, ...]) -> PageRow:
    pending = tally.deletable.files - tally.deleted.files
    if tally.kept.files:
        state, tone = f"{number(tally.kept.files)} kept", TODO
    elif not tally.discovered.files:
        state, tone = "no raw files", FINE
    elif report.dry_run:
        state, tone = "could be deleted", FINE
    else:
        state, tone = ("not finished", TODO) if pending else ("deleted", GOOD)
    return PageRow(
        organization=name,
        bucket=None,
        state=state,
        tone=tone,
        files=tally.discovered.files,
        bytes=tally.discovered.bytes,
        counts=tuple(count for one, count, *_ in _counts(tally, dry_run=report.dry_run) if one in columns),
    )


def _sections(report: PruneReport) -> Iterator[ProblemSection]:
    pruned = report.pruned
    if not pruned.problems_total:
        return
    would = "would be " if report.dry_run else ""
    yield ProblemSection(
        kind="kept",
        title=f"{number(pruned.problems_total)} {would}kept at the source",
        next="they stay; prune deletes only what the target has with the same content",
        total=pruned.problems_total,
        groups=_why_kept(pruned) if len(pruned.kept_by) > 1 else (),
        problems=tuple(pruned.problems),
    )


def _why_kept(pruned: Pruned) -> tuple[tuple[str, int], ...]:
    return tuple((_WHY.get(kind, kind), count) for kind, count in pruned.kept_by.most_common())
