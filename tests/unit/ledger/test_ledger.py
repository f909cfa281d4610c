"""The ledger: what it keeps, what it never believes, and how it survives kills, damage and full disks."""

from __future__ import annotations

import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from migrator.core.entities import FinishedFolder, ProvenShard, Provisional, RawId, UnfinishedUpload
from migrator.core.errors import CannotStart, MigratorError, MustStop
from migrator.core.outcomes import FindingStatus, NoticeKind, Outcome, Problem
from migrator.core.tally import Tally
from migrator.ledger import database, records
from migrator.ledger import ledger as ledger_module
from migrator.ledger.database import INSERT, SCHEMA, DamagedError, is_damage
from migrator.ledger.ledger import Ledger
from migrator.ledger.records import PROBLEM_KINDS, Sealer, encode
from tests.passes import finished_folder

SOURCE, TARGET = "disk:/data", "s3://bucket/{organization}"
NOW = 1_767_225_600.0
TOTALS = {"acme": {"copied": {"files": 3, "bytes": 30}}}
RAW_ID = RawId("abc00000-0000-4000-8000-000000000001")

WRITER = """
import itertools, sys
from pathlib import Path
from migrator.ledger.ledger import Ledger
from tests.passes import finished_folder
ledger = Ledger.open(Path(sys.argv[1]), source_identity=sys.argv[2], target_identity=sys.argv[3], now=1.0)
for n in itertools.count():
    ledger.record_finished(finished_folder(f"org{n}", f"{k:03x}", k)._replace(files=n) for k in range(256))
    print(n, flush=True)
"""

LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


def opened(path: Path, source: str = SOURCE, target: str = TARGET, patience: float = 0.1) -> Ledger:
    return Ledger.open(path, source_identity=source, target_identity=target, now=NOW, patience=patience)


def folder_of(number: int, organization: str = "acme") -> FinishedFolder:
    return finished_folder(organization, f"{number:03x}", number)


def problem_of(number: int, kind: str = "failed") -> Problem:
    return Problem(kind, "acme", f"/data/acme/abc/{number}", "Permission denied", RAW_ID, number)


def copy_of(raw_id: str, organization: str = "acme", mark: str = "etag-1") -> Provisional:
    return Provisional(organization, RawId(raw_id), 5, 17 * 10**17, mark)


def begin(ledger: Ledger, run_id: str, started_at: float) -> None:
    ledger.begin_run(run_id, "migrate", "disk", "s3", settings_fingerprint="f00", started_at=started_at)


def tree(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    paths = [folder, *folder.rglob("*")]
    stats = {str(path): (path.stat(), path.read_bytes() if path.is_file() else b"") for path in paths}
    return {name: (each.st_ino, each.st_size, each.st_mtime_ns, content) for name, (each, content) in stats.items()}


def told(error: MigratorError) -> tuple[str, str, str, str]:
    """All that an operator reads of it."""
    return error.name, error.what, error.why, error.cure


def change(path: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql, values)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state" / "0123456789ab-forth.sqlite3"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with opened(path) as made:
        yield made


@pytest.fixture
def filled(path: Path) -> Path:
    with opened(path) as made:
        begin(made, "run-1", NOW)
        made.save_progress("run-1", TOTALS, NOW + 5)
        made.record_finished(folder_of(number) for number in range(600))
        made.record_provisional([copy_of(RAW_ID)])
        made.record_problems("run-1", [problem_of(number) for number in range(50)])
        made.save_abilities("https://s3", {"conditional": True}, NOW)
    return path


# What is kept


def test_a_shards_finished_folders_are_those_of_its_prefix(ledger: Ledger) -> None:
    every = [folder_of(number) for number in range(0, 4096, 5)]
    ledger.record_finished([*every, folder_of(0xABC, "acme-2"), folder_of(0xABC, "acm")])
    for prefix in ("", "a", "f", "ab", "0", "abc", "abe"):
        expected = {folder.prefix: folder for folder in every if folder.prefix.startswith(prefix)}
        assert ledger.finished("acme", prefix) == expected
    assert ledger.finished("unknown") == {}


def test_recording_a_folder_again_replaces_what_was_known(ledger: Ledger) -> None:
    ledger.record_finished([folder_of(1)])
    newer = folder_of(1)._replace(files=99)
    ledger.record_finished([newer])
    assert ledger.finished("acme") == {"001": newer}


def test_single_folders_can_be_forgotten(ledger: Ledger) -> None:
    ledger.record_finished([folder_of(1), folder_of(2), folder_of(1, "b-2")])
    ledger.forget_folders([("acme", "001"), ("acme", "fff"), ("unknown", "001")])
    assert ledger.finished("acme") == {"002": folder_of(2)}
    assert ledger.finished("b-2") == {"001": folder_of(1, "b-2")}


@pytest.mark.parametrize(("organization", "left"), [("acme", ["b-2"]), (None, []), ("b", ["acme", "b-2"])])
def test_finished_folders_can_be_forgotten(ledger: Ledger, organization: str | None, left: list[str]) -> None:
    ledger.record_finished([folder_of(1, "acme"), folder_of(1, "b-2")])
    ledger.forget_finished(organization)
    assert [each for each in ("acme", "b-2") if ledger.finished(each)] == left


def test_provisional_copies_are_kept_until_they_are_settled(ledger: Ledger) -> None:
    one, two = copy_of(RAW_ID), copy_of("abd00000-0000-4000-8000-000000000001", version="x" * 256)
    ledger.record_provisional([one, two, copy_of(RAW_ID, "other")])
    assert ledger.provisional("acme") == {one.raw_id: one, two.raw_id: two}
    assert ledger.provisional("acme", "abc") == {one.raw_id: one}
    ledger.settle_provisional([("acme", one.raw_id), ("acme", RawId("never there"))])
    assert ledger.provisional("acme") == {two.raw_id: two}
    assert ledger.provisional("other").keys() == {RAW_ID}


def test_a_run_is_told_from_its_beginning_to_its_end(ledger: Ledger) -> None:
    begin(ledger, "run-1", NOW)
    (row,) = ledger.runs()
    assert (row.run_id, row.command, row.source, row.target) == ("run-1", "migrate", "disk", "s3")
    assert (row.settings_fingerprint, row.started_at) == ("f00", NOW)
    assert (row.progress_at, row.ended_at, row.exit_status, row.totals) == (None, None, None, {})
    totals = {"acme": Tally().as_dict()}
    ledger.save_progress("run-1", totals, NOW + 1)
    assert (ledger.runs()[0].progress_at, ledger.runs()[0].totals, ledger.runs()[0].ended_at) == (NOW + 1, totals, None)
    ledger.end_run("run-1", exit_status=1, ended_at=NOW + 2, totals=TOTALS)
    assert (ledger.runs()[0].exit_status, ledger.runs()[0].ended_at, ledger.runs()[0].totals) == (1, NOW + 2, TOTALS)
    ledger.save_progress("unknown", TOTALS, NOW)
    assert len(ledger.runs()) == 1


def test_the_last_hundred_runs_are_kept_newest_first_and_problems_of_the_last_ten(ledger: Ledger) -> None:
    for number in range(105):
        begin(ledger, f"run-{number}", NOW + number)
        ledger.record_problems(f"run-{number}", [problem_of(number)])
        ledger.save_report(f"run-{number}", {"number": number})
    assert [row.run_id for row in ledger.runs()] == [f"run-{number}" for number in range(104, 4, -1)]
    assert [row.run_id for row in ledger.runs(2)] == ["run-104", "run-103"]
    assert [number for number in range(105) if ledger.problems(f"run-{number}")] == list(range(95, 105))
    assert [number for number in range(105) if ledger.problem_counts(f"run-{number}")] == list(range(5, 105))
    assert [number for number in range(105) if ledger.report(f"run-{number}")] == list(range(5, 105))
    assert [number for number in range(105) if ledger.run(f"run-{number}")] == list(range(5, 105))


def test_a_clock_that_was_set_back_does_not_lose_the_new_run(ledger: Ledger) -> None:
    for number in range(101):
        begin(ledger, f"run-{number}", NOW + number)
    begin(ledger, "late", 1.0)
    ledger.save_progress("late", TOTALS, 2.0)
    assert len(ledger.runs(1000)) == 100
    assert ledger.runs(1000)[-1].run_id == "late"
    assert ledger.runs(1000)[-1].progress_at == 2.0


@pytest.mark.parametrize("kind", [kind.value for kind in (*Outcome, *NoticeKind)])
def test_every_kind_of_problem_is_kept_whatever_its_text(ledger: Ledger, kind: str) -> None:
    problem = Problem(kind, "gemeente-éé", "/data/\udcff\x00\n'; --", "市 \U0001f600", "", 2**70)
    ledger.record_problems("run", [problem, problem_of(1)])
    assert ledger.problems("run") == [problem, problem_of(1)]
    assert kind in PROBLEM_KINDS


def test_problems_come_in_order_and_in_pages(ledger: Ledger) -> None:
    problems = [problem_of(number, "conflict" if number % 3 else "failed") for number in range(1100)]
    for start in range(0, 1100, 100):
        ledger.record_problems("run", problems[start : start + 100])
    assert ledger.problems("run") == problems
    assert ledger.problems("run", limit=20, offset=990) == problems[990:1010]
    assert ledger.problem_counts("run") == {"failed": 367, "conflict": 733}
    assert ledger.problems("ru") == ledger.problems("run2") == []


def test_beyond_the_bound_problems_are_counted_and_not_kept(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ledger_module.KEPT_PROBLEMS == 100_000
    bound = 1200
    monkeypatch.setattr(ledger_module, "KEPT_PROBLEMS", bound)
    ledger.record_problems("run", (problem_of(number) for number in range(bound - 1)))
    ledger.record_problems("run", (problem_of(number, "stray") for number in range(500)))
    ledger.record_problems("run", [problem_of(0)])
    assert ledger.problem_counts("run") == {"failed": bound, "stray": 500}
    assert [problem.kind for problem in ledger.problems("run", offset=bound - 2)] == ["failed", "stray"]


@pytest.mark.parametrize(("age", "is_known"), [(0, True), (86400, True), (86400.5, False), (-1, False), (1e9, False)])
def test_abilities_are_known_for_a_day(ledger: Ledger, age: float, is_known: bool) -> None:
    abilities: dict[str, object] = {"conditional": True, "etag_is_md5": False, "note": ["é", None]}
    ledger.save_abilities("https://s3.example/é", abilities, NOW)
    assert ledger.abilities("https://s3.example/é", NOW + age) == (abilities if is_known else None)
    assert ledger.abilities("https://s3.example/", NOW) is None


def test_a_transaction_is_kept_as_a_whole_or_not_at_all(path: Path, ledger: Ledger) -> None:
    ledger.record_provisional([copy_of(RAW_ID)])

    def event(settled: Iterator[tuple[str, RawId]]) -> None:
        with ledger.transaction():
            ledger.record_finished([folder_of(1)])
            ledger.record_problems("run", [problem_of(1)])
            ledger.settle_provisional(settled)

    with pytest.raises(ZeroDivisionError):
        event(("acme", RAW_ID) for each in (1, 0) if 1 / each)
    assert (ledger.finished("acme"), ledger.problems("run"), len(ledger.provisional("acme"))) == ({}, [], 1)
    with ledger.transaction():
        ledger.record_finished([folder_of(1)])
        ledger.settle_provisional([("acme", RAW_ID)])
        reader = Ledger.open_to_read(path)
        assert reader is not None
        with reader:
            assert reader.finished("acme") == {}
    assert (len(ledger.finished("acme")), ledger.provisional("acme")) == (1, {})


@pytest.mark.parametrize("body", [[5, 17 * 10**17, 18 * 10**17, 1, 2], "5 1797a2d0 3b 1 2"], ids=["list", "text"])
def test_a_ledger_of_an_earlier_version_is_known_and_goes_on(path: Path, body: object) -> None:
    """Its folders count as unfinished once: their times do not tell that a file in them was written to."""
    older, newer = folder_of(1), folder_of(2)
    with opened(path) as made:
        made.record_finished([newer])
        made.record_provisional([copy_of(RAW_ID)])
    row = ("finished", "acme", older.prefix, encode(body))
    change(path, INSERT, *row, Sealer(SOURCE, TARGET).seal(*row))
    with opened(path) as made:
        assert made.findings == ()
        assert made.finished("acme") == {newer.prefix: newer}
        assert list(made.provisional("acme")) == [RAW_ID]
        made.record_finished([older])
        assert made.finished("acme") == {older.prefix: older, newer.prefix: newer}


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


# The file


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
            "What it calls finished was never looked at here.",
            "Move the file away, or name another folder with --state-dir: nothing but time is lost.",
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
            "Use the newer bytes-migrator, or start a ledger elsewhere with --state-dir: nothing but time is lost.",
        )
    assert filled.read_bytes() == before


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
        assert finding.why == "Nothing but time is lost: both ends are compared again in full."
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
@pytest.mark.parametrize("seed", range(150))
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
        "Run the same command again: it makes a new one from what lies at both ends.",
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


# Tampering


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


# Reading beside a run


def test_a_reader_writes_nothing_beside_a_closed_ledger(filled: Path) -> None:
    before = tree(filled.parent)
    reader = Ledger.open_to_read(filled, source_identity=SOURCE, target_identity=TARGET)
    assert reader is not None
    with reader:
        assert (reader.path, reader.source_identity, reader.target_identity) == (filled, SOURCE, TARGET)
        assert len(reader.finished("acme")) == 600
        assert reader.runs()[0].run_id == "run-1"
    assert tree(filled.parent) == before


def test_a_reader_sees_what_a_running_run_committed_and_disturbs_nothing(filled: Path) -> None:
    with opened(filled) as made:
        made.record_finished([folder_of(4000)])
        before = tree(filled.parent)
        reader = Ledger.open_to_read(filled)
        assert reader is not None
        with reader:
            assert len(reader.finished("acme")) == 601
            assert tree(filled.parent) == before
            made.record_finished([folder_of(4001)])
            assert len(reader.finished("acme")) == 601
        assert len(made.finished("acme")) == 602


def test_a_reader_leaves_unsound_rows_where_they_are(filled: Path) -> None:
    change(filled, "UPDATE facts SET body = '[]' WHERE kind = 'finished' AND name = '001'")
    before = tree(filled.parent)
    reader = Ledger.open_to_read(filled)
    assert reader is not None
    with reader:
        assert len(reader.finished("acme")) == 599
    assert tree(filled.parent) == before


def test_a_reader_removes_its_copy(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    reader = Ledger.open_to_read(filled)
    assert reader is not None
    assert [each.stat().st_mode & 0o777 for each in (tmp_path / "tmp").iterdir()] == [0o700]
    reader.close()
    with pytest.raises(CannotStart):
        Ledger.open_to_read(filled, source_identity="other")
    os.truncate(filled, 3000)
    assert Ledger.open_to_read(filled) is None
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_reader_in_place_leaves_unsound_rows_too(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(filled, "UPDATE facts SET body = '[]' WHERE kind = 'finished' AND name = '001'")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    reader = Ledger.open_to_read(filled)
    assert reader is not None
    with reader:
        assert len(reader.finished("acme")) == 599


def during_copies(monkeypatch: pytest.MonkeyPatch, *events: Callable[[], object]) -> list[str]:
    """What happens after each file that is copied, first to last; answers the copied files' suffixes as they come."""
    copy, seen, left = shutil.copyfile, list[str](), iter(events)

    def copyfile(source: Path, target: Path) -> None:
        seen.append(source.suffix)
        copy(source, target)
        next(left, lambda: None)()

    monkeypatch.setattr(shutil, "copyfile", copyfile)
    return seen


def test_a_copy_goes_on_while_the_wal_grows_and_begins_anew_where_it_may_be_torn(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main, wal = ".sqlite3", ".sqlite3-wal"
    made = opened(filled)
    made.record_finished([folder_of(4000)])

    def begin_a_new_wal() -> None:
        nonlocal made
        made.close()
        made = opened(filled)
        made.record_finished([folder_of(4001)])

    def end_the_run() -> None:
        made.close()

    cases: list[tuple[Callable[[], object], list[str], int]] = [
        (lambda: made.record_provisional([copy_of(RAW_ID, "more")]), [main, wal], 601),
        (begin_a_new_wal, [main, wal, main, wal], 602),
        (end_the_run, [main, wal, main], 602),
        (lambda: os.utime(filled, (1, 1)), [main, main], 602),
    ]
    for event, copied, known in cases:
        with monkeypatch.context() as patched:
            seen = during_copies(patched, event)
            reader = Ledger.open_to_read(filled)
        assert reader is not None
        with reader:
            assert reader._file.copy is not None, "not read in place"
            assert (seen, len(reader.finished("acme"))) == (copied, known)


def test_a_reader_tries_five_times(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torn, full = DamagedError("It changed while it was copied."), OSError(28, "No space left on device")
    sound = database._open_copy
    attempts: Iterator[Exception] = iter(())

    def attempt(path: Path) -> database.LedgerDatabase:
        for error in attempts:
            raise error
        return sound(path)

    monkeypatch.setattr(database, "_open_copy", attempt)
    for errors in ([], [torn], [torn] * 4, [full] * 4):
        attempts = iter(errors)
        reader = Ledger.open_to_read(filled)
        assert reader is not None
        reader.close()
    for errors in ([torn] * 5, [full] * 4 + [torn]):
        attempts = iter([*errors, full])
        assert Ledger.open_to_read(filled) is None
        assert list(attempts) == [full]
    attempts = iter([torn] * 4 + [full])
    with pytest.raises(CannotStart) as caught:
        Ledger.open_to_read(filled)
    assert told(caught.value) == (
        "ledger-unreadable",
        f"The ledger {filled} cannot be read.",
        "No space left on device.",
        "Give it rights, and room for a copy in TMPDIR, or keep the state elsewhere with --state-dir;"
        " then run the same command again.",
    )


def test_a_copy_that_is_not_sound_says_why(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    during_copies(monkeypatch, lambda: os.utime(filled, (1, 1)))
    with pytest.raises(DamagedError, match=r"\AIt changed while it was copied\.\Z"):
        database._open_copy(filled)
    os.truncate(filled, 2000)
    with pytest.raises(DamagedError, match=r"\Adatabase disk image is malformed\Z"):
        database._open_copy(filled)


def test_of_a_copy_that_does_not_fit_nothing_is_left(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    names: list[str] = []

    def copyfile(source: Path, target: Path) -> None:
        names.append(target.parent.name)
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", copyfile)
    reader = Ledger.open_to_read(filled)
    assert reader is not None
    with reader:
        assert len(reader.finished("acme")) == 600
    assert len(names) == 1
    assert names[0].startswith("bytes-migrator-")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_without_room_for_a_copy_a_quiet_ledger_is_read_in_place(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    before = tree(filled.parent)
    reader = Ledger.open_to_read(filled)
    assert reader is not None
    with reader:
        assert len(reader.finished("acme")) == 600
    assert tree(filled.parent) == before


def test_without_room_for_a_copy_a_ledger_in_use_is_not_half_read(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with opened(filled) as made:
        made.record_finished([folder_of(4000)])
        with pytest.raises(CannotStart, match="TMPDIR") as caught:
            Ledger.open_to_read(filled)
    assert caught.value.name == "ledger-unreadable"
    assert caught.value.why == "No such file or directory."


@pytest.mark.parametrize("place", ["missing", "missing/ledger", "."])
def test_where_there_is_no_ledger_there_is_nothing_to_read(tmp_path: Path, place: str) -> None:
    assert Ledger.open_to_read(tmp_path / place) is None
    assert list(tmp_path.iterdir()) == []


def in_child(action: Callable[[], None], *, is_root: bool = True) -> int:
    """Run it in a child, which may be without root's rights; 0 if it went well."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        if not is_root and os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        action()
    except BaseException as error:
        os.write(2, f"{error!r}\n".encode())
        os._exit(1)
    os._exit(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody can reach, unlike pytest's."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("suffixes", [("",), ("", "-wal"), ("", "-wal", "-shm")])
def test_a_reader_needs_no_right_to_write(filled: Path, open_folder: Path, suffixes: tuple[str, ...]) -> None:
    copy = open_folder / filled.name
    with opened(filled) as made:
        made.record_finished([folder_of(4000)])
        if suffixes == ("",):
            made.close()
        for suffix in suffixes:
            shutil.copyfile(filled.with_name(filled.name + suffix), copy.with_name(copy.name + suffix))
            copy.with_name(copy.name + suffix).chmod(0o444)
    open_folder.chmod(0o555)

    def read() -> None:
        tempfile.tempdir = "/tmp"
        reader = Ledger.open_to_read(copy)
        assert reader is not None
        assert len(reader.finished("acme")) == 601
        reader.close()

    assert in_child(read, is_root=False) == 0


def test_a_ledger_that_may_not_be_read_or_written_is_told(filled: Path, open_folder: Path) -> None:
    copy = open_folder / filled.name
    shutil.copyfile(filled, copy)

    def attempt(action: Callable[[], object], name: str) -> Callable[[], None]:
        def run() -> None:
            with pytest.raises(CannotStart) as caught:
                action()
            assert caught.value.name == name

        return run

    copy.chmod(0o000)
    assert in_child(attempt(lambda: Ledger.open_to_read(copy), "ledger-unreadable"), is_root=False) == 0
    copy.chmod(0o444)
    assert in_child(attempt(lambda: opened(copy), "ledger-unwritable"), is_root=False) == 0
    assert in_child(attempt(lambda: opened(open_folder / "new"), "ledger-unwritable"), is_root=False) == 0
    assert [each.name for each in open_folder.iterdir()] == [copy.name]


# Kills, full disks, foreign programs


def writer_of(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITER, path, SOURCE, TARGET], stdout=subprocess.PIPE, text=True)


@pytest.mark.row(1)
@pytest.mark.parametrize("acknowledged", [0, 3, 20])
def test_what_a_killed_writer_acknowledged_is_there(path: Path, acknowledged: int) -> None:
    with writer_of(path) as writer:
        assert writer.stdout is not None
        for number in range(acknowledged + 1):
            assert writer.stdout.readline() == f"{number}\n"
        reader = Ledger.open_to_read(path)
        os.kill(writer.pid, signal.SIGKILL)
    assert path.with_name(path.name + "-wal").exists()
    if reader is not None:  # None where the writer was faster than every attempt to copy
        with reader:
            assert len(reader.finished(f"org{acknowledged}")) == 256
    with opened(path) as made:
        assert made.findings == ()
        for number in range(acknowledged + 1):
            rows = made.finished(f"org{number}")
            assert len(rows) == 256
            assert rows["0ff"].files == number


def fill_up(made: Ledger) -> tuple[MustStop, int]:
    """Record organizations until that is refused; how, and after how many."""
    for number in range(10_000):
        try:
            with made.transaction():
                made.record_finished(folder_of(each, f"org{number}") for each in range(100))
        except MustStop as stop:
            return stop, number
    pytest.fail("this disk is too large")


@pytest.mark.row(69)
@pytest.mark.parametrize("limit", [200_000, 1_000_000])
def test_a_full_disk_stops_the_run_with_what_was_done_intact(path: Path, limit: int) -> None:
    opened(path).close()

    def fill() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        made = opened(path)
        stop, done = fill_up(made)
        assert (stop.name, stop.why) == ("ledger-unwritable", "Reading or writing the disk failed.")
        assert done > 0
        assert len(made.finished(f"org{done - 1}")) == 100
        made.close()
        (path.parent / "done").write_text(str(done))

    assert in_child(fill) == 0
    done = int((path.parent / "done").read_text())
    with opened(path) as made:
        assert made.findings == ()
        assert [len(made.finished(f"org{number}")) for number in range(done)] == [100] * done
        assert made.finished(f"org{done}") == {}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("may not mount here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_disk_without_space_is_named_as_the_cause(small_disk: Path) -> None:
    path = small_disk / "0123456789ab-forth.sqlite3"
    with opened(path) as made:
        stop, done = fill_up(made)
        assert (stop.name, stop.why) == ("ledger-unwritable", "The disk is full.")
        assert done > 0
        assert [len(made.finished(f"org{number}")) for number in range(done + 1)] == [100] * done + [0]


def test_no_space_for_a_new_ledger_is_told_and_leaves_none(small_disk: Path) -> None:
    with (small_disk / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
        while ballast.write(bytes(4096)):
            pass
    path = small_disk / "0123456789ab-forth.sqlite3"
    with pytest.raises(CannotStart) as caught:
        opened(path)
    assert (caught.value.name, caught.value.why) == ("ledger-unwritable", "The disk is full.")
    assert not path.exists()
    (small_disk / "ballast").unlink()
    with opened(path) as made:
        assert made.findings == ()


@pytest.mark.row(69)
def test_a_read_only_disk_can_be_read_and_not_written(small_disk: Path) -> None:
    path = small_disk / "0123456789ab-forth.sqlite3"
    with opened(path) as made:
        made.record_finished([folder_of(1)])
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(CannotStart) as caught:
        opened(path)
    assert caught.value.name == "ledger-unwritable"
    reader = Ledger.open_to_read(path)
    assert reader is not None
    with reader:
        assert reader.finished("acme") == {"001": folder_of(1)}


@pytest.mark.row(69)
@pytest.mark.parametrize("when", ["before opening", "while open"])
def test_a_foreign_program_that_holds_the_file_is_named_as_the_cause(filled: Path, when: str) -> None:
    made = opened(filled) if when == "while open" else None
    with subprocess.Popen(
        [sys.executable, "-c", LOCKER, filled], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as locker:
        assert locker.stdout is not None
        assert locker.stdout.readline() == "held\n"
        with pytest.raises((CannotStart, MustStop), match="Another program") as caught:
            made.record_finished([folder_of(1)]) if made else opened(filled)
        locker.kill()
    assert caught.value.name == "ledger-unwritable"
    if made:
        made.record_finished([folder_of(4000)])
        made.close()
    with opened(filled) as again:
        assert again.findings == ()
        assert len(again.finished("acme")) == (601 if made else 600)


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


# --- uploads, proofs and reports -------------------------------------------------------------------------------------


def upload_of(raw_id: str = RAW_ID, organization: str = "acme", upload_id: str = "u1") -> UnfinishedUpload:
    return UnfinishedUpload(
        organization, RawId(raw_id), "bucket", f"{organization}/{raw_id}", upload_id, 8 << 20, "stamp", NOW
    )


def test_uploads_are_known_by_shard_until_they_are_forgotten(path: Path) -> None:
    later = upload_of("abd00000-0000-4000-8000-000000000002")
    with opened(path) as made:
        for each in (later, upload_of(), upload_of(organization="b é\n")):
            made.record_upload(each)
    with opened(path) as again:
        assert again.uploads("acme") == (upload_of(), later), "ascending"
        assert again.uploads("acme", "abc") == (upload_of(),)
        assert again.uploads("acme", "f") == again.uploads("nobody") == ()
        assert again.all_uploads() == (upload_of(), later, upload_of(organization="b é\n"))
        again.record_upload(upload_of(upload_id="u2"))
        assert again.uploads("acme", "abc") == (upload_of(upload_id="u2"),), "one for each raw file"
        again.forget_upload(later)
        assert again.all_uploads() == (upload_of(upload_id="u2"), upload_of(organization="b é\n"))


@pytest.mark.row(67)
@pytest.mark.parametrize("owner", ['"', "\\u0061cme", "a\nb", b"acme", b"\xff", "[]"])
def test_uploads_of_an_owner_that_cannot_be_are_not_there(path: Path, owner: str | bytes) -> None:
    with opened(path) as made:
        made.record_upload(upload_of())
    change(path, "INSERT INTO facts SELECT kind, ?, name, body, seal FROM facts WHERE kind = 'upload'", owner)
    with opened(path) as again:
        assert again.all_uploads() == (upload_of(),)


@pytest.mark.parametrize(
    "body",
    [
        ["bucket", f"acme/{RAW_ID}", "u1", 0, "stamp", NOW],
        ["bucket", f"acme/{RAW_ID}", "u1", -1, "stamp", NOW],
        ["bucket", "acme/another", "u1", 8, "stamp", NOW],
        ["bucket", f"acme/{RAW_ID}", "u1", 8, "stamp", -1.0],
        ["bucket", f"acme/{RAW_ID}", "u1", 8, "stamp", "now"],
        ["bucket", f"acme/{RAW_ID}", None, 8, "stamp", NOW],
        ["bucket", f"acme/{RAW_ID}", "u1", 8, "stamp"],
        "text",
    ],
)
def test_an_upload_that_cannot_be_is_none(body: object) -> None:
    assert records.read_upload("acme", RAW_ID, body) is None
    assert records.read_upload("acme", "no-id", ["bucket", "acme/no-id", "u1", 8, "stamp", NOW]) is None
    assert records.read_upload("acme", RAW_ID, records.upload_body(upload_of())) == upload_of()
    assert records.read_upload("acme", RAW_ID, records.upload_body(upload_of()._replace(part_size=1))) is not None


def test_what_a_verification_has_proven_is_known_by_shard_until_it_is_forgotten(path: Path) -> None:
    one, other = (ProvenShard("acme", prefix, "key", "state", NOW, "sheet") for prefix in ("", "abc"))
    with opened(path) as made:
        made.record_proven([one, other])
        made.record_finished([folder_of(1)])
    with opened(path) as again:
        assert again.proven("acme", "") == one
        assert again.proven("acme", "abc") == other
        assert again.proven("acme", "ab") is again.proven("b", "") is None
        again.forget_proven()
        assert again.proven("acme", "") is again.proven("acme", "abc") is None
        assert again.finished("acme"), "of another kind"


@pytest.mark.parametrize(
    ("prefix", "body"),
    [
        ("abcd", ["key", "state", NOW, ""]),
        ("xyz", ["key", "state", NOW, ""]),
        ("abc", ["key", "state", -1.0, ""]),
        ("abc", ["key", "state", NOW]),
        ("abc", ["key", 1, NOW, ""]),
        ("abc", None),
    ],
)
def test_a_proof_that_cannot_be_is_none(prefix: str, body: object) -> None:
    assert records.read_proven("acme", prefix, body) is None
    assert records.read_proven("acme", "abc", ["key", "state", 0, ""]) == ProvenShard("acme", "abc", "key", "state", 0)


def test_a_report_is_kept_with_its_run(ledger: Ledger) -> None:
    begin(ledger, "run-1", NOW)
    assert ledger.report("run-1") is None
    ledger.save_report("run-1", {"settle": 30, "name": "é\n"})
    assert ledger.report("run-1") == {"settle": 30, "name": "é\n"}
    assert ledger.report("run-2") is None
    assert records.read_report("run-1", ["no", "report"]) is None


def test_a_run_is_found_by_its_id_with_how_far_it_came(ledger: Ledger) -> None:
    begin(ledger, "run-1", NOW)
    begin(ledger, "run-2", NOW + 1)
    ledger.save_progress("run-1", TOTALS, NOW + 5, (10, 100, False))
    found = ledger.run("run-1")
    assert found is not None
    assert (found.run_id, found.progress_at, found.totals, found.expected) == (
        "run-1",
        NOW + 5,
        TOTALS,
        (10, 100, False),
    )
    ledger.end_run("run-1", exit_status=0, ended_at=NOW + 6, totals=TOTALS)
    ended = ledger.run("run-1")
    assert ended is not None
    assert (ended.exit_status, ended.ended_at, ended.expected) == (0, NOW + 6, (10, 100, False))
    other = ledger.run("run-2")
    assert other is not None
    assert (other.progress_at, other.exit_status, other.expected) == (None, None, None)
    assert ledger.run("run-3") is None
    begin(ledger, "run-30", NOW)
    assert ledger.run("run-3") is None, "its name only begins alike"


def test_problems_of_one_run_are_forgotten_and_no_others(ledger: Ledger) -> None:
    for run_id in ("run-1", "run-2"):
        begin(ledger, run_id, NOW)
        ledger.record_problems(run_id, [problem_of(1)])
    ledger.forget_problems("run-1")
    assert ledger.problems("run-1") == []
    assert ledger.problem_counts("run-1") == {}
    assert ledger.problems("run-2") == [problem_of(1)]
    assert ledger.problem_counts("run-2") == {"failed": 1}


def test_problems_of_the_first_version_are_read_too() -> None:
    assert records.read_problem(["failed", "acme", "/where", "why", RAW_ID, 3]) == Problem(
        "failed", "acme", "/where", "why", RAW_ID, 3
    )
    whole = Problem("failed", "acme", "/where", "why", RAW_ID, 3, "s3://there", "a-code", "a-request")
    assert records.read_problem(records.problem_body(whole)) == whole
    for broken in (
        ["odd", "acme", "/where", "why", RAW_ID, 3],
        ["failed", "acme", "/where", "why", "no-id", 3],
        ["failed", "acme", "/where", "why", RAW_ID, -1],
        ["failed", "acme", "/where", "why", RAW_ID, 3, "s3://there"],
        ["odd", "acme", "/where", "why", RAW_ID, 3, "s3://there", "a-code", "a-request"],
        None,
    ):
        assert records.read_problem(broken) is None


def test_finished_folders_of_earlier_versions_are_not_read() -> None:
    folder = folder_of(7)
    body = records.finished_body(folder)
    assert records.read_finished("acme", "007", body) == folder
    for prefix, broken in (("00", body), ("00x", body), ("007", "1 2 3 4 5"), ("007", [1, 2, 3, 4, 5]), ("007", {})):
        assert records.read_finished("acme", prefix, broken) is None


# --- in words --------------------------------------------------------------------------------------------------------


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
        f"Give it rights, and room for a copy in TMPDIR, {elsewhere}; then run the same command again.",
    )
    assert told(written) == (
        "ledger-unwritable",
        "The ledger /state/x.sqlite3 cannot be written.",
        why,
        f"Give it space and rights on that disk, {elsewhere}; then run the same command again.",
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
