"""The ledger's file: size, permissions, durability, and whose ledger it is."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from migrator.core.errors import CannotStart
from migrator.ledger.ledger import Ledger
from tests.unit.ledger.scene import NOW, SOURCE, TARGET, TOTALS, change, folder_of, opened, told


@pytest.mark.parametrize("name", ["organization-{:03}", "an-organization-with-a-long-n-{:02}"], ids=["16", "32"])
def test_ten_million_files_in_a_hundred_organizations_take_less_than_50_megabytes(path: Path, name: str) -> None:
    """That is 4,096 finished folders for each; three organizations stand for a hundred."""
    with opened(path) as made:
        for number in range(3):
            folders = [
                folder_of(k, name.format(number))._replace(newest_ns=int(NOW * 1e9) + k, files=24, bytes=317_187)
                for k in range(4096)
            ]
            for start in range(0, 4096, 256):
                made.record_finished(folders[start : start + 256])
    assert path.stat().st_size / 3 * 100 < 50e6


def test_the_file_and_what_lies_beside_it_are_for_this_user_alone(filled: Path) -> None:
    filled.chmod(0o644)
    with opened(filled) as made:
        made.record_finished([folder_of(1)])
        assert {each.name: each.stat().st_mode & 0o777 for each in filled.parent.iterdir()} == {
            filled.name + suffix: 0o600 for suffix in ("", "-wal", "-shm")
        }
    assert [each.name for each in filled.parent.iterdir()] == [filled.name]


def test_a_new_file_is_for_this_user_alone_from_its_first_byte_and_leftovers_are_no_hindrance(path: Path) -> None:
    for suffix in (".new", ".new-wal", ".new-shm", ".new-journal"):
        path.with_name(path.name + suffix).write_bytes(b"left by a kill")
    before = os.umask(0)
    try:
        opened(path).close()
    finally:
        os.umask(before)
    assert {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()} == {path.name: 0o600}


def test_the_file_is_durable_and_trusts_no_schema(ledger: Ledger) -> None:
    expected = {
        "journal_mode": "wal",
        "synchronous": 2,
        "trusted_schema": 0,
        "cell_size_check": 1,
        "application_id": 0x42794D67,
        "user_version": 1,
    }
    assert {name: ledger._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in expected} == expected
    assert ledger._connection.isolation_level is None, "transactions begin where this module says so"


def test_only_a_writer_waits_for_foreign_programs(path: Path) -> None:
    """In milliseconds, as SQLite tells it."""

    def patience_of(ledger: Ledger | None) -> int:
        assert ledger is not None
        with ledger:
            patience: int = ledger._connection.execute("PRAGMA busy_timeout").fetchone()[0]
        return patience

    identities = {"source_identity": SOURCE, "target_identity": TARGET}
    assert patience_of(opened(path, patience=0.25)) == 250
    assert patience_of(Ledger.open(path, **identities, now=NOW)) == 5000
    assert patience_of(Ledger.open_to_read(path)) == 0


def test_sqlite_makes_no_file_and_writes_none_that_is_read_in_place(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, float]] = []
    connect = sqlite3.connect

    def noting(address: str, *, uri: bool, timeout: float, isolation_level: None) -> sqlite3.Connection:
        assert uri is True, "not every SQLite takes addresses without being told"
        seen.append((address.partition(path.name)[2], timeout))
        return connect(address, uri=uri, timeout=timeout, isolation_level=isolation_level)

    monkeypatch.setattr(sqlite3, "connect", noting)
    opened(path).close()
    for folder in (tmp_path, tmp_path / "missing"):
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        reader = Ledger.open_to_read(path)
        assert reader is not None
        reader.close()
    assert seen == [(".new?mode=rw", 0), ("?mode=rw", 0.1), ("?mode=rw", 0), ("?mode=ro&immutable=1", 0)]


def test_a_new_ledger_is_never_written_into_a_file_that_is_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it came between the look at what is left over and the making."""
    other = path.with_name("other")
    other.write_bytes(b"another's")
    path.with_name(path.name + ".new").symlink_to(other)
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok: None)
    with pytest.raises(CannotStart) as caught:
        opened(path)
    assert told(caught.value)[:3] == ("ledger-unwritable", f"The ledger {path} cannot be written.", "File exists.")
    assert other.read_bytes() == b"another's"


def test_a_path_may_be_relative_and_hold_what_an_address_may_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a?mode=ro#é%20").mkdir()
    monkeypatch.chdir(tmp_path)
    path = Path("a?mode=ro#é%20", "0123456789ab-forth.sqlite3")
    with opened(path) as made:
        made.record_finished([folder_of(1)])
    reader = Ledger.open_to_read(path)
    assert reader is not None
    with reader:
        assert reader.finished("acme") == {"001": folder_of(1)}
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_all_is_there_after_reopening_and_nothing_was_found(filled: Path) -> None:
    with opened(filled) as made:
        assert made.findings == ()
        assert len(made.finished("acme")) == 600
        assert made.runs()[0].totals == TOTALS
        assert len(made.problems("run-1")) == 50
        assert made.abilities("https://s3", NOW) == {"conditional": True}


@pytest.mark.row(68)
@pytest.mark.parametrize(
    "identities", [("disk:/other", TARGET), (SOURCE, "s3://other/{organization}"), (TARGET, SOURCE)]
)
def test_a_ledger_of_other_locations_is_refused_with_both_and_left_as_it_is(
    filled: Path, identities: tuple[str, str]
) -> None:
    before = filled.read_bytes()
    attempts: list[Callable[[], object]] = [
        lambda: opened(filled, *identities),
        lambda: Ledger.open_to_read(filled, source_identity=identities[0], target_identity=identities[1]),
    ]
    for attempt in attempts:
        with pytest.raises(CannotStart) as caught:
            attempt()
        assert told(caught.value) == (
            "ledger-of-other-locations",
            f"The ledger {filled} belongs to {SOURCE} → {TARGET}, not to {identities[0]} → {identities[1]}.",
            "It knows nothing of these locations.",
            "Move it away, or name another folder with --state-dir: only time is lost.",
        )
    assert filled.read_bytes() == before
    assert [each.name for each in filled.parent.iterdir()] == [filled.name]


def test_a_newer_ledger_is_refused_and_left_as_it_is(filled: Path) -> None:
    change(filled, "ALTER TABLE facts ADD COLUMN more TEXT")
    change(filled, "PRAGMA user_version = 2")
    before = filled.read_bytes()
    attempts: list[Callable[[], object]] = [lambda: opened(filled), lambda: Ledger.open_to_read(filled)]
    for attempt in attempts:
        with pytest.raises(CannotStart) as caught:
            attempt()
        assert told(caught.value) == (
            "ledger-newer",
            f"The ledger {filled} was written by a newer bytes-migrator.",
            "Its version is 2; this program knows 1.",
            "Use the newer program, or another folder with --state-dir: only time is lost.",
        )
    assert filled.read_bytes() == before
