"""``bytes-migrator demo``: a sample store and an S3 server inside this program, to see all of it work."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from migrator.cli.options import option
from migrator.demo.tour import Wish, show


@click.command()
@option(
    "--files", type=click.IntRange(4, 20_000), default=2_000, show_default=True, help="How many raw files to make up."
)
@option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Use this empty or new folder, no temporary one.",
)
@option(
    "--data-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Take a sample of the raw files there instead, 500 files and 256 MB at most; they are only read.",
)
@option("--keep", is_flag=True, help="Leave server and folders up until Ctrl-C.")
def demo(*, files: int, folder: Path | None, data_dir: Path | None, keep: bool) -> int:
    """Show on a sample store how plan and migrate work: from disk to S3, and back.

    It starts an S3 server of its own, touches neither your settings nor your state, and removes all that it made.
    """
    wish = Wish(files=files, folder=folder, data_dir=data_dir, keep=keep)
    with _signals_as_interrupts() as seen:
        try:
            return show(wish, click.echo)
        except KeyboardInterrupt:
            click.echo("\nStopped; what the demo made is removed.", err=True)
            return 128 + (seen[-1] if seen else signal.SIGINT)


@contextmanager
def _signals_as_interrupts() -> Iterator[list[int]]:
    """Let the signals that end a program end this one by way of its cleaning up; answers those that came."""
    seen: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
