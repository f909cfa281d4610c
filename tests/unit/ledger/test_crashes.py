"""Killed writers, full and read-only disks, and foreign programs that hold the file."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from migrator.core.errors import CannotStart, MustStop
from migrator.ledger.ledger import Ledger
from tests.unit.ledger.scene import LOCKER, SOURCE, TARGET, WRITER, folder_of, in_child, opened


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
