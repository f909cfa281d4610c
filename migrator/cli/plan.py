"""``bytes-migrator plan``: say beforehand what `migrate` would do."""

from __future__ import annotations

from typing import Any

from migrator.app import migrating
from migrator.cli.help import command
from migrator.cli.logs import log_to
from migrator.cli.options import (
    age_options,
    engine_options,
    location_options,
    locations_of,
    options_of,
    owner_option,
    report_options,
    run_options,
)
from migrator.cli.progress import inspecting, watching
from migrator.cli.run_outputs import reporting
from migrator.cli.signals import draining
from migrator.cli.terminal import print_result
from migrator.reports.json import report_as_json
from migrator.reports.text.console import report_as_text


@command()
@location_options
@owner_option
@run_options
@age_options
@engine_options
@report_options
def plan(**given: Any) -> int:
    """Say what `migrate` would do, and write nothing.

    \b
    Examples:
      bytes-migrator plan --to s3                      what Bytes' settings in this environment say
      bytes-migrator plan --env-file .env --to s3      … and in an env file
      bytes-migrator plan --from old.env --to new.env  any change of settings
      bytes-migrator plan --from /data --to 's3://raw/{organization}'
    """
    return run_plan(given)


def run_plan(given: dict[str, Any]) -> int:
    """Look, show what migrate would do, and return the exit status; `migrate --dry-run` does this too."""
    with log_to(given), reporting(given, "plan") as reports:
        locations, options = locations_of(given), options_of(given)
        options = reports.begin(options, locations.source, locations.target)
        with draining(given) as stopping:
            with inspecting(given, f"{locations.source} and {locations.target}"):
                report = migrating.plan(locations, options, watching(given, reports.observers), stopping)
            report = reports.write(report)
            print_result(given, report, report_as_json, report_as_text)
            return report.exit_status
