"""``bytes-migrator explain``: what an error or finding means, offline."""

from __future__ import annotations

import difflib

import click
from click.shell_completion import CompletionItem

from migrator.cli.terminal import answer, stdout_columns
from migrator.core.errors import SettingsError
from migrator.reports.formatting import shown
from migrator.reports.text.explanation import explanation_lines, explanations, index_lines
from migrator.reports.text.wrapping import joined


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in explanations() if name.startswith(incomplete)]


@click.command(short_help="Explain an error or finding by its name, offline.")
@click.argument("name", required=False, shell_complete=_complete)
def explain(name: str | None) -> int:
    """Print what the error or finding NAME means and how to fix it; without NAME, list all names.

    NAME stands in brackets at the end of a message.

    \b
    Examples:
      bytes-migrator explain bytes-calls
      bytes-migrator explain
    \f

    Raises:
        SettingsError: If there is no such name.
    """
    entries = explanations()
    if name is None:
        answer(joined(index_lines(entries), stdout_columns() or 100))
        return 0
    entry = entries.get(name.strip("[]").lower())
    if entry is None:
        near = difflib.get_close_matches(name.lower(), entries, n=1)
        raise SettingsError(
            "name-unknown",
            f"There is no error or finding named {shown(name)}.",
            cure=f"Did you mean {near[0]}?" if near else "bytes-migrator explain lists all names.",
        )
    answer(joined(explanation_lines(entry), stdout_columns()))
    return 0
