"""The options that commands share, each declared once; every one is also a variable BYTES_MIGRATOR_NAME."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click

from migrator.app.options import EngineName, Options, engine_and_scheduler
from migrator.cli.number_types import Number, Seconds
from migrator.cli.terminal import CHOICES, on_colour
from migrator.config.location_resolution import resolve_end, resolve_locations
from migrator.config.locations import Locations, Overrides
from migrator.config.rate_limits import Limits, bandwidth_of, requests_of, seconds_of
from migrator.config.time_filter import Ages
from migrator.core.errors import SettingsError
from migrator.doctor.bytes_user import BytesUser, user_named
from migrator.doctor.finding_names import FINDINGS
from migrator.ledger.directory import StateFolder

Command = TypeVar("Command", bound=Callable[..., Any])
PREFIX = "BYTES_MIGRATOR_"


def option(*names: str, **settings: Any) -> Callable[[Command], Command]:
    """`click.option` with a variable of the same name, which the help shows."""
    long = next(name for name in names if name.startswith("--"))
    variable = PREFIX + long.partition("/")[0].lstrip("-").replace("-", "_").upper()
    return click.option(*names, envvar=variable, **settings)


def _adds(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return a decorator that adds these options to a command, in this order."""

    def add_all(command: Command) -> Command:
        return functools.reduce(lambda wrapped, add: add(wrapped), reversed(options), command)

    return add_all


location_options = _adds(
    option(
        "--from", "from_", metavar="LOCATION", help="Where the raw files are: disk, s3, an env file, /path/, s3://…"
    ),
    option("--to", "to", metavar="LOCATION", help="Where Bytes will find them: disk, s3, an env file, /path/, s3://…"),
    option(
        "--env-file",
        "env_files",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Read Bytes' settings from this file too (repeatable, the last one wins).",
    ),
    option("--data-dir", metavar="DIR", help="The data folder of the word 'disk' (BYTES_DATA_DIR)."),
    option("--bucket", metavar="NAME", help="The bucket of the word 's3' (S3_BUCKET)."),
    option("--bucket-prefix", metavar="PREFIX", help="The bucket prefix of the word 's3' (S3_BUCKET_PREFIX)."),
    option(
        "--bucket-per-org/--single-bucket",
        "bucket_per_org",
        default=None,
        help="A bucket for each organization, or one for all (BUCKET_PER_ORG; Bytes' default is one for each).",
    ),
    option("--endpoint-url", metavar="URL", help="The S3 server (AWS_ENDPOINT_URL)."),
    option("--region", metavar="NAME", help="The region (AWS_DEFAULT_REGION)."),
    option("--profile", metavar="NAME", help="The profile in the AWS configuration files (AWS_PROFILE)."),
    option("--ca-bundle", metavar="FILE", help="The CA certificates for the server (AWS_CA_BUNDLE)."),
)
"""Add the options that name source and target."""
ORGANIZATION = option(
    "--organization", "organizations", multiple=True, metavar="NAME", help="Only this one (repeatable)."
)
ALLOW_EMPTY = option("--allow-empty", is_flag=True, help="Accept an empty source.")
FORCE = option(
    "--force",
    "forced",
    multiple=True,
    type=click.Choice(FINDINGS),
    metavar="NAME",
    help="Continue despite this finding; it stays in every report. Its probe is left out (repeatable).",
)
_PATIENCE = option(
    "--patience",
    type=Seconds(),
    metavar="SECONDS",
    default=120,
    show_default=True,
    help="Seconds without any success before a run stops.",
)
_STATE_DIR = option("--state-dir", type=click.Path(path_type=Path), metavar="DIR", help="Where ledgers are kept.")
_JSON = option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
_COLOUR = option(
    "--color",
    type=click.Choice(CHOICES),
    default="auto",
    show_default=True,
    expose_value=False,
    callback=on_colour,
    help="Colour state words: on a terminal, always or never. NO_COLOR turns it off too.",
)
_TELLING = (
    _JSON,
    _COLOUR,
    option("-q", "--quiet", is_flag=True, help="No progress on stderr."),
    option("--no-progress", is_flag=True, help="No progress bar and no progress lines."),
    option("-v", "--verbose", is_flag=True, help="A log line on stderr for each raw file that needs attention."),
    option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="The format of log lines, progress and messages on stderr: text, or a JSON object on each line.",
    ),
    option("--log-file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write a log there."),
)
run_options = _adds(ORGANIZATION, ALLOW_EMPTY, FORCE, _PATIENCE, _STATE_DIR, *_TELLING)
"""Add the options that every run has: what it is about, and how it shows itself."""
reading_options = _adds(
    ORGANIZATION,
    option("--allow-empty", is_flag=True, help="A database without any raw file is no error."),
    _PATIENCE,
    _STATE_DIR,
    *_TELLING,
)
"""What a command takes that compares raw files with what is known of them, and needs no ledger."""
switch_options = _adds(ALLOW_EMPTY, FORCE, _PATIENCE, _STATE_DIR, *_TELLING)
"""What a command takes that runs as `migrate` does, but never for a part only."""
state_options = _adds(_STATE_DIR, _JSON, _COLOUR)
"""Add the options on where ledgers are kept."""
_REPORT = option(
    "--report",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the report there: a page (HTML), JSON, CSV, and a list of the files that need a look.",
)
report_option = _adds(_REPORT)
"""Add `--report` alone: for a command that is over soon, or is watched."""
report_options = _adds(
    _REPORT,
    option(
        "--metrics-file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Keep Prometheus metrics there, while running and afterwards; FILE.prom for node_exporter.",
    ),
    option(
        "--on-finish", metavar="COMMAND", help="Call this shell command at the end, with status, run id and report."
    ),
)
"""Add the options on what a run leaves behind: report, metrics, and what is called at its end."""
age_options = _adds(
    option(
        "--newer-than",
        metavar="WHEN",
        help="Only raw files modified at or after this: a date, a time (UTC without a zone), or a duration such as 90d, 12h, 30m, 2w.",
    ),
    option("--older-than", metavar="WHEN", help="Only raw files modified before this; the same forms."),
)
"""Add --newer-than and --older-than."""

transfer_options = _adds(
    option(
        "--jobs",
        type=Number(1, 1024),
        metavar="N",
        help="At most this many requests at once, over all processes (default: tuned automatically).",
    ),
    option("--create-buckets/--no-create-buckets", default=True, help="Make buckets that are missing (the default)."),
    option(
        "--compare",
        type=click.Choice(["content", "size"]),
        default="content",
        show_default=True,
        help="What makes a raw file count as present at the target.",
    ),
    option(
        "--settle",
        type=Seconds(),
        metavar="SECONDS",
        default=30,
        show_default=True,
        help="Seconds after which a raw file on disk counts as complete.",
    ),
)
"""Add the options on how raw files are copied."""


_RATE_OPTIONS = (
    option(
        "--bandwidth",
        metavar="RATE",
        help='At most this many bytes of content a second, over all processes: 20MB/s, or "08:00-18:00 5MB/s, 50MB/s".',
    ),
    option(
        "--max-requests", metavar="RATE", help="At most this many requests to S3 a second, over all processes: 500/s."
    ),
)

rate_options = _adds(*_RATE_OPTIONS)
"""Add the options that limit bandwidth and requests: for a command that cannot resume."""
limit_options = _adds(
    *_RATE_OPTIONS,
    option(
        "--max-duration",
        metavar="TIME",
        help="Stop after this time (2h, 90min): in-flight transfers complete, exit status 7; rerun to resume.",
    ),
)
"""Add the options that limit bandwidth, requests and duration."""


engine_options = _adds(
    option(
        "--engine",
        type=click.Choice([name.value for name in EngineName]),
        help="Work in this process alone, in processes of this machine, or on a Dask cluster (default: processes; a dry run: local).",
    ),
    option(
        "--scheduler",
        metavar="URL",
        help="The Dask cluster's scheduler: tls://…, or tcp:// on this machine. Without it, --engine dask starts a cluster here.",
    ),
)
"""Add the options on who does the work."""


owner_option = _adds(
    option(
        "--owner",
        metavar="USER[:GROUP]",
        help="Bytes' user, for raw files on disk: kat, or 1000:1000 (default: the data folder's owner, if that "
        "is not root).",
    ),
)
"""Add --owner to a command."""


def ages_of(given: dict[str, Any]) -> Ages:
    """Which raw files are meant by their age. Raises SettingsError."""
    return Ages.parse(given.get("newer_than"), given.get("older_than"), now=time.time())


def overrides_of(given: dict[str, Any]) -> Overrides:
    """The single settings that were given as options."""
    return Overrides(**{each.name: given[each.name] for each in fields(Overrides)})


def locations_of(given: dict[str, Any]) -> Locations:
    """Both ends, from the options and the process environment. Raises SettingsError."""
    return resolve_locations(
        given["from_"], given["to"], env_files=given["env_files"], overrides=overrides_of(given), environ=os.environ
    )


def end_of(given: dict[str, Any]) -> Locations:
    """Return the one end that is given, as both ends.

    Raises:
        SettingsError: If not exactly one of --from and --to is given.
    """
    if (given["from_"] is None) == (given["to"] is None):
        raise SettingsError(
            "one-end",
            "--against compares one end: give exactly one of --from and --to.",
            cure="Type --to s3 or --from disk, for instance.",
        )
    word = given["from_"] if given["to"] is None else given["to"]
    return resolve_end(word, env_files=given["env_files"], overrides=overrides_of(given), environ=os.environ)


def options_of(given: dict[str, Any]) -> Options:
    """What was asked for besides the locations. Raises SettingsError."""
    engine, scheduler = engine_and_scheduler(given.get("engine"), given.get("scheduler"))
    return Options(
        engine=engine,
        scheduler=scheduler,
        organizations=given["organizations"],
        jobs=given.get("jobs") or 0,
        create_buckets=given.get("create_buckets", True),
        allow_empty=given["allow_empty"],
        compare_by_size=given.get("compare") == "size",
        forced=frozenset(given.get("forced", ())),
        settle=given.get("settle", 30.0),
        patience=given["patience"],
        ages=ages_of(given),
        state=state_folder(given.get("state_dir")),
        full=given.get("full", False) or given.get("reread", False),
        reread=given.get("reread", False),
        limits=limits_of(given),
        owner=owner_of(given),
    )


def owner_of(given: dict[str, Any]) -> BytesUser | None:
    """Whom Bytes runs as. Raises SettingsError for nobody that is known here."""
    return user_named(given["owner"]) if given.get("owner") is not None else None


def limits_of(given: dict[str, Any]) -> Limits:
    """What the command may use. Raises SettingsError."""
    bandwidth, requests, duration = (given.get(name) for name in ("bandwidth", "max_requests", "max_duration"))
    return Limits(
        bandwidth=bandwidth_of(bandwidth) if bandwidth else None,
        requests=requests_of(requests) if requests else None,
        duration=seconds_of(duration, "--max-duration") if duration else None,
    )


def state_folder(given: Path | None) -> StateFolder:
    """Return the state folder that was given, or this user's own."""
    return StateFolder(given.absolute()) if given is not None else StateFolder.default()
