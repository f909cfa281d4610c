"""``bytes-migrator iam-policy``: the least that a key has to be allowed."""

from __future__ import annotations

from typing import Any

import click

from migrator.app.policy import policy_for
from migrator.cli.options import ORGANIZATION, location_options, locations_of, option
from migrator.doctor.policy import PURPOSES
from migrator.reports.json import as_json


@click.command("iam-policy", short_help="Print the least IAM policy for a command here.")
@location_options
@option(
    "--for",
    "purpose",
    type=click.Choice(PURPOSES),
    default="migrate",
    show_default=True,
    help="What the key is for: a command, the way back, or Bytes itself.",
)
@ORGANIZATION
def iam_policy(**given: Any) -> int:
    """Print an IAM policy, as JSON, that allows what is needed at these locations and nothing else.

    An end that is not given is the disk.

    \b
    Examples:
      bytes-migrator iam-policy --for migrate --to s3
      bytes-migrator iam-policy --for bytes --to new.env
    """
    if (given["from_"] is None) != (given["to"] is None) and "disk" not in (given["from_"], given["to"]):
        given = {**given, "from_": given["from_"] or "disk", "to": given["to"] or "disk"}
    click.echo(as_json(policy_for(given["purpose"], locations_of(given), given["organizations"])))
    return 0
