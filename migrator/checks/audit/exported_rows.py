"""The rows of Bytes' database from a CSV export, for operators whose database is out of reach.

A header names the columns, in any order. The rows come in the order in which the stores list raw files, so that they are merged as
they are read; a file that is not sorted so is refused, for a row read too late would be told missing.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NoReturn

from migrator.checks.audit.database_row import Recorded
from migrator.core.entities import RawId, is_raw_id
from migrator.core.errors import CannotStart, SettingsError

COLUMNS = ("id", "organization", "secure_hash", "ended_at")
EXPORT = (
    "\\copy (SELECT r.id, b.organization, r.secure_hash, b.ended_at FROM raw_file r JOIN boefje_meta b ON b.id = r.boefje_meta_id "
    "ORDER BY b.organization COLLATE \"C\", r.id::text COLLATE \"C\") TO 'rows.csv' WITH (FORMAT csv, HEADER, ENCODING 'UTF8')"
)
"""A line for psql that writes such a file."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
_TIME = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[ T](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,6}))?"
    r" ?(?:(Z|z|UTC)|([+-])(\d{2})(?::?(\d{2}))?(?::?(\d{2}))?)?",
    re.ASCII,
)


def read_rows(path: Path) -> Iterator[Recorded]:
    """Yield the file's rows, strictly ascending by organization and raw id.

    Raises:
        CannotStart: If it is no such file; it names the line.
        SettingsError: If the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="", errors="surrogateescape") as file:
            lines = csv.reader(file, strict=True)
            try:
                yield from _rows(path, lines)
            except csv.Error as error:
                _refuse(path, lines.line_num, f"it is no CSV ({error})")
    except OSError as error:
        raise SettingsError(
            "rows-unreadable",
            f"The file {path} cannot be read ({error.strerror}).",
            cure="Give --database a CSV file that this user may read, or a URI such as postgresql://user@host/bytes.",
        ) from error


def _rows(path: Path, lines: csv.Reader) -> Iterator[Recorded]:  # type: ignore[name-defined]
    header = next(lines, None)
    if header is None:
        _refuse(path, 1, "the file is empty; its first line names the columns")
    places = [_place(path, header, column) for column in COLUMNS]
    raw_id_at, organization_at, hash_at, time_at = places
    width, last = len(header), ("", "")
    for fields in lines:
        if len(fields) != width:
            _refuse(path, lines.line_num, f"it has {len(fields)} fields where the header has {width}")
        raw_id, organization = fields[raw_id_at], fields[organization_at]
        if not is_raw_id(raw_id):
            _refuse(path, lines.line_num, f"its id is no UUID in canonical lower-case text: {raw_id[:60]!r}")
        if organization != last[0] or not organization:
            _check_name(path, lines.line_num, organization)
        this = (organization, raw_id)
        if this <= last:
            _refuse_order(path, lines.line_num, is_same=this == last)
        last = this
        ended_at = fields[time_at]
        try:
            ended_us = microseconds_of(ended_at) if ended_at else None
        except ValueError as error:
            _refuse(path, lines.line_num, f"its ended_at is no time: {ended_at[:60]!r} ({error})")
        yield Recorded(organization, RawId(raw_id), fields[hash_at] or None, ended_us)


def _check_name(path: Path, line: int, organization: str) -> None:
    if not organization:
        _refuse(path, line, "it names no organization")
    try:
        organization.encode()
    except UnicodeEncodeError:
        _refuse(path, line, "it is not UTF-8")


def microseconds_of(text: str) -> int:
    """Return microseconds since the epoch of a time as PostgreSQL writes it in ISO style; without a zone it is UTC.

    Raises:
        ValueError: If it is written otherwise.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("write 2026-01-31 12:00:00.5+00; in psql: SET datestyle TO ISO")
    *whole, fraction, _, sign, hours, minutes, seconds = match.groups()
    year, month, day, hour, minute, second = map(int, whole)
    moment = datetime(year, month, day, hour, minute, second, int((fraction or "").ljust(6, "0")), timezone.utc)
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0), seconds=int(seconds or 0))
    return ((moment - _EPOCH) - (-offset if sign == "-" else offset)) // _MICROSECOND


def _place(path: Path, header: list[str], column: str) -> int:
    names = [name.strip().lower() for name in header]
    if names.count(column) == 1:
        return names.index(column)
    if column in names:
        _refuse(path, 1, f"it names the column {column} more than once")
    raise CannotStart(
        "rows-column-missing",
        f"The file {path} has no column {column}: its first line must name {', '.join(COLUMNS)}.",
        why=f"It says: {', '.join(header)[:200]}",
        cure=f"Export the rows with psql: {EXPORT}",
    )


def _refuse(path: Path, line: int, why: str) -> NoReturn:
    raise CannotStart(
        "rows-invalid", f"Line {line} of {path}: {why}.", cure=f"Export the rows with psql: {EXPORT}"
    ) from None


def _refuse_order(path: Path, line: int, *, is_same: bool) -> NoReturn:
    what = "names the same raw file as the row before it" if is_same else "is not in order"
    raise CannotStart(
        "rows-not-sorted",
        f"Line {line} of {path} {what}.",
        why="Rows must ascend by organization, then id, byte by byte.",
        cure=f"Export the rows with psql: {EXPORT}",
    )
