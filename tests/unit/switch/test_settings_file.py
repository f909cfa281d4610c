"""An env file is replaced whole, with everything that it is besides its content."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from migrator.core.errors import CannotStart, MustStop
from migrator.switch.settings_file import SettingsFile
from migrator.switch.settings_store import digest, restore

OLD, NEW = b"A=1\nBYTES_DATA_DIR=/data\n", b"A=1\nBYTES_DATA_DIR=/data\nS3_BUCKET=raw\n"
NAMES = ("S3_BUCKET",)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "etc" / "bytes.conf"
    path.parent.mkdir()
    path.write_bytes(OLD)
    path.chmod(0o640)
    return path


def switched(path: Path) -> SettingsFile:
    store = SettingsFile(path)
    store.stage(OLD, NEW, "run")
    store.replace(OLD, NEW, "run")
    store.tidy("run", keep_backup=True)
    return store


def test_owner_mode_and_link_are_kept(path: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, 1000, 1001)
    link = tmp_path / "link.conf"
    link.symlink_to(path)
    before = path.stat()
    store = switched(link)
    after = path.stat()
    assert (path.read_bytes(), store.backup("run")) == (NEW, OLD)
    assert link.is_symlink()
    assert (after.st_uid, after.st_gid, stat.S_IMODE(after.st_mode)) == (before.st_uid, before.st_gid, 0o640)
    backup = Path(store.backup_name("run")).stat()
    assert (backup.st_uid, stat.S_IMODE(backup.st_mode)) == (before.st_uid, 0o640)
    assert sorted(one.name for one in path.parent.iterdir()) == ["bytes.conf", "bytes.conf.before-switch-run"]


def test_attributes_are_kept(path: Path) -> None:
    try:
        os.setxattr(path, "user.label", b"x")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    switched(path)
    assert os.getxattr(path, "user.label") == b"x"


def test_an_edit_after_the_plan_is_not_overwritten(path: Path) -> None:
    store = SettingsFile(path)
    store.stage(OLD, NEW, "run")
    path.write_bytes(OLD + b"B=2\n")
    with pytest.raises(MustStop) as error:
        store.replace(OLD, NEW, "run")
    assert error.value.name == "switch-settings-edited"
    assert path.read_bytes() == OLD + b"B=2\n"


def test_restoring_is_the_same_however_often(path: Path) -> None:
    store = switched(path)
    for _ in range(3):
        restore(store, "run", NAMES, digest(NEW))
        assert path.read_bytes() == OLD


def test_restoring_keeps_an_edit_and_takes_back_the_lines_that_changed(path: Path) -> None:
    store = switched(path)
    path.write_bytes(NEW + b"B=2\n")
    assert "edited meanwhile" in restore(store, "run", NAMES, digest(NEW))
    assert path.read_bytes() == OLD + b"B=2\n"


def test_restoring_before_anything_was_staged_changes_nothing(path: Path) -> None:
    restore(SettingsFile(path), "run", NAMES, digest(NEW))
    assert path.read_bytes() == OLD


@pytest.mark.parametrize("kind", ["missing", "folder", "large"])
def test_what_is_no_settings_file_is_refused(path: Path, kind: str) -> None:
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "large":
        path.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(CannotStart) as error:
        SettingsFile(path).read()
    assert error.value.name == "switch-settings-unreadable"


def test_a_folder_that_cannot_be_written_is_found_before_bytes_is_stopped(tmp_path: Path) -> None:
    store = SettingsFile(Path("/proc/self/environ"))
    with pytest.raises(CannotStart) as error:
        store.stage(OLD, NEW, "run")
    assert error.value.name == "switch-settings-unwritable"


@pytest.mark.parametrize("case", ["mounted", "immutable", "closed"])
def test_a_file_that_cannot_be_replaced_is_found_without_writing(case: str, path: Path, tmp_path: Path) -> None:
    mountinfo = tmp_path / "mountinfo"
    mounted = path if case == "mounted" else path.parent
    mountinfo.write_text(f"30 1 0:26 / {mounted} rw,relatime - ext4 /dev/sda1 rw\n")
    store = SettingsFile(path, mountinfo)
    if case == "immutable" and subprocess.run(["chattr", "+i", path], capture_output=True, check=False).returncode:
        pytest.skip("this file system, or this user, cannot make a file immutable")
    if case == "closed":
        store = SettingsFile(Path("/proc/self/environ"), mountinfo)
    try:
        with pytest.raises(CannotStart) as raised:
            store.refuse_unwritable()
    finally:
        subprocess.run(["chattr", "-i", path], capture_output=True, check=False)
    assert raised.value.name == "switch-settings-unwritable"
    assert {"mounted": "single file", "immutable": "chattr -i", "closed": "may not write"}[case] in str(raised.value)
    if case != "closed":
        SettingsFile(path, tmp_path / "none").refuse_unwritable()


@contextmanager
def no_room() -> Iterator[None]:
    """Within this, no file can grow: the system refuses it as a full disk does, to root too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_found_before_bytes_is_stopped(path: Path) -> None:
    with no_room(), pytest.raises(CannotStart) as raised:
        SettingsFile(path).stage(OLD, NEW, "run")
    assert raised.value.name == "switch-settings-unwritable"
    assert [one.name for one in path.parent.iterdir()] == ["bytes.conf"]
    assert path.read_bytes() == OLD


def test_a_disk_that_is_full_by_then_keeps_from_neither_the_change_nor_its_way_back(path: Path) -> None:
    store = SettingsFile(path)
    store.stage(OLD, NEW, "run")
    with no_room():
        store.replace(OLD, NEW, "run")
        assert path.read_bytes() == NEW
        restore(store, "run", NAMES, digest(NEW))
    assert path.read_bytes() == OLD
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    store.tidy("run", keep_backup=False)
    assert [one.name for one in path.parent.iterdir()] == ["bytes.conf"]
