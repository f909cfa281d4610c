"""``bytes-migrator migrate``: copy what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import click

from migrator.app import migrating
from migrator.app.first_check_result import Prepared
from migrator.app.first_checks import prepare_to_migrate
from migrator.app.options import Options
from migrator.app.transfer_preview import Announcement, announced
from migrator.cli.help import command
from migrator.cli.logs import log_to
from migrator.cli.options import (
    age_options,
    engine_options,
    limit_options,
    location_options,
    locations_of,
    option,
    options_of,
    owner_option,
    report_options,
    run_options,
    transfer_options,
)
from migrator.cli.plan import run_plan
from migrator.cli.progress import inspecting, watching
from migrator.cli.run_outputs import reporting
from migrator.cli.signals import draining, ending_at_once
from migrator.cli.terminal import can_ask, coloured, print_result, stderr_columns
from migrator.core.errors import SettingsError
from migrator.reports.formatting import files, plural, shown, size
from migrator.reports.json import report_as_json
from migrator.reports.text.console import report_as_text
from migrator.reports.text.findings import as_known, finding_lines
from migrator.reports.text.run_summary import time_range
from migrator.reports.text.wrapping import joined

_BUCKETS_NAMED = 5


@command(short_help="Copy what is missing at the target; rerun to resume.")
@location_options
@owner_option
@run_options
@age_options
@engine_options
@report_options
@transfer_options
@option(
    "--full", is_flag=True, help="List all of the target, not a sample; read what differs or changed. For the last run."
)
@option("--reread", is_flag=True, help="As --full, and read every raw file again, whatever earlier runs found.")
@limit_options
@option("--dry-run", is_flag=True, help="The same as `plan`.")
@option("--yes", is_flag=True, help="Do not ask; needed without a terminal.")
def migrate(**given: Any) -> int:
    """Copy every raw file that is missing at the target; nothing is ever overwritten or deleted.

    Rerun it to resume, and to copy what came in meanwhile.

    \b
    Examples:
      bytes-migrator migrate --to s3
      bytes-migrator migrate --from s3 --to disk
      bytes-migrator migrate --from old.env --to new.env --yes
    """
    if given["dry_run"]:
        return run_plan(given)
    with log_to(given), reporting(given, "migrate") as reports:
        locations, options = locations_of(given), options_of(given)
        refuse_without_terminal(given)
        options = reports.begin(options, locations.source, locations.target)
        with draining(given) as stopping:
            with inspecting(given, f"{locations.source} and {locations.target}"):
                prepared = prepare_to_migrate(locations, options, stopping)
            shown_before: frozenset[tuple[str, str]] = frozenset()
            if not given["yes"]:
                shown_before = ask(prepared, options)
            watch = watching(given, reports.observers)
            report = migrating.migrate(prepared, options, watch, stopping, on_stopped=reports.write)
            report = replace(report, known=report.known | shown_before)
            report = reports.write(report)
            print_result(given, report, report_as_json, report_as_text)
            return report.exit_status


def refuse_without_terminal(given: dict[str, Any]) -> None:
    """Refuse to write without --yes where nobody can be asked.

    Raises:
        SettingsError: If so.
    """
    if not given["yes"] and not can_ask():
        raise SettingsError(
            "yes-missing",
            "There is no terminal to ask on, and this writes.",
            cure="Look with `plan` first, then add --yes.",
        )


def ask(prepared: Prepared, options: Options) -> frozenset[tuple[str, str]]:
    """Show what will happen; no is the answer that a bare return gives. Returns the findings that have been shown by then."""
    with ending_at_once():
        found = announced(prepared, options)
        click.echo(coloured(joined(_question_lines(prepared, found), stderr_columns())), err=True)
        click.confirm("Copy them now?", abort=True, err=True)
    return found.known | as_known(prepared.findings)


def _question_lines(prepared: Prepared, found: Announcement) -> Iterator[str]:
    yield f"from  {shown(str(prepared.locations.source))}"
    yield f"to    {shown(str(prepared.locations.target))}"
    yield ""
    yield from finding_lines(prepared.findings, found.known, is_plan=True)
    at_least = "" if found.is_final else "≥"
    counted = f"{at_least}{files(found.source.files)} ({at_least}{size(found.source.bytes)})"
    yield f"The source has {counted} of {plural(len(prepared.overview.organizations), 'organization')}."
    if found.at_target is not None:
        yield f"After the last run, {files(found.at_target)} were at the target."
    if prepared.buckets_to_create:
        names = ", ".join(map(shown, prepared.buckets_to_create[:_BUCKETS_NAMED]))
        more = ", …" if len(prepared.buckets_to_create) > _BUCKETS_NAMED else ""
        yield f"{plural(len(prepared.buckets_to_create), 'bucket')} will be created: {names}{more}"
    yield f"Estimated time: {at_least}{time_range(found.estimate)}."
    yield "Files that are missing at the target are copied. Nothing is overwritten or deleted."
