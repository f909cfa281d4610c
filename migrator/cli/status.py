"""``bytes-migrator status``: the last runs, what is left, and what needs attention."""

from __future__ import annotations

from pathlib import Path

import click

from migrator.cli.options import option, state_folder
from migrator.reports.status import read_status, status_as_json, status_as_text


@click.command(short_help="Show the last runs, what is left, and what failed.")
@option("--state-dir", type=click.Path(path_type=Path), metavar="DIR", help="Where ledgers are kept.")
@option(
    "--runs", type=click.IntRange(1, 100), default=5, show_default=True, help="How many runs of each pair of locations."
)
@option(
    "--problems",
    type=click.IntRange(0, 100_000),
    default=20,
    show_default=True,
    help="How many problems of the last run.",
)
@option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def status(state_dir: Path | None, runs: int, problems: int, *, as_json: bool) -> int:
    """Show the last runs, of a running one too: what is done, what is left, what failed and why.

    \b
    Examples:
      bytes-migrator status
      bytes-migrator status --problems 1000 --json
    """
    found = read_status(state_folder(state_dir), runs=runs, problems=problems)
    click.echo(status_as_json(found) if as_json else status_as_text(found))
    return 0
