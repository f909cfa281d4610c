"""Progress and logs: a bar on a terminal, a line now and then elsewhere, on stderr in any case."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from tqdm import tqdm

from migrator.ahead import CountAhead
from migrator.app.options import Watch
from migrator.coordinator import Observer
from migrator.errors import CannotStart, MigratorError
from migrator.model import Count
from migrator.reports.words import duration, number, shown, size
from migrator.units import Told

LINE_EVERY_SECONDS = 30.0
_BAR = "{percentage:3.0f}%|{bar:24}| {desc} [{rate_fmt}, {remaining} left]"
_COUNT = "{desc} [{rate_fmt}, {elapsed}]"
_log = logging.getLogger("migrator")


def watching(given: dict[str, Any]) -> Watch:
    """The observers that the options ask for."""

    def watch(ahead: CountAhead | None) -> Sequence[Observer]:
        observers: list[Observer] = [Log()]
        if not (given["quiet"] or given["no_progress"]):
            observers.append(Bar(ahead) if sys.stderr.isatty() else Lines(ahead))
        return observers

    return watch


class Log:
    """A log line for each raw file that needs attention."""

    def told(self, told: Told) -> None:
        for problem in told.problems:
            _log.warning("%s: %s: %s", problem.kind, shown(problem.where), shown(problem.reason))

    def tick(self) -> None:
        """Nothing to do between events."""


class _Done:
    """What was done so far, against what is to be done."""

    def __init__(self, ahead: CountAhead | None) -> None:
        self._ahead = ahead
        self.done = Count()

    def add(self, told: Told) -> None:
        self.done.merge(told.tally.discovered)

    @property
    def total(self) -> int | None:
        """Files to be done as far as is known; None while nothing is."""
        return max(self._ahead.total.files, self.done.files) if self._ahead is not None else None

    def __str__(self) -> str:
        if self._ahead is None:
            return f"{number(self.done.files)} files, {size(self.done.bytes)}"
        sign = "" if self._ahead.is_final else "≥"
        total = self._ahead.total
        return (
            f"{number(self.done.files)} of {sign}{number(max(total.files, self.done.files))} files, "
            f"{size(self.done.bytes)} of {sign}{size(max(total.bytes, self.done.bytes))}"
        )


class Bar:
    """tqdm's bar."""

    def __init__(self, ahead: CountAhead | None) -> None:
        self._done = _Done(ahead)
        self._bar: tqdm[Any] = tqdm(
            total=self._done.total,
            unit=" files",
            bar_format=_COUNT if ahead is None else _BAR,
            dynamic_ncols=True,
            leave=False,
            file=sys.stderr,
        )

    def told(self, told: Told) -> None:
        self._done.add(told)
        self._bar.update(told.tally.discovered.files)

    def tick(self) -> None:
        self._bar.total = self._done.total
        self._bar.set_description_str(str(self._done), refresh=False)
        self._bar.refresh()

    def close(self) -> None:
        self._bar.close()


class Lines:
    """A plain line now and then, for logs of schedulers and containers."""

    def __init__(self, ahead: CountAhead | None) -> None:
        self._done = _Done(ahead)
        self._began = self._told_at = time.monotonic()

    def told(self, told: Told) -> None:
        self._done.add(told)

    def tick(self) -> None:
        now = time.monotonic()
        if now - self._told_at >= LINE_EVERY_SECONDS:
            self._told_at = now
            click.echo(f"{self._done} after {duration(now - self._began)}{self._left(now)}", err=True)

    def _left(self, now: float) -> str:
        total, done = self._done.total, self._done.done.files
        if not total or not done:
            return ""
        return f", about {duration((now - self._began) * (total - done) / done)} left"


@contextmanager
def log_to(given: dict[str, Any]) -> Iterator[None]:
    """Log lines on stderr with -v, and to a file of one's own with --log-file. boto3's own logs stay off: they hold tokens."""
    handlers: list[logging.Handler] = []
    if given["verbose"]:
        handlers.append(logging.StreamHandler(sys.stderr))
    if given["log_file"] is not None:
        handlers.append(_log_file(given["log_file"]))
    _log.setLevel(logging.INFO)
    _log.propagate = False
    for handler in handlers or [logging.NullHandler()]:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        _log.addHandler(handler)
    try:
        yield
    except MigratorError:
        raise
    except Exception as error:
        _log.error("unexpected error", exc_info=error)  # the terminal is told in words, the log file has the rest
        raise
    finally:
        for handler in list(_log.handlers):
            _log.removeHandler(handler)
            handler.close()


def _log_file(path: Any) -> logging.Handler:
    try:
        return logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise CannotStart(
            "log-file",
            f"The log file {path} cannot be written ({error.strerror}).",
            cure="Name another with --log-file.",
        ) from error
