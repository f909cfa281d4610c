"""``bytes-migrator completion``: what a shell needs to complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, get_completion_class


@click.command(short_help="Print the lines for a shell's completion.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, /, shell: str) -> int:
    """Print the lines that make SHELL complete commands, options and their values.

    \b
    Examples:
      bytes-migrator completion bash > /etc/bash_completion.d/bytes-migrator
      bytes-migrator completion zsh > /usr/local/share/zsh/site-functions/_bytes-migrator
      bytes-migrator completion fish > ~/.config/fish/completions/bytes-migrator.fish
    """
    maker = get_completion_class(shell) or BashComplete
    click.echo(maker(context.find_root().command, {}, "bytes-migrator", "_BYTES_MIGRATOR_COMPLETE").source())
    return 0
