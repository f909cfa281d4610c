"""Output for people: the terminal's width, and colour for state words.

Width: `COLUMNS`, else the terminal's; text that goes elsewhere is not wrapped, so that programs find it in one line. Colour: `--color`,
else on a terminal only, and never with `NO_COLOR` (https://no-color.org). Colour adds nothing that the words do not say.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable
from typing import IO, Any, TypeVar

import click

T = TypeVar("T")

CHOICES = ("auto", "always", "never")
_STATES = (
    (re.compile(r"^( *)(error|NOT EQUAL)\b", re.MULTILINE), "red"),
    (re.compile(r"^( *)(conflict|failed)(?=[: ])", re.MULTILINE), "red"),
    (re.compile(r"^( *)(warning|forced)\b", re.MULTILINE), "yellow"),
    (re.compile(r"^( *)(pass)(?=:)", re.MULTILINE), "green"),
)


def columns(stream: IO[str]) -> int | None:
    """Return the width to wrap at, or None for no limit."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError, AttributeError):
        return None


def stdout_columns() -> int | None:
    """Return the width of the answer."""
    return columns(sys.stdout)


def stderr_columns() -> int | None:
    """Return the width of messages and questions."""
    return columns(sys.stderr)


def coloured(text: str) -> str:
    """The text with its state words in colour; `click.echo` takes the colour out again where it does not belong."""
    for pattern, colour in _STATES:
        text = pattern.sub(functools.partial(_styled, colour), text)
    return text


def _styled(colour: str, found: re.Match[str]) -> str:
    return found[1] + click.style(found[2], fg=colour, bold=True)


def answer(text: str) -> None:
    """Print a command's answer for people."""
    click.echo(coloured(text))


def can_ask() -> bool:
    """Return True if there is a terminal to ask on, and to answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def print_result(
    given: dict[str, Any], result: T, as_json: Callable[[T], str], as_text: Callable[[T, int | None], str]
) -> None:
    """Print what a command came to: its document with ``--json``, else words, for a terminal of its width."""
    if given["as_json"]:
        click.echo(as_json(result))
    else:
        answer(as_text(result, stdout_columns()))


def colour_wanted(choice: str | None) -> bool | None:
    """Return True or False for what was asked for; None to decide by the stream."""
    if choice in ("always", "never"):
        return choice == "always"
    return False if os.environ.get("NO_COLOR") else None


def on_colour(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Callback of `--color`: `click.echo` asks the context."""
    context.color = colour_wanted(value)
