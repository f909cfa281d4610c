"""The report as one JSON document; its schema is versioned and only grows."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator

from migrator.core.errors import MigratorError
from migrator.core.tally import Shape
from migrator.reports.formatting import moment
from migrator.reports.report import SCHEMA, Report


def report_as_json(report: Report) -> str:
    """The document of ``--json`` for plan and migrate; docs/report.schema.json describes it."""
    return as_json(report_as_dict(report))


def report_as_dict(report: Report) -> dict[str, object]:
    """The document before it is text."""
    totals = report.totals
    return {
        "schema": SCHEMA,
        "command": report.command,
        "version": report.version,
        "run": report.run,
        "state": report.state,
        "from": report.source,
        "to": report.target,
        "dry_run": report.dry_run,
        "compared_by": report.compared_by,
        "started": moment(report.started),
        "seconds": round(report.seconds, 3),
        "interrupted_by": report.interrupted_by or None,
        "stopped": report.stopped.as_dict() if report.stopped else None,
        "counting_is_final": report.counting_is_final,
        "organizations": [
            {"organization": row.organization, "bucket": row.bucket, **row.tally.as_dict()} for row in report.rows
        ],
        "totals": report.overall.as_dict(),
        "target_sample": {"checked": totals.samples, "of": totals.sampled_of} if totals.sampled_of else None,
        "unreadable_folders": report.overall.unreadable_folders,
        "buckets_to_create": list(report.buckets_to_create),
        "estimate": report.estimate.as_dict() if report.estimate else None,
        "findings": [finding.as_dict() for finding in report.findings],
        "problem_groups": [
            {"kind": kind, "reason": reason, "count": count} for (kind, reason), count in totals.groups.most_common()
        ],
        "problems": [problem.as_dict() for problem in totals.problems],
        "problems_total": totals.problems_total,
        "sizes": list(_sizes(totals.shape)),
        "months": list(months_of(totals.shape)),
        "course": {
            "seconds_per_step": totals.course.seconds_per_step,
            "steps": [
                {"files": step.files, "moved": step.moved, "bytes": step.bytes, "errors": step.errors}
                for step in totals.course.steps
            ],
        },
        "settings": [setting.as_dict() for setting in report.settings],
        "evidence": [{"name": file.name, "sha256": file.sha256, "lines": file.lines} for file in report.evidence],
        "next_steps": list(report.next_steps),
        "exit_status": report.exit_status,
    }


def _sizes(shape: Shape) -> Iterator[dict[str, object]]:
    """The histogram of sizes, a step for each power of two: files of `from` bytes up to, and without, `below` bytes."""
    for digits in range(max(shape.sizes) + 1 if shape.sizes else 0):
        yield {
            "from": 1 << digits - 1 if digits else 0,
            "below": 1 << digits,
            "files": shape.sizes[digits],
            "moved": shape.moved[digits],
        }


def months_of(shape: Shape) -> Iterator[dict[str, object]]:
    """Files by the month in which they were last changed, ascending; "" for times before 1970 or that make no sense."""
    found: dict[str, int] = {}
    for day, count in sorted(shape.days.items()):
        date = datetime.date(1970, 1, 1) + datetime.timedelta(days=day)
        month = f"{date:%Y-%m}" if day else ""
        found[month] = found.get(month, 0) + count
    for month, count in found.items():
        yield {"month": month, "files": count}


def error_as_json(command: str, error: MigratorError) -> str:
    """The document of a command that could not do its work."""
    return as_json({"schema": SCHEMA, "command": command, "error": error.as_dict(), "exit_status": error.exit_status})


def as_json(document: object) -> str:
    """JSON in ASCII: names from outside, lone surrogates too, cannot upset a terminal or a parser."""
    return json.dumps(document, indent=2, ensure_ascii=True)


def as_json_line(document: object) -> str:
    """As `as_json`, on one line."""
    return json.dumps(document, ensure_ascii=True, separators=(", ", ": "))
