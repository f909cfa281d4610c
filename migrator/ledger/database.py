"""Ledger files: made whole, opened only when proven sound, copied while another process writes them.

With `ledger` the only module with SQL. Damage is told by `DamagedError`; what to do about it is the caller's to say.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import struct
import tempfile
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

from migrator.core.errors import CannotStart, MigratorError
from migrator.core.findings import Finding
from migrator.doctor.finding_shorthands import warned
from migrator.ledger import record_codec
from migrator.ledger.directory import ELSEWHERE, family, set_aside, sync_folder
from migrator.ledger.record_codec import Sealer

APPLICATION_ID = 0x42794D67
VERSION = 1
"""Goes up with each change of SCHEMA, and SCHEMA changes with it: so a newer ledger can be told from a damaged header."""
SCHEMA = (
    "CREATE TABLE facts (kind TEXT NOT NULL, owner TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL,"
    " seal BLOB NOT NULL, PRIMARY KEY (kind, owner, name)) WITHOUT ROWID"
)
INSERT = "INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?)"
HEADER = struct.Struct(">16s 2x 2B 24x I 8x I 8x I 28x")
DAMAGE = frozenset({11, 26})  # SQLITE_CORRUPT and SQLITE_NOTADB, which Python names from 3.11 on
CAUSES = {
    3: "Access to it is denied.",
    5: "Another program holds it open.",
    6: "Another program holds it open.",
    8: "It is read-only.",
    10: "Reading or writing the disk failed.",
    13: "The disk is full.",
    14: "It, or a file beside it, cannot be opened.",
}
_SAID = {
    "access permission denied": 3,
    "database is locked": 5,
    "database table is locked": 6,
    "attempt to write a readonly database": 8,
    "disk I/O error": 10,
    "database or disk is full": 13,
    "unable to open database file": 14,
}
"""What SQLite says for the codes of `CAUSES` (sqlite3_errstr): before 3.11 Python gives no code."""
COPY_ATTEMPTS = 5
FILE_ERRORS = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What Python's sqlite3 raises: SQLite's message can quote a damaged schema, and one that is no text cannot be made an error's message."""


class DamagedError(Exception):
    """The file cannot be used as it is; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerDatabase:
    """An opened ledger file that was proven sound. `copy` is the private folder of one that is only read."""

    connection: sqlite3.Connection
    path: Path
    identities: tuple[str, str]
    opened_at: float = 0.0
    findings: tuple[Finding, ...] = ()
    is_writable: bool = False
    copy: tempfile.TemporaryDirectory[str] | None = None

    def close(self, *, is_damaged: bool = False) -> None:
        """Close it; move it aside if it was damaged meanwhile."""
        self.connection.close()
        if self.copy is not None:
            self.copy.cleanup()
        if self.is_writable and is_damaged:
            with suppress(OSError):
                set_aside(self.path, self.opened_at)


def open_to_write(path: Path, identities: tuple[str, str], now: float, patience: float) -> LedgerDatabase:
    """Open the ledger for the holder of its lock; make it where it is missing, and anew where it is damaged.

    Raises:
        CannotStart: If it cannot be written, is of a newer version, or belongs to other locations.
    """  # noqa: DOC501 made by trouble
    findings: tuple[Finding, ...] = ()
    try:
        try:
            connection = _open_writable(path, identities, patience)
        except DamagedError as damage:
            findings = (_rebuilt(path, set_aside(path, now), str(damage)),)
            connection = _open_writable(path, identities, patience)
    except (sqlite3.Error, OSError, DamagedError) as error:
        raise trouble(CannotStart, "ledger-unwritable", path, error) from error
    return LedgerDatabase(
        connection=connection, path=path, identities=identities, opened_at=now, findings=findings, is_writable=True
    )


def open_copy(path: Path, wanted: tuple[str | None, str | None]) -> LedgerDatabase | None:
    """Open a private copy, which a running migration does not disturb; None where there is nothing sound to copy.

    Raises:
        CannotStart: If it cannot be read, is of a newer version, or belongs to other locations than are `wanted`.
    """  # noqa: DOC501 made by trouble
    unreadable: OSError | None = None
    for _ in range(COPY_ATTEMPTS):
        try:
            if not path.is_file():
                return None
            file = _open_copy(path)
        except (DamagedError, OSError) as error:  # a run that goes on meanwhile may have torn the copy
            unreadable = error if isinstance(error, OSError) else None
            continue
        try:
            _refuse_other_locations(path, file.identities, wanted)
        except CannotStart:
            file.close()
            raise
        return file
    if unreadable is not None:
        raise trouble(CannotStart, "ledger-unreadable", path, unreadable) from unreadable
    return None


def _open_writable(path: Path, identities: tuple[str, str], patience: float) -> sqlite3.Connection:
    """Open the database itself, checked, with write-ahead log and full synchronization.

    Raises:
        DamagedError: If it, or a file beside it, is not what a ledger must be.
        CannotStart: If it is of a newer version or belongs to other locations.
        sqlite3.Error: If SQLite cannot write it.
        OSError: If the system refuses.
    """
    members = [member for member in family(path) if os.path.lexists(member)]
    if any(not stat.S_ISREG(member.lstat().st_mode) for member in members):
        raise DamagedError("It, or a file beside it, is not a regular file.")
    if members and members[0] != path:
        raise DamagedError("Its main file was gone.")
    if not members:
        _create(path, identities)
    for member in members:
        member.chmod(0o600)
    _check_header(path)
    connection = _connect(path, "mode=rw", patience)
    try:
        _refuse_other_locations(path, _check(connection, path), identities)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")  # SQLite quietly opens what it may not write
        connection.execute("ROLLBACK")
    except BaseException as error:
        connection.close()
        if isinstance(error, FILE_ERRORS) and is_damage(error):
            raise DamagedError(f"SQLite says: {error}.") from error
        raise
    return connection


def _create(path: Path, identities: tuple[str, str]) -> None:
    """Make a whole new ledger under its name at once, so that a ledger without content is always a damaged one."""
    new = path.with_name(path.name + ".new")
    for leftover in family(new):
        leftover.unlink(missing_ok=True)
    os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    connection = _connect(new, "mode=rw", 0)
    try:
        connection.execute("BEGIN")
        connection.execute(SCHEMA)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        body = record_codec.encode(record_codec.binding_body(*identities))
        row = ("binding", "", "locations", body)
        connection.execute(INSERT, (*row, Sealer().seal(*row)))
        connection.execute("COMMIT")
    finally:
        connection.close()
    new.rename(path)
    sync_folder(path.parent)


def _open_copy(path: Path) -> LedgerDatabase:
    """Copy the ledger, or open it in place where nobody writes it, and check it.

    Raises:
        DamagedError: If it is not what a ledger must be, or changed meanwhile.
        CannotStart: If it is of a newer version.
        OSError: If the system refuses.
    """
    _check_header(path)
    with ExitStack() as undo:
        copy = _private_copy(path)
        if copy is not None:
            undo.callback(copy.cleanup)
        place, mode = (Path(copy.name, path.name), "mode=rw") if copy else (path, "mode=ro&immutable=1")
        try:
            connection = undo.enter_context(closing(_connect(place, mode, 0)))
            file = LedgerDatabase(connection=connection, path=path, identities=_check(connection, path), copy=copy)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise DamagedError(str(error)) from error
        undo.pop_all()
        return file


def _private_copy(path: Path) -> tempfile.TemporaryDirectory[str] | None:
    """Return a copy in a temporary folder; None where there is no room, and no need since nobody writes the ledger.

    Raises:
        OSError: If there is no room, and a run is writing it.
    """
    with ExitStack() as undo:
        try:
            copy = tempfile.TemporaryDirectory(prefix="bytes-migrator-")
            undo.callback(copy.cleanup)
            _copy_steadily(path, Path(copy.name, path.name))
        except OSError:
            if _wal_header(path):
                raise
            return None
        undo.pop_all()
        return copy


def _copy_steadily(path: Path, copy: Path) -> None:
    """Copy a ledger that may be written meanwhile.

    As long as the WAL's header is the same, the WAL was only appended to, and holds every page that a checkpoint may
    have been writing into the main file.

    Raises:
        DamagedError: If the WAL began anew during the copy; a second try will do.
    """
    before = _wal_header(path) or path.stat().st_mtime_ns
    shutil.copyfile(path, copy)
    if isinstance(before, bytes):
        with suppress(FileNotFoundError):  # the run that wrote it has just ended: told below
            shutil.copyfile(family(path)[1], family(copy)[1])
    if before != (_wal_header(path) or path.stat().st_mtime_ns):
        raise DamagedError("It changed while it was copied.")


def _wal_header(path: Path) -> bytes:
    try:
        with family(path)[1].open("rb") as wal:
            return wal.read(32)
    except FileNotFoundError:
        return b""


def _connect(path: Path, mode: str, patience: float) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?{mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=patience, isolation_level=None)
    connection.text_factory = lambda raw: raw.decode(errors="replace")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def _check_header(path: Path) -> None:
    """Check the header for what SQLite would call read-only or unsupported. See sqlite.org/fileformat.

    Raises:
        DamagedError: If this is no SQLite database, or none of this tool.
    """
    with path.open("rb") as file:
        raw = file.read(HEADER.size)
    if len(raw) < HEADER.size:
        raise DamagedError("It is shorter than any database.")
    magic, write_version, read_version, form, encoding, application = HEADER.unpack(raw)
    known = (1, 2)
    if magic != b"SQLite format 3\0" or write_version not in known or read_version not in known:
        raise DamagedError("It is no SQLite database.")
    if application != APPLICATION_ID or encoding != 1 or not 1 <= form <= 4:
        raise DamagedError("It is no ledger of this tool.")


def _check(connection: sqlite3.Connection, path: Path) -> tuple[str, str]:
    """Prove that this is a sound ledger; return the identities of the two locations that it is bound to.

    Raises:
        DamagedError: If its pages or tables are not sound.
        CannotStart: If a newer version wrote it.
    """
    # quick_check does not see rows out of order
    verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if verdict != "ok":
        raise DamagedError(f"SQLite says: {verdict.splitlines()[-1]}.")  # the line before it only names the database
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    is_ours = connection.execute("SELECT sql FROM sqlite_master").fetchall() == [(SCHEMA,)]
    if version > VERSION and not is_ours:
        raise CannotStart(
            "ledger-newer",
            f"The ledger {path} was written by a newer bytes-migrator.",
            why=f"Its version is {version}; this program knows {VERSION}.",
            cure="Use the newer program, or another folder with --state-dir: only time is lost.",
        )
    if version != VERSION or not is_ours:
        raise DamagedError("Its tables are not those of this version.")
    return _binding(connection)


def _binding(connection: sqlite3.Connection) -> tuple[str, str]:
    row = connection.execute("SELECT body, seal FROM facts WHERE kind = 'binding'").fetchone()
    if row and isinstance(row[0], str) and row[1] == Sealer().seal("binding", "", "locations", row[0]):
        binding = record_codec.read_binding(record_codec.decode(row[0]))
        if binding is not None:
            return binding
    raise DamagedError("It does not say which locations it belongs to.")


def is_damage(error: sqlite3.DatabaseError | UnicodeDecodeError) -> bool:
    """Return True if the error says that the file itself is broken, not that it is locked, full or forbidden."""
    if isinstance(error, UnicodeDecodeError):
        return True
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None:  # Python 3.10, where this type stands for what has no type of its own: these two
        return type(error) is sqlite3.DatabaseError
    return code & 0xFF in DAMAGE


def trouble(
    kind: type[MigratorError], name: str, path: Path, error: sqlite3.Error | OSError | DamagedError
) -> MigratorError:
    """Return the error of this kind for a ledger that cannot be read or written, with the cause that `error` shows."""
    if isinstance(error, OSError):
        why = f"{error.strerror or error}."
    elif isinstance(error, DamagedError):
        why = str(error)
    else:
        code: int | None = getattr(error, "sqlite_errorcode", None)
        known = _SAID.get(str(error), 0) if code is None else code & 0xFF
        why = CAUSES.get(known, f"SQLite says: {error}.")
    needs = "rights, and room for a copy in TMPDIR" if name == "ledger-unreadable" else "space and rights on that disk"
    return kind(
        name,
        f"The ledger {path} cannot be {'read' if name == 'ledger-unreadable' else 'written'}.",
        why=why,
        cure=f"Give it {needs}, {ELSEWHERE}; then rerun.",
    )


def _refuse_other_locations(path: Path, found: tuple[str, str], wanted: tuple[str | None, str | None]) -> None:
    if all(want in (None, have) for want, have in zip(wanted, found, strict=True)):
        return
    raise CannotStart(
        "ledger-of-other-locations",
        f"The ledger {path} belongs to {found[0]} → {found[1]}, not to {wanted[0]} → {wanted[1]}.",
        why="It knows nothing of these locations.",
        cure="Move it away, or name another folder with --state-dir: only time is lost.",
    )


def _rebuilt(path: Path, aside: Path, reason: str) -> Finding:
    return warned(
        "ledger-rebuilt",
        f"The ledger {path} was damaged and a new one was made. {reason}",
        "Both ends are compared in full again.",
        f"Look at the disk's health; {aside} may be deleted.",
    )
