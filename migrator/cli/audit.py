"""``bytes-migrator audit``: what Bytes' database says must be there, against what Bytes can read."""

from __future__ import annotations

import os
import secrets
from typing import Any

import click

from migrator.app.audit_record import kept_for_report
from migrator.app.auditing import AuditWish
from migrator.app.auditing import audit as run_audit
from migrator.checks.audit.settings import resolve_audit
from migrator.cli.doctor import confirm_probe
from migrator.cli.help import command
from migrator.cli.logs import log_to
from migrator.cli.number_types import Number
from migrator.cli.options import (
    age_options,
    ages_of,
    location_options,
    option,
    options_of,
    overrides_of,
    owner_option,
    rate_options,
    reading_options,
    report_option,
)
from migrator.cli.progress import watching
from migrator.cli.run_outputs import reporting
from migrator.cli.signals import draining
from migrator.cli.terminal import print_result
from migrator.core.errors import SettingsError
from migrator.reports.text.audit import audit_as_json, audit_as_text

_SAMPLE = 20


@command(short_help="Compare with Bytes' database: what is readable, elsewhere, missing, altered.")
@location_options
@owner_option
@age_options
@option(
    "--database",
    metavar="URI|FILE",
    help="Bytes' database, or a CSV file with an export of its rows. Default: BYTES_DB_URI.",
)
@option(
    "--level",
    type=click.Choice(["listing", "content"]),
    default="listing",
    show_default=True,
    help="Whether the raw files are there, or also whether their contents are what Bytes recorded.",
)
@option("--api", metavar="URL", help="Ask a running Bytes there for a sample of raw files too.")
@option(
    "--sample",
    type=Number(1, 100_000),
    metavar="N",
    help=f"How many raw files --api asks for. Default: {_SAMPLE}.",
)
@option("--seed", type=Number(0), metavar="N", help="Draws the same sample again. Default: another one each time.")
@option("--jobs", type=Number(1, 64), metavar="N", help="At most this many contents are read at once. Default: 8.")
@rate_options
@option(
    "--probe", is_flag=True, help="Also try Bytes' own calls on each bucket with raw files; this writes a small object."
)
@option("--yes", is_flag=True, help="Do not ask before --probe; needed without a terminal.")
@reading_options
@report_option
def audit(**given: Any) -> int:
    """Ask Bytes' database which raw files must exist, and check which of them Bytes can read with these settings.

    \b
    Examples:
      bytes-migrator audit                             where the settings point
      bytes-migrator audit --env-file .env --to new.env  with settings that are not active yet
      bytes-migrator audit --to s3 --level content     contents against the recorded digests
      bytes-migrator audit --database rows.csv         without a way to the database
      bytes-migrator audit --api http://localhost:8002 --sample 100
    """
    if given["probe"] and not given["yes"]:
        confirm_probe("A small object is written to each bucket with raw files, and removed again. Go on?")
    with log_to(given), reporting(given, "audit") as reports:
        settings = resolve_audit(
            given["from_"],
            given["to"],
            env_files=given["env_files"],
            overrides=overrides_of(given),
            environ=os.environ,
        )
        options = reports.begin(options_of(given), settings.source, settings.target)
        with draining(given) as stopping:
            report = run_audit(settings, _wish(given), options, watching(given, reports.observers), stopping)
        report = reports.write(kept_for_report(options.state, report))
    print_result(given, report, audit_as_json, audit_as_text)
    return report.exit_status


def _wish(given: dict[str, Any]) -> AuditWish:
    for name in ("sample", "seed"):
        if given[name] is not None and given["api"] is None:
            raise SettingsError(
                "option-without-effect",
                f"--{name} is for --api, which is not given.",
                cure=f"Add --api URL, or leave --{name} out.",
            )
    return AuditWish(
        database=given["database"],
        contents=given["level"] == "content",
        api=given["api"],
        sample=given["sample"] or _SAMPLE,
        seed=given["seed"] if given["seed"] is not None else secrets.randbelow(1_000_000),
        ages=ages_of(given),
        probe=given["probe"],
    )
