"""Completion and the man page are made from the commands; here they are used as a shell and as man would."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from migrator.cli.main import cli
from tests import command

pytestmark = pytest.mark.one_process

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_that_calls_this_command(shell: str) -> None:
    script = command.run("completion", shell).expect(0).stdout
    assert f"_BYTES_MIGRATOR_COMPLETE={shell}_complete" in script
    if shutil.which(shell) and shell != "fish":
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_bash_is_offered_commands_and_options() -> None:
    def offered(words: str, position: int) -> set[str]:
        asked = {"_BYTES_MIGRATOR_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(position)}
        return {line.partition(",")[2] for line in command.run(env=asked).stdout.splitlines()}

    assert {"plan", "migrate"} <= offered("bytes-migrator ", 1)
    assert "--endpoint-url" in offered("bytes-migrator plan --end", 2)


def test_an_unknown_shell_is_a_usage_error() -> None:
    done = command.run("completion", "tcsh").expect(2)
    assert "bash" in done.stderr


@pytest.mark.parametrize(
    ("typed", "meant"), [(("migrat",), "migrate"), (("plan", "--endpont-url", "x"), "--endpoint-url")]
)
def test_a_mistyped_name_is_answered_with_the_one_that_was_meant(typed: tuple[str, ...], meant: str) -> None:
    assert meant in command.run(*typed).expect(2).stderr


def test_the_man_page_has_every_command_and_option() -> None:
    page = subprocess.run(
        [sys.executable, ROOT / "scripts" / "manpage.py"], capture_output=True, text=True, check=True
    ).stdout.replace("\\-", "-")
    for name, found in cli.commands.items():
        assert f".SS {name}\n" in page
        for parameter in found.params:
            for option in parameter.opts:
                assert not option.startswith("--") or option in page


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed: apt install groff")
def test_the_man_page_is_understood_by_groff() -> None:
    page = subprocess.run([sys.executable, ROOT / "scripts" / "manpage.py"], capture_output=True, check=True).stdout
    told = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-Kutf8"], input=page, capture_output=True, check=True)
    assert told.stderr == b""


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_has_examples(name: str) -> None:
    """What a command is for is seen faster from a line that works than from its options."""
    assert f"bytes-migrator {name}" in (cli.commands[name].help or "")
