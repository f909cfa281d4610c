"""``bytes-migrator demo``: a sample store and an S3 server inside this program, to see all of it work."""

from __future__ import annotations

import threading
from pathlib import Path
from types import FrameType

import click

from migrator.app.demo.tour import DemoRequest, show
from migrator.cli.number_types import Number
from migrator.cli.options import option
from migrator.cli.signals import handling


@click.command(short_help="Show everything on a sample store, with its own S3 server.")
@option(
    "--files",
    type=Number(4, 20_000),
    metavar="N",
    default=2_000,
    show_default=True,
    help="How many raw files to make up.",
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

    \b
    Examples:
      bytes-migrator demo
      bytes-migrator demo --data-dir /var/lib/kat-bytes   a sample of your own raw files
    """
    wish = DemoRequest(files=files, folder=folder, data_dir=data_dir, keep=keep)
    stop, numbers = threading.Event(), list[int]()

    def on_signal(number: int, frame: FrameType | None) -> None:
        numbers.append(number)
        stop.set()

    with handling(on_signal):
        status = show(wish, click.echo, stop)
    kept_until_now = keep and status == 0
    return 128 + numbers[-1] if numbers and not kept_until_now else status
