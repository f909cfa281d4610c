"""Bytes' PostgreSQL database, only ever read; the only importer of psycopg (extra ``postgres``).

Everything is read in one transaction, read-only and repeatable-read, so that rows which come or go meanwhile make no difference, with a
cursor on the server, so that memory does not grow with the number of rows.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from migrator.checks.audit.database_row import ALGORITHM_LENGTH, Recorded
from migrator.core.errors import CannotStart, MigratorError, MustStop, SettingsError

if TYPE_CHECKING:
    import psycopg

ROWS_AT_ONCE = 10_000
"""Rows in memory: 2 MB. Fewer would cost a round trip more often."""
_TABLES: Mapping[str, tuple[str, ...]] = {
    "raw_file": ("id", "secure_hash", "boefje_meta_id"),
    "boefje_meta": ("id", "organization", "ended_at"),
}
_CONNECT_SECONDS = "10"
_URI = re.compile(
    r"postgres(?:ql)?(?:\+\w+)?://"
    r"(?:(?P<user>[^:/@]*)(?::(?P<password>.*))?@)?"
    r"(?P<hosts>(?:\[[^\]]*\]|[^/?@\[\]])*)"
    r"(?:/(?P<dbname>[^?]*))?"
    r"(?:\?(?P<query>.*))?",
    re.DOTALL,
)
_HOST = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(?::(?P<port>\d{1,5}))?")
_OF_OTHER_DRIVERS = frozenset(("async_fallback", "prepared_statement_cache_size", "statement_cache_size", "charset"))
_SESSION = (
    # A cursor is planned as if only a tenth of it were fetched, by which PostgreSQL would look rows up one by one.
    "SET LOCAL cursor_tuple_fraction = 1",
    # Contents are read between two rows, for hours if need be.
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
)
_QUERY = """
SELECT b.organization, r.id::text, {digest}, {time}
  FROM raw_file r JOIN boefje_meta b ON b.id = r.boefje_meta_id {where}
 ORDER BY b.organization COLLATE "C", r.id::text COLLATE "C"
"""
# Exact: numeric since PostgreSQL 14; before, a double that is within half a microsecond. A time without a zone counts as UTC.
_TIME = "CASE WHEN isfinite(b.ended_at) THEN {} END"


@dataclass(frozen=True, slots=True, repr=False)
class Dsn:
    """How to reach the database, as libpq's parameters. Prints no password."""

    parameters: Mapping[str, str]

    def __str__(self) -> str:
        """The database's name and host, for people."""
        name = self.parameters.get("dbname") or self.parameters.get("user") or "the default database"
        return f"{name} at {self.parameters.get('host') or 'this machine'}"

    __repr__ = __str__


def is_dsn(text: str) -> bool:
    """Whether this is meant as a database and not as a file."""
    return "://" in text or bool(re.match(r"\s*\w+\s*=", text))


def dsn_of(text: str, origin: str) -> Dsn:
    """Read a URI as SQLAlchemy reads it for Bytes, or libpq's ``name=value`` form.

    Raises:
        SettingsError: If it is neither; the message never holds the text.
    """  # noqa: DOC501 made by _invalid
    if "://" not in text:
        return Dsn(_keywords(text, origin))
    match = _URI.fullmatch(text.strip())
    if match is None:
        raise _invalid(origin, "It does not have the form postgresql://user:password@host:port/database.")
    parameters = dict(_query_parameters(match["query"] or ""))
    hosts = [_HOST.fullmatch(part) for part in (match["hosts"] or "").split(",")]
    if any(host is None for host in hosts):
        raise _invalid(origin, "Its host or port is none; in a password, write @ as %40 and / as %2F.")
    found = [host for host in hosts if host is not None]
    if any(host["host"] for host in found):
        parameters["host"] = ",".join(unquote(host["host"].strip("[]")) for host in found)
    if any(host["port"] for host in found):
        parameters["port"] = ",".join(host["port"] or "" for host in found)
    for name in ("user", "password", "dbname"):
        if match[name]:
            parameters[name] = unquote(match[name])
    return Dsn(parameters)


def _query_parameters(query: str) -> Iterator[tuple[str, str]]:
    """What SQLAlchemy hands on to the driver: libpq's own parameters, but for those of asyncpg."""
    several: dict[str, list[str]] = {}
    for name, value in parse_qsl(query):
        several.setdefault("sslmode" if name == "ssl" else name, []).append(value)
    for name, values in several.items():
        if name not in _OF_OTHER_DRIVERS:
            yield name, ",".join(values)


def _keywords(text: str, origin: str) -> dict[str, str]:
    psycopg = _psycopg()
    try:
        return {name: str(value) for name, value in psycopg.conninfo.conninfo_to_dict(text).items()}
    except psycopg.Error:  # its message quotes what it cannot read
        raise _invalid(origin, "It is no list of name=value, as in: host=db user=bytes dbname=bytes") from None


def _invalid(origin: str, why: str) -> SettingsError:
    return SettingsError(
        "database-invalid",
        f"{origin} does not name a PostgreSQL database.",
        why=why,
        cure="Write postgresql://user:password@host:5432/bytes, as in BYTES_DB_URI, or give --database rows.csv.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be read: whole digests and times, or only whether there is a digest; all organizations, or some."""

    digests: bool = False
    times: bool = False
    organizations: tuple[str, ...] = ()


class Database:
    """A transaction in Bytes' database."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]], dsn: Dsn) -> None:
        self._connection = connection
        self._dsn = dsn

    def rows(self, wanted: Wanted) -> Iterator[Recorded]:
        """Yield rows ascending by organization and raw id, each byte by byte.

        Raises:
            CannotStart: If this role may not read the tables.
            MustStop: If the connection is lost.
        """  # noqa: DOC501 made by _denied
        query = _QUERY.format(
            digest="r.secure_hash" if wanted.digests else f"left(r.secure_hash, {ALGORITHM_LENGTH})",
            time=_TIME.format("(extract(epoch FROM b.ended_at) * 1000000)::bigint" if wanted.times else "0"),
            where="WHERE b.organization = ANY(%s)" if wanted.organizations else "",
        )
        psycopg = _psycopg()
        try:
            with self._connection.cursor(name="audit") as cursor:
                cursor.itersize = ROWS_AT_ONCE
                cursor.execute(query, [list(wanted.organizations)] if wanted.organizations else None)
                yield from map(Recorded._make, cursor)
        except psycopg.errors.InsufficientPrivilege as error:
            raise _denied(self._dsn, error) from error
        except psycopg.Error as error:
            raise MustStop(
                "database-lost",
                f"Reading the database {self._dsn} broke off ({_said(error, self._dsn)}).",
                why="An audit of half the rows would be wrong.",
                cure="Look at the database server, then rerun.",
            ) from error


@contextmanager
def reading_database(dsn: Dsn) -> Iterator[Database]:
    """Connect, begin to read, and look that this is a database of Bytes.

    Raises:
        CannotStart: If it is not reached, refuses the role, or has other tables.
    """
    psycopg = _psycopg()
    with _connected(dsn) as connection:
        try:
            for statement in _SESSION:
                connection.execute(statement)
            _check_tables(connection, dsn)
        except psycopg.Error as error:
            raise CannotStart(
                "database-failed", f"The database {dsn} does not answer as it should ({_said(error, dsn)})."
            ) from error
        yield Database(connection, dsn)


@contextmanager
def _connected(dsn: Dsn) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    psycopg = _psycopg()
    try:
        connection = psycopg.connect(
            **{
                "connect_timeout": _CONNECT_SECONDS,
                "application_name": "bytes-migrator audit",
                **dsn.parameters,
                "client_encoding": "UTF8",
            }
        )
    except psycopg.ProgrammingError as error:
        raise _invalid("The database's URI", f"libpq says: {_said(error, dsn)}.") from None
    except psycopg.Error as error:
        raise CannotStart(
            "database-unreachable",
            f"The database {dsn} cannot be used: {_said(error, dsn)}.",
            why="The audit asks Bytes' database which raw files must exist.",
            cure=(
                "Check host, port, name, user and password in BYTES_DB_URI, or give --database rows.csv with an export."
            ),
        ) from None
    try:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield connection
    finally:
        connection.close()


def _check_tables(connection: psycopg.Connection[tuple[Any, ...]], dsn: Dsn) -> None:
    """Check that Bytes' tables and columns are there.

    Raises:
        CannotStart: If one is missing; it says which.
    """
    for table, columns in _TABLES.items():
        found = connection.execute(
            "SELECT to_regclass(%s) IS NOT NULL, array(SELECT attname::text FROM pg_attribute "
            "WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped)",
            (table, table),
        ).fetchone()
        exists, there = found or (False, ())
        missing = [column for column in columns if column not in there]
        if not missing:
            continue
        what = f"lacks {_listed(missing)}" if exists else "does not exist"
        raise CannotStart(
            "database-not-bytes",
            f"The database {dsn} is not Bytes' as this program knows it: the table {table} {what}.",
            why="It may be another service's, empty, or of another version.",
            cure="Check the database's name in BYTES_DB_URI; this program knows the tables of Bytes 1.18 to 1.20.",
        )


def _listed(columns: list[str]) -> str:
    return f"the column{'' if len(columns) == 1 else 's'} {', '.join(columns)}"


def _denied(dsn: Dsn, error: Exception) -> CannotStart:
    return CannotStart(
        "database-denied",
        f"This user may not read the tables of {dsn} ({_said(error, dsn)}).",
        cure="As the owner of the tables: GRANT SELECT ON raw_file, boefje_meta TO <user>;",
    )


def _said(error: Exception, dsn: Dsn) -> str:
    """The last line of the server's or libpq's words, without the password."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = (lines[0] if lines else type(error).__name__).rstrip(".")
    password = dsn.parameters.get("password")
    return said.replace(password, "***") if password else said


def _psycopg() -> Any:
    """Return the library, loaded only here: it is an extra, and takes 0.1 s.

    Raises:
        CannotStart: If it, or its libpq, is missing.
    """  # noqa: DOC501 made by _postgres_missing
    try:
        import psycopg  # noqa: PLC0415 an extra, and 0.1 s to load
        import psycopg.conninfo  # noqa: F401, PLC0415 for its users
    except ImportError as error:
        raise _postgres_missing() from error
    return psycopg


def _postgres_missing() -> MigratorError:
    return CannotStart(
        "postgres-missing",
        "Reading PostgreSQL needs psycopg with libpq, which cannot be imported.",
        cure=f"Install it: {sys.executable} -m pip install 'bytes-migrator[postgres]'; or give --database "
        f"rows.csv with an export.",
    )
