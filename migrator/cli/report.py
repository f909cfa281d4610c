"""``bytes-migrator report``: the report of an earlier run, from its ledger."""

from __future__ import annotations

from pathlib import Path

import click

from migrator.app.stored_report import report_of_run, run_of_audit
from migrator.cli.options import option, state_folder, state_options
from migrator.cli.terminal import answer, stdout_columns
from migrator.core.errors import SettingsError
from migrator.ledger.audit_files import KeptAudit
from migrator.reports.csv import report_as_csv
from migrator.reports.formatting import clock_time, unmarked
from migrator.reports.json import report_as_json
from migrator.reports.report import Report
from migrator.reports.text.console import stored_as_text
from migrator.reports.text.wrapping import joined


@click.command(short_help="Show the report of an earlier run again.")
@click.argument("run", required=False)
@option(
    "--format",
    "form",
    type=click.Choice(["console", "json", "csv", "html"]),
    default="console",
    show_default=True,
    help="The form on stdout.",
)
@state_options
def report(run: str | None, form: str, state_dir: Path | None, *, as_json: bool) -> int:
    """Show the report of RUN, or of the last run, from its ledger.

    \b
    Examples:
      bytes-migrator report
      bytes-migrator report 20260102-030405-abcdef --format html > report.html
    """
    state = state_folder(state_dir)
    form = "json" if as_json else form
    audit = run_of_audit(state, run)
    if audit is not None:
        _show_audit(audit, form)
        return 0
    found = report_of_run(state, run)
    if form == "console":
        answer(stored_as_text(found, stdout_columns()))
    else:
        click.echo(_as_text(found, form).rstrip("\n"))
    return 0


def _show_audit(audit: KeptAudit, form: str) -> None:
    """Show it as it was shown, or its document.

    Raises:
        SettingsError: If another form is asked for.
    """
    if form == "console":
        head = f"run   audit of {clock_time(audit.started)}  [{audit.run}]"
        answer(joined((head, *unmarked(audit.lines)), stdout_columns()))
    elif form == "json":
        click.echo(audit.document)
    else:
        raise SettingsError(
            "report-form",
            f"Of an audit only console and json are kept, not {form}.",
            cure="Rerun the audit with --report DIR for a page and a table.",
        )


def _as_text(found: Report, form: str) -> str:
    if form == "html":
        from migrator.reports.html.page import report_as_html  # noqa: PLC0415 Jinja2 takes time to load

        return report_as_html(found)
    return {"json": report_as_json, "csv": report_as_csv}[form](found)
