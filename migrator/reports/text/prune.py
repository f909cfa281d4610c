"""What `prune` deleted, what it kept, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from migrator.checks.prune.tallies import Pruned
from migrator.core.errors import MigratorError
from migrator.core.findings import Finding
from migrator.reports.formatting import Whole, duration, files, number, placed, plural, shown, size, table
from migrator.reports.json import as_json
from migrator.reports.report import SCHEMA, Evidence, status_when_interrupted
from migrator.reports.text.findings import error_lines, finding_lines
from migrator.reports.text.wrapping import joined

_PROBLEMS_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneReport:
    """A run, or what a run would be. `manifest` is the folder that names what went; `error` ended it early."""

    run: str
    source: str
    target: str
    dry_run: bool
    pruned: Pruned
    findings: tuple[Finding, ...]
    manifest: str | None
    seconds: float
    interrupted_by: str = ""
    error: MigratorError | None = None
    started: float | None = None
    evidence: tuple[Evidence, ...] = ()

    @property
    def exit_status(self) -> int:
        """Return 0 where all was as it should be, 1 with anything kept, else the status of what ended it."""
        if self.error is not None:
            return self.error.exit_status
        if self.interrupted_by:
            return status_when_interrupted(self.interrupted_by)
        return 1 if self.pruned.problems_total else 0


def prune_as_json(report: PruneReport) -> str:
    """The document of ``--json`` for prune."""
    pruned, error = report.pruned, report.error
    document: dict[str, object] = {
        "schema": SCHEMA,
        "command": "prune",
        "run": report.run,
        "from": report.source,
        "to": report.target,
        "dry_run": report.dry_run,
        "seconds": round(report.seconds, 3),
        "interrupted_by": report.interrupted_by or None,
        "organizations": [
            {"organization": organization, **tally.as_dict(dry_run=report.dry_run)}
            for organization, tally in sorted(pruned.organizations.items())
        ],
        "totals": pruned.overall().as_dict(dry_run=report.dry_run),
        "kept_by": dict(pruned.kept_by),
        "strays": pruned.strays,
        "folders_removed": pruned.folders_removed,
        "manifest": report.manifest,
        "findings": [finding.as_dict() for finding in report.findings],
        "problems": [problem.as_dict() for problem in pruned.problems],
        "problems_total": pruned.problems_total,
        "exit_status": report.exit_status,
    }
    if error is not None:
        document["error"] = error.as_dict()
    return as_json(document)


def prune_as_text(command: str, report: PruneReport, width: int | None = None) -> str:
    """What prune prints at its end; `command` is what was typed."""
    return joined(prune_lines(report, command), width)


def prune_lines(report: PruneReport, command: str) -> Iterator[str]:
    """Yield what it prints."""
    pruned = report.pruned
    yield f"from  {shown(report.source)}  (raw files are deleted here)"
    yield f"to    {shown(report.target)}  (and must be here)"
    yield ""
    rows = [["organization", "files", "deletable", "deleted", "kept"]]
    for organization, tally in sorted(pruned.organizations.items()):
        rows.append([shown(organization), *(number(count.files) for count in tally.counts())])
    yield from table(rows)
    yield ""
    for problem in pruned.problems[:_PROBLEMS_SHOWN]:
        yield f"  kept {placed(problem.where, problem.reason)}"
    if pruned.problems_total > _PROBLEMS_SHOWN:
        yield f"  … and {number(pruned.problems_total - _PROBLEMS_SHOWN)} more (the first 1,000: --json)"
    yield from finding_lines(report.findings)
    yield from _in_words(report, command)


def _in_words(report: PruneReport, command: str) -> Iterator[str]:
    total, pruned, took = report.pruned.overall(), report.pruned, duration(report.seconds)
    if report.error is not None:
        yield from error_lines(report.error)
    if report.interrupted_by:
        yield f"Stopped by {report.interrupted_by} after {took}."
    if report.dry_run:
        yield (
            f"{files(total.deletable.files)} ({size(total.deletable.bytes)}) are at the target with the same content and could be deleted; "
            f"{files(total.kept.files)} would be kept ({took}). Nothing was deleted."
        )
        if total.deletable.files and not report.interrupted_by:
            yield "To delete them:"
            yield Whole(f"  {shown(command)} --confirm {total.deletable.files}")
        return
    yield (
        f"{files(total.deleted.files)} ({size(total.deleted.bytes)}) deleted, {files(total.kept.files)} kept, "
        f"{plural(pruned.folders_removed, 'empty folder')} removed, in {took}."
    )
    left = total.deletable.files - total.deleted.files
    if left:
        yield f"{files(left)} that could be deleted are still there."
    if pruned.strays:
        yield f"{plural(pruned.strays, 'stray')} left where they are."
    yield f"Deleted, with digests: {shown(report.manifest or '')}"
