"""Damaged ledgers are moved aside by writers and left by readers."""

from __future__ import annotations

import os
import random
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from migrator.core.errors import MustStop
from migrator.core.findings import FindingStatus
from migrator.ledger import database
from migrator.ledger.database import DamagedError
from migrator.ledger.ledger import Ledger
from migrator.ledger.record_codec import Sealer
from tests.unit.ledger.scene import (
    NOW,
    RAW_ID,
    SOURCE,
    TARGET,
    TOTALS,
    begin,
    change,
    copy_of,
    folder_of,
    opened,
    problem_of,
    told,
    tree,
)


def truncate(size: int) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, size)


def patch(offset: int, content: bytes) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(content)

    return apply


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_link(path: Path) -> None:
    path.rename(path.parent.parent / "moved")
    path.symlink_to(path.parent.parent / "moved")


def leave_a_wal_alone(path: Path) -> None:
    path.write_bytes(b"")
    path.with_name(path.name + "-wal").write_bytes(b"\x37\x7f\x06\x82" + bytes(5000))


def misplace_a_row(path: Path) -> None:
    """A key that no longer stands where it belongs, which a quick check does not see."""
    content = path.read_bytes()
    assert content.count(b"finishedacme005") == 1
    path.write_bytes(content.replace(b"finishedacme005", b"finishedacme00f"))


def rebind(body: str) -> Callable[[Path], None]:
    seal = Sealer().seal("binding", "", "locations", body)
    return lambda path: change(path, "UPDATE facts SET body = ?, seal = ? WHERE kind = 'binding'", body, seal)


SHORT, NO_DATABASE = r"It is shorter than any database\.", r"It is no SQLite database\."
NO_LEDGER, OTHER_TABLES = r"It is no ledger of this tool\.", r"Its tables are not those of this version\."
UNBOUND = r"It does not say which locations it belongs to\."
NO_FILE = r"It, or a file beside it, is not a regular file\."
MALFORMED = r"SQLite says: database disk image is malformed\."
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (truncate(0), SHORT),
    "ten bytes": (truncate(10), SHORT),
    "half a page": (truncate(2000), MALFORMED),
    "no last page": (lambda path: os.truncate(path, path.stat().st_size - 4096), MALFORMED),
    "text": (lambda path: path.write_text("not a database\n" * 1000), NO_DATABASE),
    "zeroed": (lambda path: path.write_bytes(bytes(path.stat().st_size)), NO_DATABASE),
    "zeroed page": (patch(4096, bytes(4096)), r"SQLite says: .*[Pp]age 2: btreeInitPage\(\) returns error code 11\."),
    "write version": (patch(18, b"\x03"), NO_DATABASE),
    "read version": (patch(19, b"\x07"), NO_DATABASE),
    "schema format": (patch(44, b"\0\0\0\x09"), NO_LEDGER),
    "encoding": (patch(56, b"\0\0\0\x02"), NO_LEDGER),
    "user version": (patch(60, b"\0\0\0\x07"), OTHER_TABLES),
    "no user version": (patch(60, b"\0\0\0\0"), OTHER_TABLES),
    "application": (patch(68, b"\0\0\0\0"), NO_LEDGER),
    "another's tables": (lambda path: change(path, "CREATE TABLE more (x)"), OTHER_TABLES),
    "a trigger": (
        lambda path: change(path, "CREATE TRIGGER t AFTER INSERT ON facts BEGIN DELETE FROM facts; END"),
        OTHER_TABLES,
    ),
    "no binding": (lambda path: change(path, "DELETE FROM facts WHERE kind = 'binding'"), UNBOUND),
    "edited binding": (
        lambda path: change(path, "UPDATE facts SET body = '[\"a\",\"b\"]' WHERE kind = 'binding'"),
        UNBOUND,
    ),
    "binding in bytes": (
        lambda path: change(path, "UPDATE facts SET body = CAST(body AS BLOB) WHERE kind = 'binding'"),
        UNBOUND,
    ),
    "binding to one place": (rebind('["a"]'), UNBOUND),
    "empty with a foreign WAL": (leave_a_wal_alone, SHORT),
    "only a WAL": (lambda path: path.rename(path.with_name(path.name + "-wal")), r"Its main file was gone\."),
    "a folder": (replace_by_folder, NO_FILE),
    "a link": (replace_by_link, NO_FILE),
    "a side file that is a link": (
        lambda path: path.with_name(path.name + "-wal").symlink_to("/etc/passwd"),
        NO_FILE,
    ),
}
if sqlite3.sqlite_version_info >= (3, 40):  # older ones do not look, and the row is passed over
    DAMAGES["rows out of order"] = (misplace_a_row, r"SQLite says: row not in PRIMARY KEY order for facts\.")


@pytest.mark.row(66)
@pytest.mark.parametrize(("damage", "reason"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_ledger_is_moved_aside_and_made_anew(
    filled: Path, damage: Callable[[Path], object], reason: str
) -> None:
    damage(filled)
    present = {each.name for each in filled.parent.iterdir()}
    with opened(filled) as made:
        (finding,) = made.findings
        assert (finding.name, finding.status) == ("ledger-rebuilt", FindingStatus.WARNING)
        before, _, why = finding.seen.partition(" a new one was made. ")
        assert before == f"The ledger {filled} was damaged and"
        assert re.fullmatch(reason, why)
        assert finding.why == "Both ends are compared in full again."
        assert finding.cure == f"Look at the disk's health; {filled}.corrupt-20260101T000000Z may be deleted.", (
            "also where nothing but a side file is there"
        )
        assert made.finished("acme") == {}
        made.record_finished([folder_of(7)])
    aside = {name.replace(filled.name, f"{filled.name}.corrupt-20260101T000000Z") for name in present}
    left = {each.name for each in filled.parent.iterdir()}
    assert filled.name in left
    assert left - {filled.name} <= aside
    assert any(each.name.partition(".corrupt-")[2] for each in filled.parent.iterdir())
    with opened(filled) as made:
        assert made.findings == ()
        assert made.finished("acme") == {"007": folder_of(7)}


@pytest.mark.parametrize("damage", [damage for damage, _ in DAMAGES.values()], ids=DAMAGES)
def test_a_damaged_ledger_is_none_for_a_reader_and_left_as_it_is(
    filled: Path, damage: Callable[[Path], object]
) -> None:
    damage(filled)
    before = tree(filled.parent)
    reader = Ledger.open_to_read(filled)
    if reader is not None:  # a link's own target, or the ledger beside a WAL that is none, can be read without harm
        with reader:
            assert set(reader.finished("acme").values()) <= {folder_of(number) for number in range(600)}
    assert tree(filled.parent) == before


def header(changes: dict[int, int]) -> bytes:
    """A ledger's first 100 bytes as SQLite leaves them, with some bytes changed."""
    whole = bytearray(100)
    whole[:16] = b"SQLite format 3\0"
    whole[18:20], whole[47], whole[59], whole[68:72] = b"\2\2", 4, 1, b"ByMg"
    for place, byte in changes.items():
        whole[place] = byte
    return bytes(whole)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({18: 1}, None),
        ({19: 1}, None),
        ({47: 1}, None),
        ({16: 1, 20: 9, 40: 9, 48: 9, 60: 9, 72: 9, 99: 9}, None),
        *(({place: byte}, NO_DATABASE) for place, byte in ((0, 1), (15, 1), (18, 0), (18, 3), (19, 0), (19, 3))),
        *(
            ({place: byte}, NO_LEDGER)
            for place, byte in ((47, 0), (47, 5), (44, 1), (59, 0), (59, 2), (68, 0), (71, 0))
        ),
    ],
)
def test_of_a_header_each_field_is_looked_at(tmp_path: Path, changes: dict[int, int], reason: str | None) -> None:
    path = tmp_path / "ledger"
    path.write_bytes(header(changes))
    if reason is None:
        database._check_header(path)
    else:
        with pytest.raises(DamagedError, match=reason):
            database._check_header(path)
    os.truncate(path, 99)
    with pytest.raises(DamagedError, match=SHORT):
        database._check_header(path)


def check_after_damage(path: Path) -> None:
    """Whatever was done to the file: it can be used, and what it says is what was once written."""
    expected = {f"{number:03x}": folder_of(number) for number in range(600)}
    try:
        with opened(path) as made:
            assert made.finished("acme").items() <= expected.items()
            assert set(made.problems("run-1")) <= {problem_of(number) for number in range(50)}
            assert set(made.provisional("acme").values()) <= {copy_of(RAW_ID)}
            assert all(row.run_id == "run-1" and row.totals == TOTALS for row in made.runs())
            assert made.abilities("https://s3", NOW) in (None, {"conditional": True})
            assert made.problem_counts("run-1").items() <= {("failed", 50)}
            begin(made, "run-2", NOW + 1)
            made.record_finished(expected.values())
    except MustStop as stop:
        assert stop.name == "ledger-damaged"  # noqa: PT017  the next opening must then succeed
    with opened(path) as made:
        made.record_finished(expected.values())
        assert made.finished("acme") == expected


@pytest.mark.row(66)
@pytest.mark.many
@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[pytest.mark.slow] if seed >= 50 else []) for seed in range(150)]
)
def test_random_damage_never_shows_as_something_that_was_not_written(filled: Path, seed: int) -> None:
    dice = random.Random(seed)
    victim = filled
    if seed % 3 == 0:  # the state that a kill leaves, with the WAL beside the file
        made = opened(filled)
        made.record_finished(folder_of(number) for number in range(600))
        for suffix in ("", "-wal", "-shm"):
            shutil.copy(filled.with_name(filled.name + suffix), filled.parent.parent / (filled.name + suffix))
        made.close()
        filled = filled.parent.parent / filled.name
        victim = filled.with_name(filled.name + dice.choice(["", "-wal", "-wal", "-shm"]))
    content = bytearray(victim.read_bytes())
    for _ in range(dice.choice([1, 1, 3, 30])):
        match dice.randrange(5):
            case 0:
                content = content[: dice.randrange(len(content) + 1)]
            case 1 if content:
                start = dice.randrange(len(content))
                content[start : start + 512] = dice.randbytes(len(content[start : start + 512]))
            case _ if content:
                content[dice.randrange(min(len(content), dice.choice([100, len(content)])))] = dice.randrange(256)
    victim.write_bytes(content)
    before = tree(victim.parent)
    reader = Ledger.open_to_read(filled)
    if reader is not None:
        with reader:
            assert set(reader.finished("acme").values()) <= {folder_of(number) for number in range(600)}
    assert tree(victim.parent) == before
    check_after_damage(filled)


def test_damage_while_it_is_in_use_stops_the_run_and_the_next_one_goes_on(filled: Path) -> None:
    made = opened(filled)
    made._connection.execute("PRAGMA cache_size = 0")
    with filled.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (filled.stat().st_size - 4096))
    with pytest.raises(MustStop) as caught, made:
        made.finished("acme")
    assert told(caught.value) == (
        "ledger-damaged",
        f"The ledger {filled} was damaged while it was in use.",
        "database disk image is malformed",
        "Rerun: a new one is made from both ends.",
    )
    assert [each.name for each in filled.parent.iterdir()] == [f"{filled.name}.corrupt-20260101T000000Z"]
    with opened(filled) as made:
        assert made.finished("acme") == {}


def test_only_the_one_who_writes_moves_a_damaged_ledger_aside(filled: Path) -> None:
    reader = Ledger.open_to_read(filled)
    assert reader is not None
    reader._is_damaged = True
    reader.close()
    database.open_to_write(filled, (SOURCE, TARGET), NOW, 0.1).close()
    assert [each.name for each in filled.parent.iterdir()] == [filled.name]


def test_a_damaged_ledger_that_cannot_be_moved_aside_is_closed_all_the_same(filled: Path) -> None:
    made = opened(filled)
    made._is_damaged = True
    filled.parent.rename(filled.parent.parent / "moved away")
    made.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        made._connection.execute("BEGIN")


@pytest.mark.parametrize("offset", [-9, 3, 7, 12, 34, 59, 99])
def test_a_schema_that_is_no_text_is_damage(offset: int, tmp_path: Path) -> None:
    """SQLite's message about it quotes bytes that Python cannot decode, and raises another error for that."""
    path = tmp_path / "ledger.sqlite3"
    with Ledger.open(path, source_identity="a", target_identity="b", now=1.0):
        pass
    content = bytearray(path.read_bytes())
    content[content.index(b"CREATE TABLE") + offset] = 0xCC
    path.write_bytes(content)
    assert Ledger.open_to_read(path) is None
    with Ledger.open(path, source_identity="a", target_identity="b", now=2.0) as made:
        assert [finding.name for finding in made.findings] == ["ledger-rebuilt"]
