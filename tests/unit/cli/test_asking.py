"""The question that `migrate` asks shows what it is about, and Ctrl-C at it ends the command."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from migrator.cli.help import GroupedCommand
from migrator.cli.main import cli
from tests.corpus import make_store


def at_a_terminal(words: list[str], answer: bytes, tmp_path: Path) -> tuple[int, str]:
    """Run it with a terminal as stdin and stderr, answer at the question, and return status and what was shown there."""
    own, theirs = pty.openpty()
    env = {**os.environ, "COLUMNS": "100", "XDG_STATE_HOME": str(tmp_path), "NO_COLOR": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "migrator", *words],
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=env,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = b""
        while b"Copy them now?" not in shown:
            shown += os.read(own, 4096)
        if answer == b"\x03":
            wait_until_it_reads(process.pid)
            process.send_signal(signal.SIGINT)
        else:
            os.write(own, answer)
        began = time.monotonic()
        status = process.wait(30)
        assert time.monotonic() - began < 30
    os.close(own)
    return status, shown.decode()


def wait_until_it_reads(pid: int) -> None:
    """Return once the process waits for its stdin in the kernel: Python forgets a signal that comes right before it reads."""
    until = time.monotonic() + 30
    while Path(f"/proc/{pid}/syscall").read_text().split()[1:2] != ["0x0"]:
        assert time.monotonic() < until, "it does not read the answer"


@pytest.mark.parametrize(("answer", "status"), [(b"\x03", 130), (b"n\n", 130), (b"y\n", 0)])
def test_the_question_has_the_numbers_and_every_answer_ends_it(answer: bytes, status: int, tmp_path: Path) -> None:
    make_store(tmp_path / "data", {"acme": 3, "beta": 2})
    words = ["migrate", "--from", f"{tmp_path}/data/", "--to", f"{tmp_path}/there/", "--owner", str(os.getuid())]
    ended, shown = at_a_terminal(words, answer, tmp_path)
    assert ended == status
    assert "The source has 5 files (" in shown
    assert "of 2 organizations" in shown
    assert "Estimated time: " in shown
    assert (tmp_path / "there" / "acme").exists() == (status == 0)


@pytest.mark.parametrize("name", ["plan", "migrate", "verify", "watch", "prune", "audit", "doctor"])
def test_the_help_has_sections_and_every_option_in_one(name: str) -> None:
    command = cli.commands[name]
    assert isinstance(command, GroupedCommand)
    text = command.get_help(click.Context(command, info_name=name, parent=click.Context(cli)))
    assert text.index("Most used:") < text.index("Output:")
    assert "Other options:" not in text
    assert "--from" in text.partition("Most used:")[2].partition("\n\n")[0]
