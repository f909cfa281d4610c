"""``bytes-migrator uploads``: unfinished multipart uploads that this tool began, and giving them up."""

from __future__ import annotations

from typing import Any

import click

from migrator.app.uploads import abort_uploads, unfinished_uploads
from migrator.cli.options import location_options, locations_of, option, state_folder, state_options
from migrator.cli.signals import draining
from migrator.cli.terminal import can_ask, print_result
from migrator.core.errors import SettingsError
from migrator.reports.formatting import plural
from migrator.reports.text.uploads import UnfinishedUploads, uploads_as_json, uploads_as_text


@click.group(invoke_without_command=True, short_help="List or abort unfinished multipart uploads that this tool began.")
@location_options
@state_options
@click.pass_context
def uploads(context: click.Context, /, **given: Any) -> int | None:
    """List unfinished multipart uploads at the target that this tool began; `migrate` resumes them.

    \b
    Examples:
      bytes-migrator uploads --to s3
      bytes-migrator uploads abort --to s3
    """
    if context.invoked_subcommand is not None:
        return None
    with draining(given) as stopping:
        found = unfinished_uploads(locations_of(given), state_folder(given["state_dir"]), stopping)
    print_result(given, found, uploads_as_json, uploads_as_text)
    return 0


@uploads.command(short_help="Abort them, which frees the space of their parts.")
@location_options
@state_options
@option("--yes", is_flag=True, help="Do not ask; needed without a terminal.")
def abort(**given: Any) -> int:
    """Abort the unfinished uploads that this tool began at the target, and no other; `migrate` then begins anew.

    An upload whose object is there in full is not aborted, only forgotten: some servers would destroy the object.
    \f

    Raises:
        SettingsError: If --yes is not given and there is no terminal to ask on.
    """
    locations, state = locations_of(given), state_folder(given["state_dir"])
    if not given["yes"] and not can_ask():
        raise SettingsError("yes-missing", "There is no terminal to ask on, and this deletes parts.", cure="Add --yes.")
    with draining(given) as stopping:
        found = unfinished_uploads(locations, state, stopping)
        if found.own and not given["yes"]:
            click.echo(uploads_as_text(UnfinishedUploads(found.own)), err=True)
            click.confirm(f"Abort {plural(len(found.own), 'upload')}?", abort=True, err=True)
        aborted = abort_uploads(locations, state, stopping)
    click.echo(
        uploads_as_json(UnfinishedUploads(aborted))
        if given["as_json"]
        else f"{plural(len(aborted), 'upload')} aborted."
    )
    return 0
