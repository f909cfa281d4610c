"""The state folder: made for one user, refused where a ledger is not safe, held by one run at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from migrator.core.errors import CannotStart, LedgerBusy
from migrator.ledger import directory
from migrator.ledger.directory import StateFolder, file_system_of, is_running, lock, set_aside

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:21 / /mnt rw shared:2 master:1 - nfs4 server:/export rw
24 23 8:2 / /mnt/local rw - xfs /dev/sdb1 rw
25 22 0:30 / /srv/a\\040b rw - {} remote rw
26 22 8:3 / /twice rw - ext4 /dev/sdc1 rw
27 26 0:31 / /twice rw - cifs //server/share rw
a line of nonsense
"""

NETWORK = (
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "afs", "lustre", "glusterfs"),
    *("fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "fuse.juicefs", "fuse.mount-s3", "fuse.geesefs"),
)
LOCAL = ("ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs", "virtiofs", "fuse.ntfs-3g", "fuse.lxcfs", "fuseblk")

HOLD = """
import sys
from pathlib import Path
from migrator.ledger.directory import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    made = StateFolder(tmp_path / "state")
    made.ensure()
    return made


@contextmanager
def held_elsewhere(ledger: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock for as long as its standard input is open."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(ledger)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield holder
        finally:
            holder.kill()


def test_the_default_is_the_users_state_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/home/jo/state")
    assert StateFolder.default().path == Path("/home/jo/state/bytes-migrator")


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes a user whom nobody knows")
def test_a_user_without_a_home_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.delenv("HOME")
    child = os.fork()
    if child == 0:
        os.setuid(54321)
        try:
            StateFolder.default()
        except CannotStart as error:
            os._exit(7 if error.name == "state-folder-unknown" and "--state-dir" in error.cure else 1)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_it_is_made_with_its_parents_for_this_user_alone_and_left_empty(tmp_path: Path) -> None:
    old_mask = os.umask(0)
    try:
        StateFolder(tmp_path / "a" / "b").ensure()
    finally:
        os.umask(old_mask)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert list((tmp_path / "a" / "b").iterdir()) == []
    StateFolder(tmp_path / "a" / "b").ensure()


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/state", "dangling"])
def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere" / "at all")
    with pytest.raises(CannotStart) as caught:
        StateFolder(tmp_path / place).ensure()
    assert caught.value.name == "state-folder-unwritable"
    assert "--state-dir" in caught.value.cure
    assert caught.value.exit_status == 3


def test_a_full_disk_is_cured_by_room_and_not_by_rights(tmp_path: Path) -> None:
    full, forbidden = (
        StateFolder(tmp_path)._unwritable(OSError(number, os.strerror(number))).cure
        for number in (errno.ENOSPC, errno.EACCES)
    )
    assert full.startswith("Make room")
    assert forbidden.startswith("Make it writable")


def test_a_disk_that_takes_a_name_and_no_byte_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory.tempfile, "TemporaryFile", lambda dir: open("/dev/full", "wb"))  # noqa: SIM115
    with pytest.raises(CannotStart) as caught:
        StateFolder(tmp_path).ensure()
    assert caught.value.name == "state-folder-unwritable"
    assert caught.value.cure.startswith("Make room")


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user")
@pytest.mark.parametrize(
    ("mode", "is_refused"), [(0o777, True), (0o1777, True), (0o770, True), (0o757, True), (0o755, False)]
)
def test_anothers_folder_that_others_can_write_is_refused(tmp_path: Path, mode: int, is_refused: bool) -> None:
    path = tmp_path / "theirs"
    path.mkdir()
    os.chown(path, 12345, 12345)
    path.chmod(mode)
    if not is_refused:
        return StateFolder(path).ensure()
    with pytest.raises(CannotStart) as caught:
        StateFolder(path).ensure()
    assert caught.value.name == "state-folder-not-ours"
    return None


def test_ones_own_folder_is_ones_own_affair(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    StateFolder(tmp_path).ensure()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "ext4"),
        ("/home/jo", "ext4"),
        ("/mnt", "nfs4"),
        ("/mnt/x/y", "nfs4"),
        ("/mnt/local/state", "xfs"),
        ("/mnt/localx", "nfs4"),
        ("/mntx", "ext4"),
        ("/srv/a b/state", "fuse.sshfs"),
        ("/twice/state", "cifs"),
    ],
)
def test_the_file_system_is_that_of_the_innermost_latest_mount(tmp_path: Path, path: str, expected: str) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS.format("fuse.sshfs"))
    assert file_system_of(Path(path), tmp_path / "mountinfo") == expected


@pytest.mark.row(69)
@pytest.mark.parametrize(
    ("kind", "is_network"),
    [(kind, True) for kind in NETWORK] + [(kind, False) for kind in LOCAL],
)
def test_network_file_systems_are_refused_with_nothing_written(tmp_path: Path, kind: str, is_network: bool) -> None:
    """Where a link leads to one too."""
    mountinfo, mount = tmp_path / "mountinfo", os.path.realpath(tmp_path / "state")
    mountinfo.write_text(f"1 0 8:1 / / rw - ext4 x rw\n2 1 0:9 / {mount} rw - {kind} x rw\n")
    (tmp_path / "link").symlink_to(tmp_path / "state")
    folder = StateFolder(tmp_path / "link" / "deep", mountinfo)
    if not is_network:
        (tmp_path / "state").mkdir()
        return folder.ensure()
    with pytest.raises(CannotStart, match=kind) as caught:
        folder.ensure()
    assert caught.value.name == "state-folder-on-network"
    assert not (tmp_path / "state").exists()
    return None


def test_without_a_list_of_mounts_nothing_is_refused(tmp_path: Path) -> None:
    StateFolder(tmp_path / "state", tmp_path / "no mountinfo").ensure()
    assert (tmp_path / "state").is_dir()


def test_ledgers_are_named_by_both_locations_and_found_again(folder: StateFolder) -> None:
    one = folder.ledger_path("disk:/data", "s3://bucket")
    assert one == folder.ledger_path("disk:/data", "s3://bucket")
    assert directory.LEDGER_NAME.fullmatch(one.name)
    others = {
        folder.ledger_path(*pair) for pair in [("disk:/data", "s3://b"), ("ab", "c"), ("a", "bc"), ("\udcff", "é")]
    }
    assert len({one, *others}) == 5
    for path in (one, *others):
        path.write_text("")
    for name in (one.name + "-wal", one.name + ".corrupt-20260101T000000Z", "0123456789ab.lock", "notes.sqlite3"):
        (folder.path / name).write_text("")
    assert folder.ledgers() == sorted({one, *others})


def test_a_missing_folder_holds_no_ledgers_and_a_file_is_no_folder(tmp_path: Path) -> None:
    assert StateFolder(tmp_path / "missing").ledgers() == []
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotStart) as caught:
        StateFolder(tmp_path / "file").ledgers()
    assert caught.value.name == "state-folder-unreadable"


def test_both_directions_have_their_own_ledger_and_one_lock(folder: StateFolder) -> None:
    forth, back = folder.ledger_path("a", "b"), folder.ledger_path("b", "a")
    assert forth != back
    with lock(forth), pytest.raises(LedgerBusy), lock(back):
        pass
    with lock(folder.ledger_path("a", "c")), lock(forth):
        pass


@pytest.mark.row(9)
def test_a_lock_held_by_another_process_is_busy_until_that_dies(folder: StateFolder) -> None:
    ledger = folder.ledger_path("a", "b")
    assert not is_running(ledger)
    with held_elsewhere(ledger) as holder:
        assert is_running(ledger)
        with pytest.raises(LedgerBusy, match="bytes-migrator status") as caught, lock(ledger):
            pass
        assert caught.value.exit_status == 4
        holder.kill()
        holder.wait()
        assert not is_running(ledger)
        with lock(ledger):
            assert is_running(ledger)
    assert not is_running(ledger)


@contextmanager
def inspected(ledger: Path) -> Iterator[int]:
    """The lock as `is_running` holds it for an instant."""
    descriptor = os.open(directory.lock_path(ledger), os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def test_who_looks_is_no_run_to_another_who_looks(folder: StateFolder) -> None:
    ledger = folder.ledger_path("a", "b")
    with inspected(ledger):
        assert not is_running(ledger)


def test_a_run_waits_for_who_only_looks_and_not_for_ever(folder: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = folder.ledger_path("a", "b")
    pauses: list[float] = []
    monkeypatch.setattr(directory.time, "sleep", pauses.append)
    with inspected(ledger), pytest.raises(LedgerBusy), lock(ledger):
        pass
    assert pauses == [0.02] * 5
    with inspected(ledger) as descriptor:
        monkeypatch.setattr(directory.time, "sleep", lambda seconds: fcntl.flock(descriptor, fcntl.LOCK_UN))
        with lock(ledger):
            assert is_running(ledger)


def test_the_lock_is_for_this_user_alone(folder: StateFolder) -> None:
    ledger = folder.ledger_path("a", "b")
    old_mask = os.umask(0)
    try:
        with lock(ledger):
            assert directory.lock_path(ledger).stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(old_mask)


def test_looking_whether_a_run_is_on_leaves_no_trace(folder: StateFolder) -> None:
    assert not is_running(folder.ledger_path("a", "b"))
    assert list(folder.path.iterdir()) == []


def test_a_lock_ends_with_its_block_even_where_a_forked_child_lives_on(folder: StateFolder) -> None:
    ledger = folder.ledger_path("a", "b")
    reader, writer = os.pipe()
    with lock(ledger):
        child = os.fork()
        if child == 0:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
    os.close(reader)
    try:
        with lock(ledger):
            pass
    finally:
        os.close(writer)
        os.waitpid(child, 0)


@pytest.mark.parametrize("obstacle", ["folder", "link", "missing"])
def test_a_lock_that_cannot_be_opened_is_told(tmp_path: Path, obstacle: str) -> None:
    ledger = StateFolder(tmp_path / obstacle).ledger_path("a", "b")
    if obstacle != "missing":
        ledger.parent.mkdir()
        path = directory.lock_path(ledger)
        path.mkdir() if obstacle == "folder" else path.symlink_to(tmp_path / "victim")
    with pytest.raises(CannotStart) as caught, lock(ledger):
        pass
    assert caught.value.name == "ledger-unlockable"
    assert not (tmp_path / "victim").exists()


def test_names_that_were_set_aside_are_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[int, list[str]]] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append((os.fstat(fd).st_ino, sorted(os.listdir(fd)))))
    ledger = tmp_path / "0123456789ab-forth.sqlite3"
    ledger.write_text("")
    aside = set_aside(ledger, 1767225600.0)
    assert synced == [(tmp_path.stat().st_ino, [aside.name])], "the folder, once they are in it"


def test_setting_aside_moves_the_whole_family_and_never_over_another(tmp_path: Path) -> None:
    ledger = tmp_path / "0123456789ab-forth.sqlite3"
    for turn in range(3):
        for suffix in ("", "-wal", "-shm"):
            (tmp_path / (ledger.name + suffix)).write_text(f"{turn}{suffix}")
        set_aside(ledger, 1767225600.0)
    stem = ledger.name + ".corrupt-20260101T000000Z"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{stem}{number}{suffix}" for number in ("", "-2", "-3") for suffix in ("", "-wal", "-shm")
    )
    assert (tmp_path / f"{stem}-2-wal").read_text() == "1-wal"
