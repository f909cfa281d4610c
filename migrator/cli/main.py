"""The console command: its commands, and the one place where errors become words and exit statuses."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from migrator import __version__
from migrator.cli.options import PREFIX, state_folder
from migrator.cli.terminal import colour_wanted, coloured, stderr_columns
from migrator.config.env_file import is_secret
from migrator.core.errors import MigratorError, SettingsError
from migrator.core.open_files import raise_limit
from migrator.core.redaction import HIDDEN, without_secrets
from migrator.ledger.directory import SWITCH_JOURNAL
from migrator.reports.json import error_as_json
from migrator.reports.text.findings import error_lines
from migrator.reports.text.wrapping import joined

SHORTEST_SECRET = 8
"""Characters; a shorter value is also found in other words."""
COMMANDS = {
    "doctor": "Report blockers and how to fix each, and whether Bytes will work there.",
    "plan": "Say what `migrate` would do, and write nothing.",
    "migrate": "Copy what is missing at the target; rerun to resume.",
    "verify": "Prove that both ends hold the same; write or check a manifest.",
    "watch": "Keep the target up to date while Bytes runs, up to the switch.",
    "switch": "Switch Bytes to the new place, or back: all steps, with the way back built in.",
    "prune": "Delete source files that are proven at the target.",
    "audit": "Compare with Bytes' database: what is readable, elsewhere, missing, altered.",
    "status": "Show the last runs, what is left, and what failed.",
    "report": "Show the report of an earlier run again.",
    "explain": "Explain an error or finding by its name, offline.",
    "uploads": "List or abort unfinished multipart uploads that this tool began.",
    "iam-policy": "Print the least IAM policy for a command here.",
    "runbook": "Print the whole switch, step by step, for this installation.",
    "demo": "Show everything on a sample store, with its own S3 server.",
    "completion": "Print the lines for a shell's completion.",
}
"""Commands with what `--help` says of each: importing all of them for that would take a second. A test holds both alike.

Each is in a module of its name, `-` as `_`, under that name too."""


class Commands(Mapping[str, click.Command]):
    """Imports a command when it is asked for: a run should not wait for what the others need."""

    def __getitem__(self, name: str) -> click.Command:
        if name not in COMMANDS:
            raise KeyError(name)
        word = name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"migrator.cli.{word}"), word)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class Group(click.Group):
    """Lists its commands without importing them."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command with its line of help."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(
    cls=Group, commands=Commands(), context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="bytes-migrator")
def cli() -> None:
    """Move the raw files of OpenKAT's Bytes between disk and S3 so that nothing becomes inaccessible.

    \b
    Look first, then move:
      bytes-migrator doctor --to s3
      bytes-migrator plan --to s3
      bytes-migrator migrate --to s3
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit. Every error is one clear message; no traceback reaches an operator."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        raise_limit()
        _warn_of_unfinished_switch(given)
        answer: Any = cli.main(args=given, prog_name="bytes-migrator", standalone_mode=False)
        status = answer if isinstance(answer, int) else 0
    except click.exceptions.Abort:
        click.echo("Stopped before anything was done.", err=True)
        status = 130
    except click.ClickException as error:
        vars(error)["message"] = _without_secrets(error.message)  # click declares it final
        error.show()
        status = error.exit_code
        _print_as_json(SettingsError("usage", error.format_message()), given)
    except MigratorError as error:
        status = _print_error(error, given)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except Exception as error:
        status = _print_error(_unexpected(error), given)
    sys.exit(status)


def _warn_of_unfinished_switch(arguments: list[str]) -> None:
    """Say first, whatever the command is, that a switch was left half-way: Bytes may be stopped. A look at one small file."""
    named = _given(arguments, "state-dir")
    try:
        state = state_folder(Path(named) if named else None)
    except MigratorError:
        return  # the command itself says it
    if not os.path.exists(state.path / SWITCH_JOURNAL) or _is_switching(arguments):
        return
    from migrator.reports.text.switch import unfinished_lines  # noqa: PLC0415 only this case needs it
    from migrator.switch.journal import SwitchJournal  # noqa: PLC0415

    journal = SwitchJournal(state)
    try:
        story = journal.story()
    except MigratorError:
        return  # another user's: the folder itself is told by the command
    if story is not None and story.is_unfinished and not journal.is_held():
        for line in unfinished_lines(story):
            click.echo(line, err=True)


def _is_switching(arguments: list[str]) -> bool:
    """`switch` itself ends what is unfinished, and says so."""
    return next((word for word in arguments if not word.startswith("-")), "") == "switch"


def _without_secrets(text: str) -> str:
    """The text without logins and signatures in URLs, and without the values of this environment's secrets."""
    for name, value in os.environ.items():
        if len(value) >= SHORTEST_SECRET and is_secret(name):
            text = text.replace(value, HIDDEN)
    return without_secrets(text)


def _print_error(error: MigratorError, arguments: list[str]) -> int:
    error.what, error.why, error.cure = map(_without_secrets, (error.what, error.why, error.cure))
    _print_as_json(error, arguments)
    if _given(arguments, "log-format") == "json":
        from migrator.cli.logs import json_line  # noqa: PLC0415 only this case needs it

        click.echo(json_line("error", **error.as_dict(), exit_status=error.exit_status), err=True)
        return error.exit_status
    choice = _given(arguments, "color")
    click.echo(coloured(joined(error_lines(error), stderr_columns())), err=True, color=colour_wanted(choice))
    return error.exit_status


def _print_as_json(error: MigratorError, arguments: list[str]) -> None:
    if "--json" in arguments or os.environ.get(f"{PREFIX}JSON", "").lower() in ("1", "true", "yes", "on", "t", "y"):
        command = next((word for word in arguments if not word.startswith("-")), "")
        click.echo(error_as_json(command, error))


def _given(arguments: list[str], option: str) -> str:
    """The value of an option where click may not have come to parse it, else of its variable."""
    given = next((word for before, word in pairwise(arguments) if before == f"--{option}"), None)
    written = next((word.partition("=")[2] for word in arguments if word.startswith(f"--{option}=")), given)
    return written or os.environ.get(f"{PREFIX}{option.upper().replace('-', '_')}", "")


def _unexpected(error: Exception) -> MigratorError:
    return MigratorError(
        "unexpected",
        f"Something unexpected happened: {type(error).__name__}: {error}.",
        cure="Rerun with --log-file FILE; if it stays, report it.",
    )
