"""``bytes-migrator status``: the last runs, what is left, and what needs attention."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from migrator.cli.number_types import Number
from migrator.cli.options import option, state_folder, state_options
from migrator.cli.terminal import answer, stdout_columns
from migrator.ledger.audit_files import KeptAudit, kept_audits
from migrator.ledger.directory import StateFolder
from migrator.reports.json import as_json as to_json
from migrator.reports.json import as_json_line
from migrator.reports.text.status import (
    DEFAULT_PROBLEMS,
    PairStatus,
    audit_status_lines,
    read_status,
    status_as_dict,
    status_as_text,
)
from migrator.reports.text.switch import switch_status_lines
from migrator.reports.text.wrapping import joined
from migrator.switch.journal import Story, SwitchJournal

WATCHED_EVERY_SECONDS = 2.0
_PART_OF_THE_TIME = 20
"""Reading a large ledger takes time: it is read so seldom that this costs at most one part in so many."""


@click.command(short_help="Show the last runs, what is left, and what failed.")
@option(
    "--runs",
    type=Number(1, 100),
    metavar="N",
    default=5,
    show_default=True,
    help="How many runs of each pair of locations.",
)
@option(
    "--problems",
    type=Number(0, 100_000),
    metavar="N",
    help="List so many problems of the last run, strays too. Default: the first 20 that need a look.",
)
@option("--watch", is_flag=True, help="Show it again every 2 seconds, while a run is in progress.")
@state_options
def status(state_dir: Path | None, runs: int, problems: int | None, *, watch: bool, as_json: bool) -> int:
    """Show the last runs, and a running one: what is done, what is left, what failed and why.

    \b
    Examples:
      bytes-migrator status
      bytes-migrator status --watch
      bytes-migrator status --problems 1000 --json
    """
    state = state_folder(state_dir)
    problems = DEFAULT_PROBLEMS if as_json and problems is None else problems
    if watch:
        return _watch(state, runs, problems, as_json=as_json)
    found = read_status(state, runs=runs, problems=problems)
    switch, audits = SwitchJournal(state).story(), tuple(kept_audits(state, runs))
    if as_json:
        click.echo(to_json(status_as_dict(found, switch, audits)))
    else:
        answer(_text(found, switch, audits))
    return 0


def _watch(state: StateFolder, runs: int, problems: int | None, *, as_json: bool) -> int:
    """On a terminal each look takes the place of the one before; elsewhere, and as JSON, they follow each other."""
    try:
        while True:
            began = time.monotonic()
            found = read_status(state, runs=runs, problems=problems)
            journal = SwitchJournal(state)
            click.echo(_frame(found, journal.story(), as_json=as_json))
            if not any(pair.is_running for pair in found) and not journal.is_held():
                return 0
            time.sleep(max(WATCHED_EVERY_SECONDS, (time.monotonic() - began) * _PART_OF_THE_TIME))
    except KeyboardInterrupt:
        return 0  # that is how one stops looking


def _text(found: tuple[PairStatus, ...], switch: Story | None, audits: tuple[KeptAudit, ...] = ()) -> str:
    width = stdout_columns()
    about_switch = switch_status_lines(switch) if switch is not None else ()
    more = [*audit_status_lines(audits), *about_switch]
    if audits and not found:
        return joined(more[1:], width)
    return "\n".join([status_as_text(found, width), *([joined(more, width)] if more else [])])


def _frame(found: tuple[PairStatus, ...], switch: Story | None, *, as_json: bool) -> str:
    if as_json:
        return as_json_line(status_as_dict(found, switch))
    text = _text(found, switch)
    return f"\x1b[H\x1b[2J{text}" if sys.stdout.isatty() else f"{text}\n"
