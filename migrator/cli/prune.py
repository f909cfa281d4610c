"""``bytes-migrator prune``: delete raw files at the source that are proven to be at the target."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from functools import partial
from typing import Any

import click

from migrator.app.bytes_place import bytes_place
from migrator.app.prune_request import PruneWish
from migrator.app.pruning import prune as run_prune
from migrator.checks.audit.bytes_api import BytesApi
from migrator.checks.audit.settings import login_of
from migrator.checks.prune.tallies import Pruned
from migrator.cli.help import command
from migrator.cli.logs import log_to
from migrator.cli.number_types import Number
from migrator.cli.options import (
    age_options,
    limit_options,
    location_options,
    locations_of,
    option,
    options_of,
    overrides_of,
    owner_option,
    report_option,
    run_options,
)
from migrator.cli.progress import LINE_EVERY_SECONDS
from migrator.cli.run_outputs import reporting
from migrator.cli.signals import draining, same_command
from migrator.cli.terminal import can_ask, print_result
from migrator.reports.formatting import files, number, size
from migrator.reports.text.prune import prune_as_json, prune_as_text


@command(short_help="Delete source files that are proven at the target.")
@location_options
@owner_option
@run_options
@age_options
@limit_options
@report_option
@option("--confirm", type=Number(0), metavar="N", help="Delete them, if it is this number of files.")
@option(
    "--max-delete",
    type=Number(0),
    default=100_000,
    show_default=True,
    metavar="N",
    help="Delete nothing if more files than this would go.",
)
@option(
    "--api",
    metavar="URL",
    help="Ask a running Bytes there for a sample, before the first deletion and after a hundred.",
)
@option(
    "--break-lock",
    metavar="RUN",
    help="Remove the marks of this run of prune first: it was killed, and still holds a bucket or folder.",
)
@option("--yes", is_flag=True, help="Do not ask: without --confirm, only say what would go.")
def prune(**given: Any) -> int:
    """Delete raw files at the source that are at the target with the same content, read at both ends at that moment.

    Without --confirm nothing is deleted: it says what would go, and on a terminal asks for that number.

    \b
    Examples:
      bytes-migrator prune --from /var/lib/kat-bytes --to s3                  Debian: Bytes' settings are known
      bytes-migrator prune --from /mnt/old-data --to s3 --env-file .env        elsewhere: the settings that Bytes has now
      bytes-migrator prune --from disk --to s3 --older-than 90d --confirm 19980
    """
    with log_to(given), reporting(given, "prune") as reports, draining(given) as stopping:
        locations, options = locations_of(given), options_of(given)
        options = reports.begin(options, locations.source, locations.target)
        place = bytes_place(given["env_files"], overrides_of(given), os.environ)
        asks = given["confirm"] is None and not given["yes"] and not given["as_json"] and can_ask()
        wish = PruneWish(
            confirmed=given["confirm"],
            max_delete=given["max_delete"],
            place=place,
            api=BytesApi(given["api"], *login_of(place.environment)) if given["api"] else None,
            break_lock=given["break_lock"],
            command=same_command(),
            confirm=_ask if asks else None,
            listed=reports.listed,
        )
        report = run_prune(
            locations, options, wish, _PlainProgress(quiet=given["quiet"] or given["no_progress"]), stopping
        )
        report = reports.write(report)
        print_result(given, report, prune_as_json, partial(prune_as_text, same_command()))
        return report.exit_status


def _ask(pruned: Pruned) -> int | None:
    """The number, typed; anything but a number is no."""
    total = pruned.overall()
    click.echo(
        f"{files(total.deletable.files)} ({size(total.deletable.bytes)}) are proven to be at the target, "
        f"{number(total.kept.files)} are kept.",
        err=True,
    )
    typed = click.prompt("Type the number of files to delete them for good", default="", show_default=False, err=True)
    return int(typed.replace(",", "")) if typed.replace(",", "").isdecimal() else None


class _PlainProgress:
    """A plain line now and then."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._shown_at = time.monotonic()
        self._counts: dict[str, int] = {}

    def __call__(self, what: str, count: int) -> None:
        self._counts[what] = self._counts.get(what, 0) + count
        now = time.monotonic()
        if not self._quiet and now - self._shown_at >= LINE_EVERY_SECONDS:
            self._shown_at = now
            with suppress(OSError):  # nobody reads it any more; the deletion that is under way is still counted
                click.echo(", ".join(f"{files(done)} {name}" for name, done in self._counts.items()), err=True)
