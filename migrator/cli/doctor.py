"""``bytes-migrator doctor``: blockers, and whether Bytes itself will work there."""

from __future__ import annotations

import re
from typing import Any

import click

from migrator.app.doctor import examine
from migrator.app.doctor_examination import DoctorRequest
from migrator.app.migrating import new_run_id
from migrator.app.options import Options
from migrator.cli.help import command
from migrator.cli.options import (
    ALLOW_EMPTY,
    FORCE,
    ORGANIZATION,
    location_options,
    locations_of,
    option,
    owner_of,
    owner_option,
    state_folder,
    state_options,
)
from migrator.cli.terminal import can_ask, print_result
from migrator.core.errors import SettingsError
from migrator.reports.text.doctor import doctor_as_json, doctor_as_text

VERSION = option(
    "--bytes-version",
    metavar="VERSION",
    default="",
    help="The version of Bytes that is installed, such as 1.19: says whether it is known.",
)
NGINX_USER = option(
    "--nginx-user",
    metavar="USER[:GROUP]",
    help="nginx' user (default: as /etc/nginx/nginx.conf says), for --read-through.",
)


@command(short_help="Report blockers and how to fix each, and whether Bytes will work there.")
@location_options
@owner_option
@ORGANIZATION
@ALLOW_EMPTY
@FORCE
@VERSION
@option(
    "--probe",
    is_flag=True,
    help="Also try what writes: Bytes' own calls on each target bucket, and what the server can do.",
)
@option(
    "--read-through",
    is_flag=True,
    help="Check whether nginx can serve from the data folder what S3 does not have yet, and print its lines.",
)
@NGINX_USER
@option("--yes", is_flag=True, help="Do not ask before --probe; needed without a terminal.")
@state_options
def doctor(**given: Any) -> int:
    """Check settings, names, rights, space and servers, and say what would fail, why, and how to fix it.

    Writes nothing, unless --probe is given: then a small object, removed again, in each target bucket, and buckets that are missing.
    Exits with 1 if something is an error.

    \b
    Examples:
      bytes-migrator doctor --to s3
      bytes-migrator doctor --from disk --to new.env --probe
      bytes-migrator doctor --to disk
    """
    locations = locations_of(given)
    wish = DoctorRequest(
        probe=given["probe"],
        bytes_version=checked_version(given["bytes_version"]),
        read_through=given["read_through"],
        nginx_user=given["nginx_user"],
    )
    if wish.probe and not given["yes"]:
        confirm_probe(
            "A small object is written to each target bucket and removed again; buckets that are missing are made. Go on?"
        )
    options = Options(
        organizations=given["organizations"],
        allow_empty=given["allow_empty"],
        forced=frozenset(given["forced"]),
        owner=owner_of(given),
        state=state_folder(given["state_dir"]),
    )
    report = examine(locations, options, wish, new_run_id())
    print_result(given, report, doctor_as_json, doctor_as_text)
    return report.exit_status


def checked_version(version: str) -> str:
    """Return the version of Bytes that was given; "" if none was.

    Raises:
        SettingsError: If it is no version, such as 1.19 or 1.20.1.
    """
    if version and not re.fullmatch(r"\d{1,4}\.\d{1,4}([.\w+-]{0,40})?", version):
        raise SettingsError(
            "bytes-version-invalid",
            f"--bytes-version {version!r} is no version.",
            cure="Write it like 1.19 or 1.20.1.",
        )
    return version


def confirm_probe(question: str) -> None:
    """Ask before a probe writes; a bare return is a no, which ends the command.

    Raises:
        SettingsError: If there is no terminal to ask on.
    """
    if not can_ask():
        raise SettingsError(
            "yes-missing",
            "There is no terminal to ask on, and --probe writes.",
            cure="Add --yes, or leave out --probe.",
        )
    click.confirm(question, abort=True, err=True)
