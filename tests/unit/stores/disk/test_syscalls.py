"""The two system calls that Python does not offer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from migrator.stores.disk.syscalls import rename_without_replacing, sync_filesystem


@pytest.fixture
def folder(tmp_path: Path) -> int:
    return os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)


def test_a_file_gets_its_name(folder: int, tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"content")
    rename_without_replacing(folder, "old", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert (tmp_path / "new").read_bytes() == b"content"
    assert (tmp_path / "new").stat().st_nlink == 1


@pytest.mark.parametrize("kind", ["file", "folder", "link", "broken link"])
def test_whatever_has_the_name_keeps_it(folder: int, tmp_path: Path, kind: str) -> None:
    (tmp_path / "old").write_bytes(b"content")
    (tmp_path / "elsewhere").write_bytes(b"elsewhere")
    new = tmp_path / "new"
    if kind == "file":
        new.write_bytes(b"taken")
    elif kind == "folder":
        new.mkdir()
    else:
        new.symlink_to("elsewhere" if kind == "link" else "nothing")
    before = new.lstat()
    with pytest.raises(FileExistsError):
        rename_without_replacing(folder, "old", "new")
    assert new.lstat().st_ino == before.st_ino
    assert (tmp_path / "old").read_bytes() == b"content"
    assert (tmp_path / "elsewhere").read_bytes() == b"elsewhere"


def test_names_that_are_no_utf8(folder: int, tmp_path: Path) -> None:
    old, new = os.fsdecode(b"old\xff"), os.fsdecode(b"new\xfe")
    (tmp_path / old).write_bytes(b"x")
    rename_without_replacing(folder, old, new)
    assert os.listdir(os.fsencode(tmp_path)) == [b"new\xfe"]


def test_a_missing_file_is_an_error(folder: int) -> None:
    with pytest.raises(FileNotFoundError):
        rename_without_replacing(folder, "old", "new")


def test_syncing_works_and_its_errors_come_out(folder: int) -> None:
    sync_filesystem(folder)
    os.close(folder)
    with pytest.raises(OSError, match="Bad file descriptor"):
        sync_filesystem(folder)
