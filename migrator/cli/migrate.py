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
    limit_options,
    location_options,
    locations_of,
    option,
    options_of,
    report_options,
    run_options,
)
from migrator.cli.plan import run_plan, show
from migrator.cli.progress import looking, watching
from migrator.cli.reporting import reporting
from migrator.cli.signals import draining
from migrator.errors import SettingsError
from migrator.reports.console import finding_lines
from migrator.reports.words import plural, shown


@click.command(short_help="Copy what is missing at the target; go on after an interruption.")
@location_options
@run_options
@age_options
@report_options
@option(
    "--jobs",
    type=click.IntRange(1, 1024),
    help="At most so many requests at once, over all processes (default: found out while running).",
)
@option("--create-buckets/--no-create-buckets", default=True, help="Make buckets that are missing (the default).")
@option(
    "--compare",
    type=click.Choice(["content", "size"]),
    default="content",
    show_default=True,
    help="What makes a raw file count as present at the target.",
)
@option(
    "--settle",
    type=click.FloatRange(0),
    default=30,
    show_default=True,
    help="Seconds after which a raw file on disk is taken to be complete.",
)
@option("--full", is_flag=True, help="Compare folders too that an earlier run finished and that are unchanged since.")
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
        if not given["yes"] and not _is_terminal():
            raise SettingsError(
                "yes-missing",
                "There is no terminal to ask on, and this writes.",
                cure="Look with `plan` first, then add --yes.",
            )
        options = reports.begin(locations, options)
        with draining(given) as stopping:
            looking(given, f"{locations.source} and {locations.target}")
            prepared = prepare_to_migrate(locations, options, stopping)
            if not given["yes"]:
                _ask(prepared)
            watch = watching(given, reports.observers)
            report = migrating.migrate(prepared, options, watch, stopping, on_stopped=reports.write)
            return show(reports.write(report), as_json=given["as_json"])


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _ask(prepared: Prepared) -> None:
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
