"""Progress on stderr: a bar on a terminal, elsewhere a line now and then, or events in JSON."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from migrator.app.options import Watch
from migrator.cli.logs import Log, is_json, json_line, say, to_stderr
from migrator.core.tally import Count
from migrator.reports.formatting import columns_of, duration, number, shown, size
from migrator.sync.coordinator import Observer
from migrator.sync.messages import ProgressEvent
from migrator.sync.source_counter import SourceCounter

if TYPE_CHECKING:
    from tqdm import tqdm

FIRST_LINE_SECONDS = 1.0
LINE_EVERY_SECONDS = 30.0
EVENT_EVERY_SECONDS = 5.0
RATE_OVER_SECONDS = 30.0
"""So much of the past tells the rate: long enough to be steady, short enough that what is left is right within a minute."""
_SAMPLE_EVERY_SECONDS = 0.5
_BAR = "{percentage:3.0f}%|{bar:12}| {desc}"
_PERCENT = "{percentage:3.0f}% · {desc}"
_COUNT = "{desc}"
_TAKEN = {_BAR: 21, _PERCENT: 8, _COUNT: 1}
"""Columns that are not the description's, with one that stays free."""
_COLUMNS_FOR_BAR = 100
_NAME_SHOWN = 24
_BAR_EVERY_SECONDS = 0.1
_FALLBACK_COLUMNS, _ROWS = 80, 24


def watching(given: dict[str, Any], more: Sequence[Observer] = ()) -> Watch:
    """The observers that the options ask for, and `more`."""

    def watch(ahead: SourceCounter | None) -> Sequence[Observer]:
        observers: list[Observer] = [Log(), *more]
        if _is_watched(given):
            kind = Events if is_json(given) else ProgressBar if sys.stderr.isatty() else Lines
            observers.append(kind(ahead))
        return observers

    return watch


@contextmanager
def inspecting(given: dict[str, Any], where: str) -> Iterator[None]:
    """A sign of life before the first raw file is met: at once on a terminal, elsewhere where a look takes its time."""
    seconds = 0.0 if sys.stderr.isatty() else FIRST_LINE_SECONDS
    sign = threading.Timer(seconds, say, (given, f"Looking at {shown(where)} …"))
    sign.daemon = True
    if _is_watched(given):
        sign.start()
    try:
        yield
    finally:
        sign.cancel()


@contextmanager
def waiting(given: dict[str, Any], what: str, seconds: float) -> Iterator[None]:
    """Say what the block waits for ("" for what was said), and for how long at most; on a terminal, count the seconds down."""
    if what:
        say(given, f"{what}, for {duration(seconds)} at most …")
    if not (_is_watched(given) and sys.stderr.isatty()) or is_json(given):
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_count_down, args=(seconds, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _count_down(seconds: float, over: threading.Event) -> None:
    until = time.monotonic() + seconds
    bar = _bar()
    while not over.wait(min(1.0, seconds)):
        bar.set_description_str(f"{duration(max(0.0, until - time.monotonic()))} left")
    bar.close()


def _bar() -> tqdm[Any]:
    from tqdm import tqdm  # noqa: PLC0415 - 3 % of a command's start, and only a terminal has a bar

    return tqdm(total=None, bar_format=_COUNT, ncols=_columns(), nrows=_ROWS, leave=False, file=sys.stderr)


def _is_watched(given: dict[str, Any]) -> bool:
    return not (given["quiet"] or given["no_progress"])


class Progress:
    """What was done so far, how fast, and against what is to be done."""

    def __init__(self, ahead: SourceCounter | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._ahead = ahead
        self._clock = clock
        self._samples: deque[tuple[float, int, int]] = deque([(clock(), 0, 0)])
        self.began = clock()
        self.done = Count()
        self.in_flight = 0
        self.organization = ""

    def add(self, event: ProgressEvent) -> None:
        """Add what a worker told to what is done."""
        self.done.merge(event.tally.discovered)
        self.in_flight = max(0, self.in_flight + event.in_flight)
        self.organization = event.organization or self.organization

    def sample(self) -> None:
        """Take down where we are; called some times a second."""
        now = self._clock()
        if now - self._samples[-1][0] >= _SAMPLE_EVERY_SECONDS:
            self._samples.append((now, self.done.files, self.bytes))
        while len(self._samples) > 2 and now - self._samples[1][0] >= RATE_OVER_SECONDS:
            self._samples.popleft()

    @property
    def bytes(self) -> int:
        """Return the bytes that were carried: of files that have ended, and of large ones that are on their way."""
        return self.done.bytes + self.in_flight

    @property
    def rate(self) -> tuple[float, float]:
        """Files and bytes a second, of late."""
        at, files, size_ = self._samples[0]
        seconds = self._clock() - at
        if seconds <= 0:
            return 0.0, 0.0
        return (self.done.files - files) / seconds, max(0, self.bytes - size_) / seconds

    @property
    def total(self) -> Count | None:
        """What is to be done as far as is known; None while nothing is."""
        if self._ahead is None:
            return None
        known = self._ahead.total
        return Count(max(known.files, self.done.files), max(known.bytes, self.bytes))

    @property
    def _is_total_final(self) -> bool:
        return self._ahead is not None and self._ahead.is_final

    @property
    def seconds_left(self) -> float | None:
        """By files or by bytes, whichever takes longer; None where nobody can know."""
        total, (files, size_) = self.total, self.rate
        if total is None or not (self.done.files or self.in_flight):
            return None
        left = [(total.bytes - self.bytes, size_)]
        if files or not self.in_flight:  # while large files alone are on their way, their bytes tell the time
            left.append((total.files - self.done.files, files))
        if any(rest and not rate for rest, rate in left):
            return None
        return max((rest / rate for rest, rate in left if rest), default=0.0)

    @property
    def share(self) -> float | None:
        """Return how much is done, from 0 to 1, by files or by bytes, whichever is less; None until all is counted."""
        total = self.total
        if total is None or not self._is_total_final or not total.files:
            return None
        by_bytes = self.bytes / total.bytes if total.bytes else 1.0
        return min(self.done.files / total.files, by_bytes) if not self.in_flight else by_bytes

    def __str__(self) -> str:
        return self.fitted(None)

    def fitted(self, width: int | None) -> str:
        """Return as much as fits in so many columns: how far, how long still, and how fast come first."""
        files, bytes_ = self.rate
        left = self.seconds_left
        until = f" · {_rounded(left)} left" if left is not None else ""
        name = shown(self.organization)
        who = f" · {name if len(name) <= _NAME_SHOWN else name[: _NAME_SHOWN - 1] + '…'}" if name else ""
        rate = f" · {files:,.0f} files/s, {size(bytes_)}/s"
        count, short = self._count(), self._short_count()
        forms = (f"{count}{until}{rate}{who}", f"{count}{until}{rate}", f"{short}{until}{rate}")
        shortest = f"{short}{until} · {size(bytes_)}/s"
        return next((form for form in forms if width is None or columns_of(form) <= width), shortest)

    def _short_count(self) -> str:
        """The files alone, or the bytes while a large file is on its way."""
        total = self.total
        if total is not None and not total.files:
            return "counting"
        done = size(self.bytes) if self.in_flight else number(self.done.files)
        if total is None:
            return done if self.in_flight else f"{done} files"
        sign = "" if self._is_total_final else "≥"
        return f"{done} of {sign}{size(total.bytes) if self.in_flight else f'{number(total.files)} files'}"

    def _count(self) -> str:
        total = self.total
        if total is None:
            return f"{number(self.done.files)} files, {size(self.bytes)}"
        if not total.files:
            return "counting"
        sign = "" if self._is_total_final else "≥"
        return (
            f"{number(self.done.files)} of {sign}{number(total.files)} files, "
            f"{size(self.bytes)} of {sign}{size(total.bytes)}"
        )

    def _as_event(self) -> str:
        total, (files, bytes_), left = self.total, self.rate, self.seconds_left
        return json_line(
            "progress",
            **self.done.as_dict(),
            bytes_in_flight=self.in_flight,
            expected=total.as_dict() if total is not None else None,
            counting_is_final=self._is_total_final,
            files_per_second=round(files, 1),
            bytes_per_second=round(bytes_),
            seconds_left=round(left) if left is not None else None,
            organization=self.organization or None,
        )


class ProgressBar:
    """tqdm's bar."""

    def __init__(self, ahead: SourceCounter | None) -> None:
        self._progress = Progress(ahead)
        self._due_at = 0.0
        self._bar = _bar()

    def on_event(self, event: ProgressEvent) -> None:
        """Add what a worker told; drawn at the next tick."""
        self._progress.add(event)

    def tick(self) -> None:
        """Draw the bar anew if the last time was long enough ago."""
        self._progress.sample()
        now = time.monotonic()
        if now < self._due_at:
            return
        self._due_at = now + _BAR_EVERY_SECONDS
        share, columns = self._progress.share, _columns()
        form = _COUNT if share is None else _BAR if columns >= _COLUMNS_FOR_BAR else _PERCENT
        self._bar.total = None if share is None else 100
        self._bar.n = 0 if share is None else int(100 * share)  # 100 % is when all is done, and not when all but one is
        self._bar.bar_format = form
        self._bar.ncols = columns
        self._bar.set_description_str(self._progress.fitted(columns - _TAKEN[form]), refresh=False)
        self._bar.refresh()

    def close(self) -> None:
        """Take the bar off the terminal."""
        self._bar.close()


class Lines:
    """A plain line after the first second and then now and then, for logs of schedulers and containers."""

    every = LINE_EVERY_SECONDS

    def __init__(self, ahead: SourceCounter | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress = Progress(ahead, clock)
        self._clock = clock
        self._due_at = clock() + FIRST_LINE_SECONDS

    def on_event(self, event: ProgressEvent) -> None:
        """Add what a worker told; written at the next tick."""
        self._progress.add(event)

    def tick(self) -> None:
        """Write a line if the last one was `every` seconds ago."""
        self._progress.sample()
        now = self._clock()
        if now >= self._due_at:
            self._due_at = now + self.every
            to_stderr(self._line(now))

    def _line(self, now: float) -> str:
        return f"after {duration(now - self._progress.began)}: {self._progress}"


class Events(Lines):
    """The same for programs."""

    every = EVENT_EVERY_SECONDS

    def _line(self, now: float) -> str:
        return self._progress._as_event()


def _columns() -> int:
    """The terminal's width; some (serial consoles, ``ssh -tt``) say 0, and tqdm itself would then show nothing at all."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _FALLBACK_COLUMNS
    except (OSError, ValueError):
        return _FALLBACK_COLUMNS


def _rounded(seconds: float) -> str:
    """Time left, without a precision that nobody has."""
    if seconds < 10:
        return "some seconds"
    if seconds < 120:
        return f"{5 * round(seconds / 5)} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
