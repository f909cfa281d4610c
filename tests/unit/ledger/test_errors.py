"""How trouble with the file is told."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from migrator.core.errors import CannotStart, MustStop
from migrator.ledger import database
from migrator.ledger.database import SCHEMA, DamagedError, is_damage
from migrator.ledger.ledger import Ledger
from tests.unit.ledger.scene import folder_of, opened, told


def sqlite_error(code: int | None, kind: type[sqlite3.Error] = sqlite3.OperationalError) -> sqlite3.Error:
    """As SQLite raises it; without a code as Python 3.10 does."""
    error = kind("odd")
    if code is not None:
        error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (sqlite_error(None, sqlite3.DatabaseError), True),
        (sqlite_error(None, sqlite3.OperationalError), False),
        (sqlite_error(None, sqlite3.IntegrityError), False),
        (sqlite_error(11), True),
        (sqlite_error(26), True),
        (sqlite_error(11 | 1 << 8), True),
        (sqlite_error(10, sqlite3.DatabaseError), False),
        (sqlite_error(1, sqlite3.DatabaseError), False),
    ],
)
def test_damage_is_told_by_its_code_and_without_one_by_its_type(error: sqlite3.Error, expected: bool) -> None:
    assert is_damage(error) is expected


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("access permission denied", "Access to it is denied."),
        ("database is locked", "Another program holds it open."),
        ("database table is locked", "Another program holds it open."),
        ("attempt to write a readonly database", "It is read-only."),
        ("disk I/O error", "Reading or writing the disk failed."),
        ("database or disk is full", "The disk is full."),
        ("unable to open database file", "It, or a file beside it, cannot be opened."),
        ("something else", "SQLite says: something else."),
    ],
)
def test_without_a_code_the_cause_is_known_by_what_sqlite_says(said: str, why: str) -> None:
    """As on Python 3.10."""
    assert database.trouble(CannotStart, "ledger-unwritable", Path("x"), sqlite3.OperationalError(said)).why == why


def test_the_schema_is_kept_as_it_was_written(filled: Path) -> None:
    with closing(sqlite3.connect(filled)) as connection:
        assert connection.execute("SELECT sql FROM sqlite_master").fetchall() == [(SCHEMA,)]


TROUBLES: list[tuple[sqlite3.Error | OSError | DamagedError, str]] = [
    (sqlite_error(3), "Access to it is denied."),
    (sqlite_error(5), "Another program holds it open."),
    (sqlite_error(6), "Another program holds it open."),
    (sqlite_error(8), "It is read-only."),
    (sqlite_error(10), "Reading or writing the disk failed."),
    (sqlite_error(10 | 3 << 8), "Reading or writing the disk failed."),
    (sqlite_error(13), "The disk is full."),
    (sqlite_error(14), "It, or a file beside it, cannot be opened."),
    (sqlite_error(1), "SQLite says: odd."),
    (sqlite_error(None), "SQLite says: odd."),
    (DamagedError("It is no SQLite database."), "It is no SQLite database."),
    (OSError(28, "No space left on device"), "No space left on device."),
    (OSError("odd"), "odd."),
]


@pytest.mark.parametrize(("error", "why"), TROUBLES)
def test_trouble_with_the_file_is_told_word_for_word(error: sqlite3.Error | OSError | DamagedError, why: str) -> None:
    path, elsewhere = Path("/state/x.sqlite3"), "or keep the state elsewhere with --state-dir"
    read = database.trouble(CannotStart, "ledger-unreadable", path, error)
    written = database.trouble(MustStop, "ledger-unwritable", path, error)
    assert (type(read), type(written)) == (CannotStart, MustStop)
    assert told(read) == (
        "ledger-unreadable",
        "The ledger /state/x.sqlite3 cannot be read.",
        why,
        f"Give it rights, and room for a copy in TMPDIR, {elsewhere}; then rerun.",
    )
    assert told(written) == (
        "ledger-unwritable",
        "The ledger /state/x.sqlite3 cannot be written.",
        why,
        f"Give it space and rights on that disk, {elsewhere}; then rerun.",
    )


def test_a_ledger_that_is_damaged_again_at_once_is_told_and_not_made_anew_forever(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(path: Path) -> None:
        raise DamagedError("It is no SQLite database.")

    monkeypatch.setattr(database, "_check_header", damaged)
    with pytest.raises(CannotStart) as caught:
        opened(filled)
    assert (caught.value.name, caught.value.why) == ("ledger-unwritable", "It is no SQLite database.")
    assert isinstance(caught.value.__cause__, DamagedError)


def explained(made: Ledger, error: Exception) -> None:
    with made._explained():
        raise error


def test_an_error_of_sqlite_stops_the_run_and_another_one_is_passed_on(ledger: Ledger) -> None:
    with pytest.raises(MustStop) as caught:
        explained(ledger, sqlite_error(13))
    assert told(caught.value)[:3] == (
        "ledger-unwritable",
        f"The ledger {ledger.path} cannot be written.",
        "The disk is full.",
    )
    for error in (sqlite3.IntegrityError("odd"), sqlite3.ProgrammingError("odd"), ZeroDivisionError("odd")):
        with pytest.raises(type(error), match="odd"):
            explained(ledger, error)
    ledger.close()
    assert ledger.path.exists(), "none of these was damage"


def test_what_broke_a_transaction_is_told_also_where_sqlite_has_rolled_back_already(ledger: Ledger) -> None:
    def break_off() -> None:
        with ledger.transaction():
            ledger.record_finished([folder_of(1)])
            ledger._connection.execute("ROLLBACK")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert ledger.finished("acme") == {}
    ledger.record_finished([folder_of(1)])
    assert len(ledger.finished("acme")) == 1
