"""Limits that an operator asks for: bytes a second by the time of day, requests a second, how long a run may take. Pure.

Rates are of 1000 (``20MB/s`` is 20,000,000 bytes a second), as links are sold; ``MiB`` is 1,048,576 bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from migrator.core.errors import SettingsError

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_RATE = re.compile(r"(\d+(?:\.\d+)?) ?([kmg]i?)?(b|bit)(?:/s|ps)", re.IGNORECASE)
_RATE_WITHOUT_SECOND = re.compile(r"(\d+(?:\.\d+)?) ?([kmg]i?)?(b)", re.IGNORECASE)
_WINDOW = re.compile(r"(\d{1,2}):(\d{2}) ?- ?(\d{1,2}):(\d{2})\s+(.+)")
_REQUESTS = re.compile(r"(\d+(?:\.\d+)?)(?: ?/s)?")
_DURATION = re.compile(
    r"(?:(\d+(?:\.\d+)?) ?d)? ?(?:(\d+(?:\.\d+)?) ?h)? ?(?:(\d+(?:\.\d+)?) ?m(?:in)?)? ?(?:(\d+(?:\.\d+)?) ?s?)?"
)
_SECONDS = (86_400, 3_600, 60, 1)
_NO_LIMIT = ("unlimited", "off")
_MINUTES_A_DAY = 1_440
_LOWEST_RATE = 1_000
_LOWEST_REQUESTS = 0.1


class Window(NamedTuple):
    """A time of day, in minutes since midnight, and its rate in bytes a second (None: no limit). May go past midnight."""

    begin: int
    end: int
    rate: float | None

    def holds(self, minute: int) -> bool:
        """Return True if a minute of the day, 0 to 1439, lies in the window; it may cross midnight."""
        if self.begin <= self.end:
            return self.begin <= minute < self.end
        return minute >= self.begin or minute < self.end


@dataclass(frozen=True, slots=True)
class Timetable:
    """Rates by the time of day: the first window that holds, else `otherwise`. In bytes a second; None is no limit."""

    windows: tuple[Window, ...] = ()
    otherwise: float | None = None

    def rate_at(self, minute: int) -> float | None:
        """The rate at so many minutes since midnight."""
        return next((window.rate for window in self.windows if window.holds(minute)), self.otherwise)

    def shared_by(self, workers: int) -> Timetable:
        """An equal share of it."""
        parts = tuple(window._replace(rate=_share(window.rate, workers)) for window in self.windows)
        return Timetable(parts, _share(self.otherwise, workers))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a run may use. `requests` in requests a second, `duration` in seconds; None is no limit."""

    bandwidth: Timetable | None = None
    requests: float | None = None
    duration: float | None = None

    def shared_by(self, workers: int) -> Limits:
        """An equal share of rates, for workers that share no memory."""
        bandwidth = self.bandwidth.shared_by(workers) if self.bandwidth else None
        return Limits(bandwidth=bandwidth, requests=_share(self.requests, workers), duration=self.duration)


def _share(rate: float | None, workers: int) -> float | None:
    return None if rate is None else rate / workers


def bandwidth_of(text: str) -> Timetable:
    """Parse ``20MB/s``, or windows and a rate for the rest: ``08:00-18:00 5MB/s, 50MB/s``.

    Raises:
        SettingsError: If a rate or a time of day is unreadable, or two rates have no time of day.
    """  # noqa: DOC501 made by _bad_bandwidth
    windows: list[Window] = []
    otherwise: list[float | None] = []
    for part in (part.strip() for part in text.split(",")):
        match = _WINDOW.fullmatch(part)
        if match is not None:
            windows.append(_window(part, match))
        elif otherwise:
            raise _bad_bandwidth(text, "There is more than one rate without a time of day.")
        else:
            otherwise.append(_rate(part))
    return Timetable(tuple(windows), otherwise[0] if otherwise else None)


def requests_of(text: str) -> float:
    """Parse ``500/s`` into requests a second.

    Raises:
        SettingsError: If the text has another form, or the number is too low to get anywhere.
    """
    match = _REQUESTS.fullmatch(text.strip())
    if match is None or float(match.group(1)) < _LOWEST_REQUESTS:
        raise SettingsError(
            "max-requests",
            f"--max-requests {text!r} is no number of requests a second.",
            cure="Write --max-requests 500/s.",
        )
    return float(match.group(1))


def seconds_of(text: str, option: str) -> float:
    """Parse ``2h``, ``90min``, ``1h30m``, ``45s`` or plain seconds into seconds.

    Raises:
        SettingsError: If it is no duration, or none above 0; it names the option.
    """
    match = _DURATION.fullmatch(text.strip())
    pieces = match.groups() if match is not None else ()
    seconds = sum(float(piece) * unit for piece, unit in zip(pieces, _SECONDS, strict=False) if piece)
    if not seconds:
        raise SettingsError(
            option.lstrip("-"),
            f"{option} {text!r} is no duration.",
            cure=f"Write it like this: {option} 2h, 90min, 1h30m or 45s.",
        )
    return seconds


def _window(part: str, match: re.Match[str]) -> Window:
    begin_hour, begin_minute, end_hour, end_minute = map(int, match.groups()[:4])
    begin, end = begin_hour * 60 + begin_minute, end_hour * 60 + end_minute
    if max(begin_minute, end_minute) > 59 or begin >= _MINUTES_A_DAY or end > _MINUTES_A_DAY or begin == end:
        raise _bad_bandwidth(part, "Its times are no times of a day, from one to another.")
    return Window(begin, end, _rate(match.group(5).strip()))


def _rate(text: str) -> float | None:
    if text.lower() in _NO_LIMIT:
        return None
    match = _RATE.fullmatch(text) or _RATE_WITHOUT_SECOND.fullmatch(text)
    if match is None:
        raise _bad_bandwidth(text, "It is no rate with a unit.")
    number, prefix, unit = match.groups()
    rate = float(number) * _UNITS[(prefix or "").lower()] / (8 if unit.lower() == "bit" else 1)
    if rate < _LOWEST_RATE:
        raise _bad_bandwidth(text, "Less than 1 kB/s moves nothing.")
    return rate


def _bad_bandwidth(text: str, why: str) -> SettingsError:
    return SettingsError(
        "bandwidth",
        f"--bandwidth {text!r} is invalid.",
        why=why,
        cure='Write --bandwidth 20MB/s, or with a timetable --bandwidth "08:00-18:00 5MB/s, 50MB/s". '
        "Units are kB, MB, GB, MiB and kbit, Mbit, Gbit a second; `unlimited` is no limit.",
    )


MinuteOfDay = Callable[[], int]
"""Tells the minutes since midnight, in local time."""
