"""``bytes-migrator verify``: prove that both ends hold the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from migrator.app.verifying import VerifyRequest, verify_against, verify_both
from migrator.checks.prover import Level
from migrator.cli.help import command
from migrator.cli.logs import log_to
from migrator.cli.number_types import Number
from migrator.cli.options import (
    age_options,
    end_of,
    engine_options,
    limit_options,
    location_options,
    locations_of,
    option,
    options_of,
    owner_option,
    report_option,
    run_options,
)
from migrator.cli.progress import watching
from migrator.cli.run_outputs import reporting
from migrator.cli.signals import draining
from migrator.cli.terminal import print_result
from migrator.core.errors import SettingsError
from migrator.reports.text.verify import verification_as_json, verification_as_text


@command(short_help="Prove that both ends hold the same; write or check a manifest.")
@location_options
@owner_option
@run_options
@age_options
@engine_options
@report_option
@option(
    "--level",
    type=click.Choice([level.value for level in Level]),
    help="What is compared with what: sizes; digests that servers keep; contents, read at both ends. Default: etag.",
)
@option(
    "--sample",
    type=Number(1, 10_000_000),
    metavar="N",
    help="Only this many raw files, the same share of each organization.",
)
@option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    metavar="N",
    help="Which sample: the same seed takes the same raw files.",
)
@option("--fresh", is_flag=True, help="Do not resume an interrupted verification: read everything.")
@option(
    "--manifest",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write a manifest of what is proven into this folder (with --level content).",
)
@option(
    "--against",
    type=click.Path(path_type=Path, exists=True),
    metavar="MANIFEST",
    help="Compare one end with a manifest: one of its files, or its folder.",
)
@option(
    "--jobs",
    type=Number(1, 1024),
    metavar="N",
    help="At most this many requests at once, over all processes (default: tuned automatically).",
)
@limit_options
def verify(**given: Any) -> int:
    """Prove that the target has what the source has. Writes to neither.

    Exits with 0 only if every raw file is proven at the chosen level.

    \b
    Examples:
      bytes-migrator verify --to s3
      bytes-migrator verify --to s3 --level content --sample 1000
      bytes-migrator verify --to s3 --level content --manifest evidence/
      bytes-migrator verify --to s3 --against evidence/
    """
    with log_to(given), reporting(given, "verify") as reports:
        request = _request_of(given)
        options = options_of(given)
        locations = end_of(given) if given["against"] is not None else locations_of(given)
        options = reports.begin(options, locations.source, locations.target)
        watch = watching(given, reports.observers)
        with draining(given) as stopping:
            if given["against"] is not None:
                report = verify_against(given["against"], locations, options, request, watch, stopping)
            else:
                report = verify_both(locations, options, request, watch, stopping)
        report = reports.write(report)
        print_result(given, report, verification_as_json, verification_as_text)
        return report.exit_status


def _request_of(given: dict[str, Any]) -> VerifyRequest:
    level = Level(given["level"] or Level.ETAG.value)
    if given["manifest"] is not None and level is not Level.CONTENT:
        raise SettingsError(
            "manifest-needs-content",
            "A manifest has the digests of contents, and only --level content reads them.",
            cure="Add --level content, or leave out --manifest.",
        )
    if given["against"] is not None:
        level = _against_level(given)
    return VerifyRequest(
        level=level,
        sample=given["sample"],
        seed=given["seed"],
        fresh=given["fresh"],
        shows_progress=not (given["quiet"] or given["no_progress"]),
        manifest=given["manifest"].absolute() if given["manifest"] is not None else None,
    )


def _against_level(given: dict[str, Any]) -> Level:
    if given["manifest"] is not None:
        raise SettingsError(
            "against-and-manifest",
            "--against reads a manifest and --manifest writes one.",
            cure="Give one of them.",
        )
    if given["newer_than"] is not None or given["older_than"] is not None:
        raise SettingsError(
            "against-and-ages",
            "A manifest has no times of modification, so --newer-than and --older-than do not work with --against.",
            cure="Leave them out, or use --sample.",
        )
    if given["level"] not in (None, Level.CONTENT.value):
        raise SettingsError(
            "against-is-content",
            f"A manifest has the digests of contents, and --level {given['level']} reads none.",
            cure="Leave out --level: contents are read.",
        )
    return Level.CONTENT
