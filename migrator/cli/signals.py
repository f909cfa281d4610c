"""Stopping: the first signal drains, the second stops at once; both leave a run that can go on."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from migrator.app.options import Stopping
from migrator.cli.logs import say
from migrator.reports.formatting import Whole

DRAIN_SECONDS = 10
_LOGIN = re.compile(r"(://).*(?=@)|(password\s*=\s*).*", re.DOTALL | re.IGNORECASE)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def draining(given: dict[str, Any]) -> Iterator[Stopping]:
    """Within the block, signals ask the run to end instead of breaking it off."""
    stopping = Stopping()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stopping.event.is_set():
            os._exit(128 + number)
        stopping.ask(signal.Signals(number).name)
        say(
            given, f"\nStopping: in-flight transfers complete within {DRAIN_SECONDS} s. Press it again to stop at once."
        )
        timer = threading.Timer(DRAIN_SECONDS, _give_up, (given, number))
        timer.daemon = True
        timer.start()

    before = {number: signal.signal(number, on_signal) for number in _SIGNALS}
    try:
        yield stopping
        if stopping.signal:
            say(given, Whole(f"To resume: {same_command()}"))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Within the block, Ctrl-C ends the command: a question is open, and nothing has begun. Raises KeyboardInterrupt there."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def same_command() -> str:
    """The command as it was typed, without the password that a database's URI may hold, the one secret that can be an option."""
    return shlex.join(["bytes-migrator", *(_LOGIN.sub(r"\1\2***", word) for word in sys.argv[1:])])


def _give_up(given: dict[str, Any], number: int) -> None:
    """What is under way takes too long; the ledger has the rest."""
    say(given, "Stopped with transfers in flight.")
    say(given, Whole(f"To resume: {same_command()}"))
    os._exit(128 + number)
