"""``bytes-migrator watch``: keep the target up to date while Bytes runs."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from migrator.app.first_checks import prepare_to_migrate
from migrator.app.watch_end import Until
from migrator.app.watching import watch as run_watch
from migrator.cli.help import command
from migrator.cli.logs import Log, log_forced, log_to, to_stderr
from migrator.cli.migrate import ask, refuse_without_terminal
from migrator.cli.options import (
    limit_options,
    location_options,
    locations_of,
    option,
    options_of,
    owner_option,
    run_options,
    transfer_options,
)
from migrator.cli.progress import LINE_EVERY_SECONDS
from migrator.cli.signals import draining
from migrator.cli.terminal import print_result
from migrator.config.rate_limits import seconds_of
from migrator.core.errors import MigratorError
from migrator.core.tally import Count
from migrator.reports.formatting import duration, files, shown, size
from migrator.reports.text.watch import watch_as_json, watch_as_text
from migrator.sync.folder_change_detector import Lag
from migrator.sync.messages import ProgressEvent


@command(short_help="Keep the target up to date while Bytes runs, up to the switch.")
@location_options
@owner_option
@run_options
@transfer_options
@limit_options
@option("--until-idle", metavar="TIME", help="End when nothing new came for this time: 60s.")
@option(
    "--once-stopped",
    is_flag=True,
    help="Wait until you say that Bytes is stopped (Enter, or SIGUSR1), then do the last pass and end.",
)
@option("--yes", is_flag=True, help="Do not ask; needed without a terminal.")
def watch(**given: Any) -> int:
    """Copy what is missing, and keep copying what comes in while Bytes runs. Nothing is ever overwritten or deleted.

    \b
    Examples:
      bytes-migrator watch --to s3
      bytes-migrator watch --to s3 --until-idle 60s --yes
      bytes-migrator watch --to s3 --once-stopped
    """
    idle = given["until_idle"]
    until = Until(idle=seconds_of(idle, "--until-idle") if idle else None, stopped=given["once_stopped"])
    with log_to(given):
        locations, options = locations_of(given), options_of(given)
        refuse_without_terminal(given)
        with draining(given) as stopping, _word(handles_signal=until.stopped) as word:
            prepared = prepare_to_migrate(locations, options, stopping)
            if not given["yes"]:
                ask(prepared, options)
            shows = _WatchLog(quiet=given["quiet"] or given["no_progress"], asks=until.stopped)
            watched = run_watch(prepared, options, until, shows, word.is_said, stopping)
            shows.close()
            log_forced(watched.report.findings)
            print_result(given, watched, watch_as_json, watch_as_text)
            return watched.exit_status


class _Word:
    """The operator's word that Bytes is stopped: a line on standard input, or SIGUSR1 where there is none."""

    def __init__(self) -> None:
        self.was_signalled = False
        self._listens = True

    def is_said(self) -> bool:
        return self.was_signalled or self._has_line()

    def _has_line(self) -> bool:
        try:
            if not self._listens or not select.select([sys.stdin], [], [], 0)[0]:
                return False
            line = os.read(sys.stdin.fileno(), 4096)
        except (OSError, ValueError):  # closed
            line = b""
        self._listens = bool(line)
        return b"\n" in line


@contextmanager
def _word(*, handles_signal: bool) -> Iterator[_Word]:
    word = _Word()

    def on_signal(number: int, frame: FrameType | None) -> None:
        word.was_signalled = True

    before = signal.signal(signal.SIGUSR1, on_signal) if handles_signal else None
    try:
        yield word
    finally:
        if handles_signal:
            signal.signal(signal.SIGUSR1, before)


class _WatchLog(Log):
    """The lag: on a terminal in one line that is kept up to date, elsewhere in a line now and then."""

    def __init__(self, *, quiet: bool, asks: bool) -> None:
        self._quiet = quiet
        self._asks = asks
        self._on_terminal = sys.stderr.isatty()
        self._copied = Count()
        self._seen = Count()
        self._shown_at = time.monotonic()
        self._last = ""
        self._has_prompted = False

    def on_event(self, event: ProgressEvent) -> None:
        super().on_event(event)
        self._seen.merge(event.tally.discovered)
        for entry in event.copied:
            self._copied.add(entry.size)

    def tick(self) -> None:
        self._show(f"looked at {files(self._seen.files)}, {files(self._copied.files)} copied")

    def now(self, what: str, lag: Lag) -> None:
        self._seen = Count()
        if self._asks and not what and not self._has_prompted:
            self._has_prompted = True
            self._line("The target is up to date. Stop Bytes now, then press Enter here (or send SIGUSR1).")
        behind = f"{files(lag.files)} and {duration(lag.seconds)} behind" if lag.files else "up to date"
        done = f"{files(lag.copied.files)} ({size(lag.copied.bytes)}) copied, at most {duration(lag.largest_seconds)} behind"
        self._show(f"{what or behind}; {done}")

    def away(self, error: MigratorError) -> None:
        self._line(f"warning: {shown(error.what)} Waiting for it. [server-away]")

    def close(self) -> None:
        if self._on_terminal and not self._quiet and self._last:
            to_stderr("")

    def _show(self, text: str) -> None:
        now = time.monotonic()
        if (
            self._quiet
            or text == self._last
            or now - self._shown_at < (0.2 if self._on_terminal else LINE_EVERY_SECONDS)
        ):
            return
        self._shown_at, self._last = now, text
        if self._on_terminal:
            to_stderr(f"\r\x1b[K{shown(text)}", newline=False)
        else:
            to_stderr(shown(text))

    def _line(self, text: str) -> None:
        self.close()
        to_stderr(text)
