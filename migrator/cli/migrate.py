"""``bytes-migrator migrate``: copy what is missing."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import click

from migrator.app import migrating
from migrator.app.options import Prepared
from migrator.app.planning import prepare_to_migrate
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
from migrator.cli.plan import run_plan, show
from migrator.cli.progress import looking, watching
from migrator.cli.reporting import reporting
from migrator.cli.signals import draining
from migrator.core.errors import SettingsError
from migrator.reports.formatting import plural, shown
from migrator.reports.text.findings import finding_lines


@click.command(short_help="Copy what is missing at the target; go on after an interruption.")
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

    Run it again to go on after an interruption, and to copy what came in meanwhile.

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
        options = reports.begin(locations, options)
        with draining(given) as stopping:
            with looking(given, f"{locations.source} and {locations.target}"):
                prepared = prepare_to_migrate(locations, options, stopping)
            if not given["yes"]:
                ask(prepared)
            watch = watching(given, reports.observers)
            report = migrating.migrate(prepared, options, watch, stopping, on_stopped=reports.write)
            return show(reports.write(report), as_json=given["as_json"])


def refuse_without_terminal(given: dict[str, Any]) -> None:
    """What writes needs a yes, and nobody can be asked without a terminal."""
    if not given["yes"] and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise SettingsError(
            "yes-missing",
            "There is no terminal to ask on, and this writes.",
            cure="Look with `plan` first, then add --yes.",
        )


def ask(prepared: Prepared) -> None:
    """Show what will happen; no is the answer that a bare return gives."""
    say = partial(click.echo, err=True)
    say(f"from  {shown(str(prepared.locations.source))}")
    say(f"to    {shown(str(prepared.locations.target))}")
    count = len(prepared.look.organizations)
    say(f"      {plural(count, 'organization')}; {plural(len(prepared.buckets_to_create), 'bucket')} would be created")
    for line in finding_lines(prepared.findings):
        say(line)
    say("What is missing at the target is copied. Nothing is overwritten, nothing is deleted.")
    click.confirm("Go on?", abort=True, err=True)
