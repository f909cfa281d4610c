"""Times in the forms that servers give them. S3 documents ISO 8601 in XML and RFC 7231 in headers; some send numbers, or nothing."""

from __future__ import annotations

import email.utils
import re
from datetime import datetime, timezone

UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=timezone.utc)
"""Stands for a time that the server does not tell, or that cannot be read."""

_NUMBER = re.compile(r"[0-9]{1,13}(\.[0-9]+)?")
_MILLISECONDS_FROM = 100_000_000_000.0
_LAST = 9_223_372_036.0
"""Seconds since 1970 up to which a time fits into 64 bits of nanoseconds, as the ledger keeps it."""


def moment_of(value: object) -> datetime:
    """Return the time that a server told in any form; `UNKNOWN_TIME` for one before 1970, after 2262, or unreadable. Never raises."""
    if isinstance(value, datetime):
        return _bounded(value)
    text = str(value).strip() if value is not None else ""
    if _NUMBER.fullmatch(text):
        seconds = float(text)
        seconds = seconds / 1000 if seconds >= _MILLISECONDS_FROM else seconds
        return datetime.fromtimestamp(seconds, timezone.utc) if seconds <= _LAST else UNKNOWN_TIME
    for read in (_iso, email.utils.parsedate_to_datetime):
        try:
            return _bounded(read(text))
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return UNKNOWN_TIME


def nanoseconds_of(value: object) -> int:
    """Return a time in ns since 1970; 0 for one that is not told."""
    return int(moment_of(value).timestamp() * 1e9)


def _iso(text: str) -> datetime:
    whole, dot, rest = text.replace("Z", "+00:00").partition(".")
    digits = re.match(r"[0-9]*", rest)
    fraction = digits.group() if digits is not None else ""
    return datetime.fromisoformat(f"{whole}.{fraction[:6].ljust(6, '0')}{rest[len(fraction) :]}" if dot else whole)


def _bounded(moment: datetime) -> datetime:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)
    return aware.astimezone(timezone.utc) if 0 <= (aware - UNKNOWN_TIME).total_seconds() <= _LAST else UNKNOWN_TIME
