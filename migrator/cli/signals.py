"""Stopping: the first signal drains, the second stops at once; both leave a run that can go on."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from migrator.app.stopping import Stopping
from migrator.cli.logs import say
from migrator.reports.formatting import Whole

DRAIN_SECONDS = 10
_LOGIN = re.compile(r"(://).*(?=@)|(password\s*=\s*).*", re.DOTALL | re.IGNORECASE)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def handling(
    handler: Callable[[int, FrameType | None], object], signals: Sequence[signal.Signals] = _SIGNALS
) -> Iterator[None]:
    """Within the block, these signals call the handler: those that end a program, unless others are named."""
    before = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


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

    with handling(on_signal):
        yield stopping
        if stopping.signal:
            say(given, Whole(f"To resume: {same_command()}"))


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Within the block, Ctrl-C ends the command: a question is open, and nothing has begun. Raises KeyboardInterrupt there."""
    with handling(signal.default_int_handler, (signal.SIGINT,)):
        yield


def same_command() -> str:
    """The command as it was typed, without the password that a database's URI may hold, the one secret that can be an option."""
    return shlex.join(["bytes-migrator", *(_LOGIN.sub(r"\1\2***", word) for word in sys.argv[1:])])


def _give_up(given: dict[str, Any], number: int) -> None:
    """What is under way takes too long; the ledger has the rest."""
    say(given, "Stopped with transfers in flight.")
    say(given, Whole(f"To resume: {same_command()}"))
    os._exit(128 + number)
