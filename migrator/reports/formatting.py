"""Numbers, names and plurals as people read them."""

from __future__ import annotations

import datetime
import unicodedata
from collections.abc import Iterable

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class Whole(str):
    """A line that is never wrapped: a row of a table, a setting or a command to paste."""

    __slots__ = ()


def marked(lines: Iterable[str]) -> list[tuple[str, bool]]:
    """Each line with whether it is `Whole`: the inverse of `unmarked`, for lines that are kept."""
    return [(str(line), isinstance(line, Whole)) for line in lines]


def unmarked(lines: Iterable[tuple[str, bool]]) -> tuple[str, ...]:
    """Return lines that were kept."""
    return tuple(Whole(text) if is_whole else text for text, is_whole in lines)


def shown(name: str) -> str:
    """A name from outside, with everything that could steer a terminal or hide itself written as an escape."""
    return "".join(_shown_character(character) for character in name)


def _shown_character(character: str) -> str:
    if unicodedata.category(character) not in _HIDDEN_CATEGORIES:
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def size(count: float) -> str:
    """1234567 → '1.2 MB'; units of 1000, as operators' disks and bills have them."""
    for unit in _UNITS[:-1]:
        if unit == "bytes" and round(count) == 1:
            return "1 byte"
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 99.95 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} {_UNITS[-1]}"


def number(count: int) -> str:
    """1234567 → '1,234,567'."""
    return f"{count:,}"


def placed(where: str, reason: str) -> str:
    """'where: reason', with the place named once, also where the reason begins with it or has it in its middle."""
    reason = reason.removeprefix(f"{where}: ")
    return shown(reason) if where in reason else f"{shown(where)}: {shown(reason)}"


def files(count: int) -> str:
    """'1 file', '2,000 files'."""
    return plural(count, "file")


def plural(count: int, noun: str) -> str:
    """Return the number with thousands separators and the noun, with an s unless the number is 1."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def duration(seconds: float) -> str:
    """75 → '1 min 15 s'."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def moment(at: float | None) -> str | None:
    """Seconds since the epoch → '2026-01-02T03:04:05Z'."""
    if at is None:
        return None
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock_time(at: float) -> str:
    """Seconds since the epoch → '2026-01-02 03:04:05 UTC'."""
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def table(rows: list[list[str]], *, left: int = 1) -> list[Whole]:
    """Aligned lines: the first `left` columns to the left, the others to the right."""
    widths = [max(columns_of(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell + " " * (width - columns_of(cell)) if column < left else " " * (width - columns_of(cell)) + cell
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(Whole("  ".join(cells).rstrip()))
    return lines


def fitted(text: str, width: int) -> str:
    """Text that takes no more than so many columns, so that one long name does not pull a table apart."""
    if columns_of(text) <= width:
        return text
    while columns_of(text) > width - 1:
        text = text[:-1]
    return f"{text}…"


def columns_of(text: str) -> int:
    """Return the columns that the text takes on a terminal: wide East Asian characters take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )
