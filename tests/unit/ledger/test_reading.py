"""Readers of a ledger, beside a run and where nothing may be written."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from migrator.core.errors import CannotStart
from migrator.ledger import database
from migrator.ledger.database import DamagedError
from migrator.ledger.ledger import Ledger
from tests.unit.ledger.scene import RAW_ID, SOURCE, TARGET, change, copy_of, folder_of, in_child, opened, told, tree


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
        "Give it rights, and room for a copy in TMPDIR, or keep the state elsewhere with --state-dir; then rerun.",
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
