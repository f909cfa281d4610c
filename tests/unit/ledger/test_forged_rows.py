"""Rows that were edited or forged are ignored."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from migrator.ledger.record_codec import Sealer, encode
from tests.unit.ledger.scene import RAW_ID, SOURCE, TARGET, change, folder_of, opened


@pytest.mark.row(67)
@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE facts SET body = '[1,2,3,4,5]' WHERE kind = 'finished' AND name = '001'",
        "UPDATE facts SET name = '../../etc' WHERE kind = 'finished' AND name = '001'",
        "UPDATE facts SET owner = 'other' WHERE kind = 'finished' AND name = '001'",
        "UPDATE facts SET body = (SELECT body FROM facts WHERE kind = 'finished' AND name = '002'),"
        " seal = (SELECT seal FROM facts WHERE kind = 'finished' AND name = '002') WHERE kind = 'finished' AND name = '001'",
        "UPDATE facts SET body = CAST(body AS BLOB) WHERE kind = 'finished' AND name = '001'",
        "UPDATE facts SET seal = 5 WHERE kind = 'finished' AND name = '001'",
        "UPDATE facts SET body = CAST(x'ff' AS TEXT) WHERE kind = 'finished' AND name = '001'",
    ],
)
def test_an_edited_row_is_deleted_and_the_others_stay(filled: Path, sql: str) -> None:
    change(filled, sql)
    with opened(filled) as made:
        assert made.findings == ()
        rows = made.finished("acme")
        assert rows == {f"{number:03x}": folder_of(number) for number in range(600) if number != 1}
        assert made.finished("other") == {}
    with closing(sqlite3.connect(filled)) as connection:
        assert connection.execute("SELECT count(*) FROM facts WHERE kind = 'finished'").fetchone()[0] == 599


FORGERIES: list[tuple[str, str, str, object]] = [
    ("finished", "acme", "../", [1, 2, 3, 4, 5]),
    ("finished", "acme", "ABC", [1, 2, 3, 4, 5]),
    ("finished", "acme", "aaaa", [1, 2, 3, 4, 5]),
    ("finished", "acme", "aaa", [1, 2, 3, -4, 5]),
    ("finished", "acme", "aaa", [1, 2, 3, 4]),
    ("finished", "acme", "aaa", [1, 2, 3, 4.0, 5]),
    ("finished", "acme", "aaa", [True, 2, 3, 4, 5]),
    ("finished", "acme", "aaa", {"inode": 1}),
    ("finished", "acme", "aaa", None),
    ("provisional", "acme", "../../etc/passwd", [1, 2, "mark"]),
    ("provisional", "acme", RAW_ID.upper(), [1, 2, "mark"]),
    ("provisional", "acme", RAW_ID, [-1, 2, "mark"]),
    ("provisional", "acme", RAW_ID, [1, 2, "mark\r\nX-Header: 1"]),
    ("provisional", "acme", RAW_ID, [1, 2, ""]),
    ("provisional", "acme", RAW_ID, [1, 2, "x" * 257]),
    ("problem", "run", "000000", ["exploded", "acme", "where", "why", "", 1]),
    ("problem", "run", "000000", ["failed", "acme", "where", "why", "no id", 1]),
    ("problem", "run", "000000", ["failed", "acme", "where", "why", "", -1]),
    ("count", "run", "failed", -1),
    ("count", "run", "exploded", 1),
    ("run", "", "run", ["run", "migrate", "a", "b", "f", "now", None, None, None, {}]),
    ("run", "", "run", ["run", "migrate", "a", "b", "f", 253402300800.0, None, None, None, {}]),
    ("run", "", "run", ["run", "migrate", "a", "b", "f", 1, "now", None, None, {}]),
    ("run", "", "run", ["run", "migrate", "a", "b", "f", 1, None, -1, None, {}]),
    ("run", "", "run", ["run", "migrate", "a", "b", "f", 1, None, None, None, {}, None, None]),
    ("run", "", "run", ["run", "migrate", "a", "b", "f", 10**400, None, None, None, {}]),
    ("run", "", "run", ["run", "migrate", "a", "b", "f", 1, None, None, None, {"acme": {"copied": 3}}]),
    ("run", "", "run", ["run", "migrate", "a", "b", "f", 1, None, None, None, {"acme": {"copied": {"files": -3}}}]),
    ("run", "", "other", ["run", "migrate", "a", "b", "f", 1, None, None, None, {}]),
    ("abilities", "", "url", [1, ["a", "list"]]),
    ("abilities", "", "url", [-1, {}]),
]


@pytest.mark.row(67)
@pytest.mark.parametrize(("kind", "owner", "name", "value"), FORGERIES)
def test_a_forged_row_with_a_true_seal_must_still_have_sense(
    path: Path, kind: str, owner: str, name: str, value: object
) -> None:
    opened(path).close()
    body = encode(value)
    seal = Sealer(SOURCE, TARGET).seal(kind, owner, name, body)
    change(path, "INSERT INTO facts VALUES (?, ?, ?, ?, ?)", kind, owner, name, body, seal)
    with opened(path) as made:
        assert made.finished("acme") == {}
        assert made.provisional("acme") == {}
        assert (made.problems("run"), made.problem_counts("run"), made.runs()) == ([], {}, [])
        assert made.abilities("url", 1) is None


@pytest.mark.parametrize("body", ["[" * 100_000, "9" * 5000, "{", "", "NaN", "[1,2,3,4,NaN]"])
def test_a_forged_body_that_is_hard_to_read_is_ignored(path: Path, body: str) -> None:
    opened(path).close()
    seal = Sealer(SOURCE, TARGET).seal("finished", "acme", "aaa", body)
    change(path, "INSERT INTO facts VALUES ('finished', 'acme', 'aaa', ?, ?)", body, seal)
    with opened(path) as made:
        assert made.finished("acme") == {}


def test_a_seal_is_the_one_of_earlier_versions() -> None:
    """Whatever changes it makes every ledger that is in use forget all."""
    seal = Sealer("disk:/data", "s3://bucket").seal("finished", "acme", "abc", '"1 2 3 4 5"')
    assert seal.hex() == "0c165f822d80e425"


def test_a_row_of_another_ledger_is_ignored(path: Path, filled: Path) -> None:
    other = path.with_name("ba9876543210-forth.sqlite3")
    opened(other, target="s3://another").close()
    change(filled, "ATTACH ? AS other", str(other))
    with closing(sqlite3.connect(filled)) as connection, connection:
        connection.execute("ATTACH ? AS other", (str(other),))
        connection.execute("INSERT INTO other.facts SELECT * FROM main.facts WHERE kind <> 'binding'")
    with opened(other, target="s3://another") as made:
        assert (made.finished("acme"), made.runs(), made.problems("run-1")) == ({}, [], [])
