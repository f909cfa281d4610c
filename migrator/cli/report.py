"""``bytes-migrator report``: the report of an earlier run, from its ledger."""

from __future__ import annotations

from pathlib import Path

import click

from migrator.app.stored_report import report_of_run
from migrator.cli.options import option, state_folder, state_options
from migrator.cli.output import answer, stdout_columns
from migrator.reports.csv import report_as_csv
from migrator.reports.json import report_as_json
from migrator.reports.report import Report
from migrator.reports.text.console import report_as_text


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
    found = report_of_run(state_folder(state_dir), run)
    form = "json" if as_json else form
    if form == "console":
        answer(report_as_text(found, stdout_columns()))
    else:
        click.echo(_as_text(found, form).rstrip("\n"))
    return 0


def _as_text(found: Report, form: str) -> str:
    if form == "html":
        from migrator.reports.html.page import report_as_html  # noqa: PLC0415 Jinja2 takes time to load

        return report_as_html(found)
    return {"json": report_as_json, "csv": report_as_csv}[form](found)
