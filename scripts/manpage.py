"""The man page, made from the commands themselves: ``manpage.py > bytes-migrator.1``."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator

import click

from migrator import __version__
from migrator.cli.main import cli

EXIT_STATUSES = (
    ("0", "everything is accounted for and fine"),
    (
        "1",
        "finished, but something needs you: conflicts, failed or refused files, a weaker proof than asked for, a finding",
    ),
    ("2", "usage or settings; nothing was done"),
    ("3", "could not start, or had to stop"),
    ("4", "another run between these two locations is in progress"),
    ("7", "stopped at --max-duration; rerun to resume"),
    ("129, 130, 143", "stopped by SIGHUP, Ctrl-C or SIGTERM; rerun to resume"),
)


def page() -> Iterator[str]:
    """The lines of the page, in man's macros."""
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    day = time.strftime("%Y-%m-%d", time.gmtime(seconds))
    yield f'.TH BYTES-MIGRATOR 1 "{day}" "bytes-migrator {__version__}" "User Commands"'
    yield from section("NAME")
    yield "bytes-migrator \\- move the raw files of OpenKAT's Bytes between disk and S3"
    yield from section("SYNOPSIS")
    yield "\\fBbytes-migrator\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]"
    yield from section("DESCRIPTION")
    yield from prose((cli.help or "").partition("\f")[0])
    yield from section("COMMANDS")
    for name, command in sorted(cli.commands.items()):
        yield from of_command((name,), command)
    yield from section("ENVIRONMENT")
    yield from prose("Every option is also a variable: BYTES_MIGRATOR_ and its name in upper case, with _ for -.")
    yield from prose(
        "Bytes' own settings (S3_*, BUCKET_PER_ORG, BYTES_*) and AWS_* say what the words disk and s3 mean."
    )
    yield from section("EXIT STATUS")
    for status, meaning in EXIT_STATUSES:
        yield from (".TP", f"\\fB{escaped(status)}\\fR", escaped(meaning))
    yield from section("FILES")
    yield from prose(
        "~/.local/state/bytes-migrator/ holds a ledger for each pair of locations, unless --state-dir names another folder."
    )


def section(title: str) -> tuple[str, ...]:
    return (f".SH {title}",)


def of_command(names: tuple[str, ...], command: click.Command) -> Iterator[str]:
    """A command with its options, and its subcommands after it."""
    yield f".SS {' '.join(names)}"
    yield from prose((command.help or "").partition("\f")[0])
    context = click.Context(command, info_name=names[-1])
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            yield from (".TP", f"\\fB{escaped(record[0])}\\fR", escaped(" ".join(record[1].split())))
    if isinstance(command, click.Group):
        for name, below in sorted(command.commands.items()):
            yield from of_command((*names, name), below)


def prose(text: str) -> Iterator[str]:
    """Paragraphs; what follows click's mark for unwrapped text stays as it is."""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in paragraph.splitlines()]
        if lines[0] == "\b":
            yield from (".PP", ".nf", *(escaped(line) for line in lines[1:]), ".fi")
        else:
            yield from (".PP", escaped(" ".join(lines)))


def escaped(text: str) -> str:
    """Text that roff takes for text: a line must not begin with a macro."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    sys.stdout.write("\n".join(page()) + "\n")
