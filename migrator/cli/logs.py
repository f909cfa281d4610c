"""Logs: a line for each raw file that needs attention, as text or as JSON, on stderr with -v and in a file of one's own.

Bounded twice: no line is longer than some thousand characters, and a log file that has grown large starts anew beside the old one.
boto3's own logs stay off: they hold tokens.
"""

from __future__ import annotations

import json
import logging
import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import click

from migrator.cli.terminal import stderr_columns
from migrator.core.errors import CannotStart, MigratorError
from migrator.core.findings import Finding
from migrator.core.notices import Problem
from migrator.core.redaction import without_secrets
from migrator.reports.formatting import moment, plural, shown
from migrator.reports.text.run_summary import WHAT_NEXT
from migrator.reports.text.wrapping import joined
from migrator.sync.messages import ProgressEvent

LOG_FILE_BYTES = 50_000_000
"""Then FILE becomes FILE.1, of which there is one: 100 MB in all."""
_LONGEST, _LONGEST_REASON = 500, 1_500
_log = logging.getLogger("migrator")


class Log:
    """An observer: a log line for each raw file that needs attention."""

    def on_event(self, event: ProgressEvent) -> None:
        """Log each problem as a warning."""
        for problem in event.problems:
            _log.warning("%s", _line(problem), extra={"event": _event(problem)})

    def tick(self) -> None:
        """Nothing to do between events."""


def log_forced(findings: Iterable[Finding]) -> None:
    """A log line for each finding that the run went on in spite of."""
    for one in findings:
        if one.forced:
            event = {"event": "finding", **one.as_dict()}
            _log.warning("forced [%s]: %s", one.name, _short(one.seen), extra={"event": event})


@contextmanager
def log_to(given: dict[str, Any]) -> Iterator[None]:
    """Send log lines where the options say, within the block.

    Raises:
        MigratorError: If the block raises it; it is told in words, and not logged as unexpected.
    """
    handlers: list[logging.Handler] = []
    if given["verbose"]:
        handlers.append(logging.StreamHandler(sys.stderr))
    if given["log_file"] is not None:
        handlers.append(_log_file(given["log_file"]))
    _log.setLevel(logging.INFO)
    _log.propagate = False
    for handler in handlers or [logging.NullHandler()]:
        handler.setFormatter(_Json() if is_json(given) else _Text("%(asctime)s %(levelname)s %(message)s"))
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
            if isinstance(handler, _LogFile) and handler.lost:
                say(given, f"warning: {shown(handler.what_is_lost())}")


def is_json(given: dict[str, Any]) -> bool:
    """Return True if log lines are to be JSON."""
    return given.get("log_format") == "json"


def say(given: dict[str, Any], text: str, **event: object) -> None:
    """Words for whoever watches, on stderr, wrapped at its width unless they are `Whole`; as an event where the log is JSON."""
    if is_json(given):
        to_stderr(json_line("message", message=text.strip(), **event))
    else:
        to_stderr(joined([text], stderr_columns()))


def to_stderr(text: str, *, newline: bool = True) -> None:
    """Words for whoever watches. Where they cannot be written (a full disk, a closed pipe) the run goes on without them."""
    with suppress(OSError):
        click.echo(text, err=True, nl=newline)


def json_line(event: str, **more: object) -> str:
    """One event on one line of ASCII."""
    return json.dumps({"time": moment(time.time()), "event": event, **more})


def _line(problem: Problem) -> str:
    """One line: what, whose, from where to where, why, and what happens next."""
    name = f"{problem.organization}/{problem.raw_id}" if problem.raw_id else problem.organization
    to = f" → {_short(problem.target)}" if problem.target and problem.target != problem.where else ""
    code = f" [{problem.code}]" if problem.code else ""
    request = f" (request {problem.request_id})" if problem.request_id else ""
    next_step = f"; next: {WHAT_NEXT[problem.kind]}" if problem.kind in WHAT_NEXT else ""
    who = f" {_short(name)}" if name else ""
    return f"{problem.kind}{who}: {_short(problem.where)}{to}: {_cut(shown(problem.reason), _LONGEST_REASON)}{code}{request}{next_step}"


def _event(problem: Problem) -> dict[str, object]:
    s3_end = next((end for end in (problem.target, problem.where) if end.startswith("s3://")), "")
    bucket, _, key = s3_end.removeprefix("s3://").partition("/")
    return {
        "event": "problem",
        "kind": problem.kind,
        "organization": _cut(problem.organization),
        "id": problem.raw_id or None,
        "where": _cut(problem.where),
        "bucket": _cut(bucket) or None,
        "key": _cut(key) or None,
        "request_id": problem.request_id or None,
        "code": problem.code or None,
        "reason": _cut(problem.reason, _LONGEST_REASON),
        "next": WHAT_NEXT.get(problem.kind),
    }


def _short(text: str) -> str:
    return _cut(shown(text))


def _cut(text: str, most: int = _LONGEST) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


class _Json(logging.Formatter):
    """A JSON object on each line."""

    def format(self, record: logging.LogRecord) -> str:
        event = dict(getattr(record, "event", None) or {"event": "message", "message": _cut(record.getMessage())})
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return without_secrets(json_line(str(event.pop("event")), level=record.levelname.lower(), **event))


class _Text(logging.Formatter):
    """Words, without the secrets of URLs."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


class _LogFile(RotatingFileHandler):
    """A log file for its owner alone. It never ends a run: lines that cannot be written are counted, and told at the end."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self.lost = 0
        self._reason = ""
        super().__init__(path, maxBytes=LOG_FILE_BYTES, backupCount=1, encoding="utf-8", errors="backslashreplace")

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            with suppress(PermissionError):  # somebody else's file, which this user may write
                os.fchmod(descriptor, 0o600)
        return TextIOWrapper(open(descriptor, "ab"), encoding=self.encoding, errors=self.errors)

    def handleError(self, record: logging.LogRecord) -> None:
        self._note(sys.exc_info()[1])
        stream, self.stream = self.stream, None  # the next line opens the file anew
        with suppress(OSError, ValueError):  # what is still in its buffer is lost
            if stream is not None:
                stream.close()

    def close(self) -> None:
        try:
            super().close()
        except OSError as error:
            self._note(error)

    def _note(self, error: BaseException | None) -> None:
        self.lost += 1
        self._reason = self._reason or getattr(error, "strerror", None) or type(error).__name__

    def what_is_lost(self) -> str:
        return f"{plural(self.lost, 'line')} could not be written to the log file {self.baseFilename} ({self._reason})."


def _log_file(path: Path) -> logging.Handler:
    try:
        return _LogFile(path)
    except OSError as error:
        raise CannotStart(
            "log-file",
            f"The log file {path} cannot be written ({error.strerror}).",
            cure="Name another with --log-file.",
        ) from error
