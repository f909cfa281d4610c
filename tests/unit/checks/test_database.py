"""A database's URI is read as SQLAlchemy reads it for Bytes, and nothing of a password is ever shown."""

from __future__ import annotations

import pytest

from migrator.checks.audit.database import dsn_of, is_dsn
from migrator.core.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("postgresql://u:p@h:5433/d", {"user": "u", "password": "p", "host": "h", "port": "5433", "dbname": "d"}),
        ("postgres://h/d", {"host": "h", "dbname": "d"}),
        ("postgresql+psycopg2://u:p%40%2F%25@h/d", {"user": "u", "password": "p@/%", "host": "h", "dbname": "d"}),
        ("postgresql+asyncpg://u:a/b:c@d@h/d?ssl=require", {
            "user": "u", "password": "a/b:c@d", "host": "h", "dbname": "d", "sslmode": "require"}),
        ("postgresql://u@/d?host=/var/run/postgresql", {"user": "u", "dbname": "d", "host": "/var/run/postgresql"}),
        ("postgresql://u:@/d?host=/tmp/x", {"user": "u", "dbname": "d", "host": "/tmp/x"}),
        ("postgresql://[::1]:5432/d", {"host": "::1", "port": "5432", "dbname": "d"}),
        ("postgresql://a:1,b:2/d?target_session_attrs=any", {
            "host": "a,b", "port": "1,2", "dbname": "d", "target_session_attrs": "any"}),
        ("host=h user=u password='p q'", {"host": "h", "user": "u", "password": "p q"}),
    ],
)  # fmt: skip
def test_what_names_a_database(text: str, parameters: dict[str, str]) -> None:
    assert is_dsn(text)
    assert dict(dsn_of(text, "--database").parameters) == parameters


@pytest.mark.parametrize(
    "text",
    [
        "mysql://u:Passw0rd@h/d",
        "postgresql://u:Passw0rd@h:port/d",
        "postgresql://u:Passw0rd@h:123456/d",
        "hst=h password=Passw0rd",
    ],
)
def test_what_names_none_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        dsn_of(text, "BYTES_DB_URI")
    assert "Passw0rd" not in str(caught.value)
    assert "BYTES_DB_URI" in str(caught.value)


@pytest.mark.parametrize("text", ["rows.csv", "/path/to/rows.csv", "./a folder/rows.csv"])
def test_what_is_a_file(text: str) -> None:
    assert not is_dsn(text)


def test_a_database_prints_no_password() -> None:
    dsn = dsn_of("postgresql://u:Passw0rd@h/d", "--database")
    assert (str(dsn), repr(dsn)) == ("d at h", "d at h")
