"""Which raw files are meant by their age: between two moments, given as dates or as durations before now. Pure.

A date or a time without a zone is UTC, as every time is that this program prints: the same words mean the same raw files on every
machine. A date alone is its first moment. ``90d`` is 90 times 24 hours before the command began; units are w, d, h, m (minutes), s.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from migrator.core.errors import SettingsError

_MOMENT = re.compile(
    r"(\d{4}-\d{2}-\d{2})"
    r"(?:[T ](\d{2}:\d{2})(:\d{2}(?:\.\d{1,6})?)?"
    r" ?(Z|z|[+-]\d{2}:?\d{2})?)?",
    re.ASCII,
)
_DURATION = re.compile(r"(\d{1,7})([wdhms])", re.ASCII)
_SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_FORMS = (
    "Write a date (2026-01-31), a date and time (2026-01-31T12:00, 2026-01-31T12:00+02:00; UTC without a zone) "
    "or a duration (90d, 12h, 30m, 2w)."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """The moments between which a raw file counts, in seconds since the epoch; None where nothing was asked.

    At or after `newer_than`, and before `older_than`: the two options with the same moment part all raw files that have a date in two,
    with none in both. Some servers list no date. What only reads or copies takes such a raw file under either option, for it may be
    meant; what deletes keeps it, for it may not be meant.
    """

    newer_than: float | None = None
    older_than: float | None = None

    @staticmethod
    def parse(newer_than: str | None, older_than: str | None, *, now: float) -> Ages:
        """Parse --newer-than and --older-than; `now`, in seconds since the epoch, is what durations count back from.

        Raises:
            SettingsError: If one cannot be read, or no raw file could lie between the two.
        """
        newer = moment_of("--newer-than", newer_than, now) if newer_than is not None else None
        older = moment_of("--older-than", older_than, now) if older_than is not None else None
        if newer is not None and older is not None and newer >= older:
            raise SettingsError(
                "ages-empty",
                f"No raw file can be newer than {in_utc(newer)} and older than {in_utc(older)}.",
                cure="Swap --newer-than and --older-than, or leave one of them out.",
            )
        return Ages(newer_than=newer, older_than=older)

    def __bool__(self) -> bool:
        """Whether anything was asked."""
        return self.newer_than is not None or self.older_than is not None

    def admits(self, epoch_seconds: float) -> bool:
        """Whether a raw file of that time counts."""
        if self.newer_than is not None and epoch_seconds < self.newer_than:
            return False
        return self.older_than is None or epoch_seconds < self.older_than

    def in_words(self) -> str:
        """'at or after … and before …'."""
        parts = []
        if self.newer_than is not None:
            parts.append(f"at or after {in_utc(self.newer_than)}")
        if self.older_than is not None:
            parts.append(f"before {in_utc(self.older_than)}")
        return " and ".join(parts)


ANY_AGE = Ages()


def moment_of(option: str, text: str, now: float) -> float:
    """Return the seconds since the epoch of a date, a time, or a duration before `now`.

    Raises:
        SettingsError: If it is none of these; it names the option.
    """
    duration = _DURATION.fullmatch(text.strip())
    if duration is not None:
        return now - int(duration.group(1)) * _SECONDS[duration.group(2)]
    moment = _MOMENT.fullmatch(text.strip())
    if moment is None:
        raise SettingsError("age-unreadable", f"{option} {text!r} is neither a date nor a duration.", cure=_FORMS)
    day, minute, second, zone = moment.groups()
    zone = "+00:00" if zone in (None, "Z", "z") else f"{zone[:3]}:{zone[-2:]}"
    if second is not None and "." in second:
        second = second.ljust(len(":00.000000"), "0")  # Python 3.10 reads 3 or 6 digits
    try:
        return datetime.fromisoformat(f"{day}T{minute or '00:00'}{second or ':00'}{zone}").timestamp()
    except (ValueError, OverflowError) as error:
        raise SettingsError(
            "age-unreadable", f"{option} {text!r} is no date of the calendar ({error}).", cure=_FORMS
        ) from error


def in_utc(epoch_seconds: float) -> str:
    """'2026-01-31 12:00:00 UTC', or the number of seconds where no calendar reaches."""
    try:
        moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=math.floor(epoch_seconds))
    except OverflowError:
        return f"{epoch_seconds:.0f} s since 1970"
    return f"{moment.isoformat(sep=' ').removesuffix('+00:00')} UTC"
