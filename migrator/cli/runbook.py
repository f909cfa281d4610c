"""``bytes-migrator runbook``: the whole switch, step by step."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from migrator.app.read_through import offered_read_through
from migrator.app.runbook import guessed_deployment, runbook_of
from migrator.cli.doctor import NGINX_USER, VERSION, checked_version
from migrator.cli.options import ORGANIZATION, location_options, locations_of, option
from migrator.config.environment import DEBIAN_FILES
from migrator.config.overriding_options import OVERRIDING_OPTIONS
from migrator.reports.runbook import DEPLOYMENTS, Deployment, runbook_as_markdown, tool_words


@click.command(short_help="Print the whole switch, step by step, for this installation.")
@location_options
@ORGANIZATION
@option(
    "--deployment",
    type=click.Choice(DEPLOYMENTS),
    help="How Bytes is installed (default: guessed from what is here).",
)
@VERSION
@option(
    "--read-through",
    is_flag=True,
    help="Disk to S3: nginx serves from the data folder what S3 does not have yet, so Bytes is switched first.",
)
@NGINX_USER
@click.pass_context
def runbook(context: click.Context, /, **given: Any) -> int:
    """Print Markdown with commands to paste: look, copy, stop, copy the rest, verify, new settings, start, try, and the way back.

    \b
    Examples:
      bytes-migrator runbook --from disk --to new.env --deployment debian
      bytes-migrator runbook --to s3 > switch.md
      bytes-migrator runbook --to s3 --read-through > switch.md
    """
    locations = locations_of(given)
    reads = offered_read_through(locations, nginx_user=given["nginx_user"]) if given["read_through"] else None
    deployment = given["deployment"] or guessed_deployment(os.environ, os.getcwd(), tuple(map(str, DEBIAN_FILES)))
    book = runbook_of(
        locations,
        deployment,
        words=_words(given, given["from_"], given["to"]),
        back=_words(given, given["to"], given["from_"]),
        env_files=_env_files(given, deployment),
        bytes_version=checked_version(given["bytes_version"]),
        can_verify=_has_command(context, "verify"),
        reads=reads,
    )
    click.echo(runbook_as_markdown(book), nl=False)
    return 0


def _env_files(given: dict[str, Any], deployment: Deployment) -> tuple[Path, ...]:
    """Bytes' own settings file, and the files that are given."""
    own = {"debian": (DEBIAN_FILES[-1],), "compose": (Path(".env"),), "kubernetes": ()}
    words = [Path(word) for word in (given["from_"], given["to"]) if word and os.path.isfile(word)]
    return (*own[deployment], *given["env_files"], *words)


def _has_command(context: click.Context, name: str) -> bool:
    group = context.parent.command if context.parent is not None else None
    return isinstance(group, click.Group) and name in group.commands


def _words(given: dict[str, Any], from_: str | None, to: str | None) -> tuple[str, ...]:
    """The options that name these locations, as they were given. Settings of the environment are not repeated: the runbook says them."""
    options = [("--from", from_), ("--to", to)]
    options += [("--env-file", str(path)) for path in given["env_files"]]
    options += [(option, given[name]) for name, (_, option) in OVERRIDING_OPTIONS.items() if name != "bucket_per_org"]
    if given["bucket_per_org"] is not None:
        options.append(("--bucket-per-org" if given["bucket_per_org"] else "--single-bucket", ""))
    options += [("--organization", name) for name in given["organizations"]]
    return tool_words([(name, value) for name, value in options if value is not None])
