"""The report as one JSON document; its schema is versioned and only grows."""

from __future__ import annotations

import json

from migrator.errors import MigratorError
from migrator.reports.report import SCHEMA, Report


def report_as_json(report: Report) -> str:
    """The document of ``--json`` for plan and migrate."""
    document = {
        "schema": SCHEMA,
        "command": report.command,
        "run": report.run,
        "from": report.source,
        "to": report.target,
        "dry_run": report.dry_run,
        "compared_by": report.compared_by,
        "seconds": round(report.seconds, 3),
        "interrupted_by": report.interrupted_by or None,
        "counting_is_final": report.counting_is_final,
        "organizations": [
            {"organization": row.organization, "bucket": row.bucket, **row.tally.as_dict()} for row in report.rows
        ],
        "totals": report.overall.as_dict(),
        "unreadable_folders": report.overall.unreadable_folders,
        "buckets_to_create": list(report.buckets_to_create),
        "findings": [finding.as_dict() for finding in report.findings],
        "problems": [problem.as_dict() for problem in report.totals.problems],
        "problems_total": report.totals.problems_total,
        "settings": [
            {"name": setting.name, "value": setting.shown, "origin": setting.origin} for setting in report.settings
        ],
        "next_steps": list(report.next_steps),
        "exit_status": report.exit_status,
    }
    return as_json(document)


def error_as_json(command: str, error: MigratorError) -> str:
    """The document of a command that could not do its work."""
    told = {"name": error.name, "what": error.what, "why": error.why, "cure": error.cure}
    return as_json({"schema": SCHEMA, "command": command, "error": told, "exit_status": error.exit_status})


def as_json(document: object) -> str:
    """JSON in ASCII: names from outside, lone surrogates too, cannot upset a terminal or a parser."""
    return json.dumps(document, indent=2, ensure_ascii=True)
