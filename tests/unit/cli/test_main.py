"""The command line as a whole: its list of commands, and what it imports for it."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from migrator.cli.main import COMMANDS, cli


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_of_each_what_the_command_says(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.get_short_help_str(200) == COMMANDS[name]


@pytest.mark.parametrize("arguments", [["--help"], ["status"], ["completion", "bash"]])
def test_s3_is_loaded_only_where_it_is_used(arguments: list[str]) -> None:
    loaded = loaded_by(*arguments)
    assert not [name for name in ("boto3", "botocore", "s3transfer", "pycurl") if f"'{name}'" in loaded]


def test_the_progress_bar_is_loaded_only_where_one_is_shown() -> None:
    assert "'tqdm'" not in loaded_by("migrate", "--help")


def test_what_other_commands_need_is_not_loaded() -> None:
    """Each module that `migrate` loads costs every start a millisecond or more."""
    loaded = loaded_by("migrate", "--help")
    others = ("checks.prune", "checks.audit.audit", "switch.journal", "reports.html", "app.uploads", "app.read_through")
    assert not [name for name in others if f"'migrator.{name}'" in loaded]


def loaded_by(*arguments: str) -> str:
    """What a command has loaded at its end, as a list in words."""
    code = "import sys; from migrator.cli.main import cli; cli.main(sys.argv[1:], standalone_mode=False); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert "'migrator.cli.main'" in done.stdout, done.stderr
    return done.stdout
