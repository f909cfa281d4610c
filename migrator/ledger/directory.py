"""The state folder: where the ledgers of all pairs of locations lie, under which names, and who may open one now.

Knows files, owners, mounts and locks; nothing of what a ledger holds.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import platformdirs

from migrator.core.errors import CannotStart, LedgerBusy

NETWORK_FILE_SYSTEMS = re.compile(
    r"nfs[34]?|cifs|smb[23]|smbfs|9p|ceph|k?afs|coda|ncpfs|lustre|beegfs|gpfs|glusterfs|ocfs2|gfs2|orangefs|pvfs2|davfs"
    r"|vboxsf|vmhgfs|prl_fs|fuse\.(sshfs|s3.*|.*-s3|.*s3fs|rclone|juicefs|goofys|geesefs|gcsfuse|blobfuse2?|glusterfs"
    r"|ceph.*|.*dav.*|m(oose)?fs|lizardfs|saunafs|seaweedfs|weed|curlftpfs|smbnetfs|vmhgfs-fuse|.*nfs.*)"
)
"""SQLite's WAL lives in memory that processes share, which these do not offer between hosts (https://sqlite.org/wal.html)."""

SWITCH_JOURNAL = "switch.journal"
"""The journal of the last switch, which lies beside the ledgers."""
LEDGER_NAME = re.compile(r"[0-9a-f]{12}-(?:forth|back)\.sqlite3")
SIDE_FILES = ("-wal", "-shm", "-journal")
LOCK_ATTEMPTS = 6
LOCK_PAUSE = 0.02
ELSEWHERE = "or keep the state elsewhere with --state-dir"


@dataclass(frozen=True, slots=True)
class StateFolder:
    """The folder of all ledgers. `mountinfo` is where the kernel lists its mounts."""

    path: Path
    mountinfo: Path = Path("/proc/self/mountinfo")

    @staticmethod
    def default() -> StateFolder:
        """Return the folder where this system keeps a user's state.

        Raises:
            CannotStart: If the user has no home folder.
        """
        try:
            path = Path(platformdirs.user_state_dir("bytes-migrator"))
        except RuntimeError:  # newer platformdirs; older ones answer with the ~ in it
            path = Path("~")
        if not path.is_absolute():
            raise CannotStart(
                "state-folder-unknown",
                "There is no home folder to keep the state in.",
                why="HOME is not set and this user has no entry in /etc/passwd.",
                cure="Name a folder on a local disk with --state-dir.",
            )
        return StateFolder(path)

    def ensure(self) -> None:
        """Make the folder, its parents too, for this user alone, and prove that a ledger can live there. Raises CannotStart."""
        self._refuse_network()
        try:
            _make(self.path)
            self._refuse_foreign()
            with tempfile.TemporaryFile(dir=self.path) as probe:
                probe.write(b"probe")
        except OSError as error:
            raise self._unwritable(error) from error

    def ledger_path(self, source_identity: str, target_identity: str) -> Path:
        """Where the ledger of this source and target lies.

        Both directions share the first part of the name and with it the lock: a run must not fill what another one empties.
        """
        pair = sorted((source_identity, target_identity))
        digest = hashlib.sha256(json.dumps(pair).encode()).hexdigest()[:12]
        direction = "forth" if pair[0] == source_identity else "back"
        return self.path / f"{digest}-{direction}.sqlite3"

    def ledgers(self) -> list[Path]:
        """Return the paths of all ledgers here, by name; none where the folder does not exist.

        Raises:
            CannotStart: If the folder cannot be read.
        """
        try:
            names = sorted(name for name in os.listdir(self.path) if LEDGER_NAME.fullmatch(name))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CannotStart(
                "state-folder-unreadable",
                f"The state folder {self.path} cannot be read: {error.strerror}.",
                cure=f"Run this as the user who migrates, {ELSEWHERE}.",
            ) from error
        return [self.path / name for name in names]

    def _refuse_network(self) -> None:
        file_system = file_system_of(self.path, self.mountinfo)
        if file_system is not None and NETWORK_FILE_SYSTEMS.fullmatch(file_system):
            raise CannotStart(
                "state-folder-on-network",
                f"The state folder {self.path} lies on a network file system ({file_system}).",
                why="Ledger and lock are not safe there.",
                cure="Name a folder on a local disk with --state-dir.",
            )

    def _refuse_foreign(self) -> None:
        status = self.path.stat()
        if status.st_uid != os.geteuid() and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise CannotStart(
                "state-folder-not-ours",
                f"The state folder {self.path} belongs to user id {status.st_uid} and others may write to it.",
                why="They could change what this tool takes for migrated.",
                cure=f"Name a folder of your own, such as --state-dir {self.path / 'bytes-migrator'}.",
            )

    def _unwritable(self, error: OSError) -> CannotStart:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return CannotStart(
            "state-folder-unwritable",
            f"The state folder {self.path} cannot be written: {error.strerror or error}.",
            why="Without a ledger nothing could be resumed.",
            cure=f"{'Make room there' if full else f'Make it writable for user id {os.geteuid()}'}, {ELSEWHERE}.",
        )


def file_system_of(path: Path, mountinfo: Path) -> str | None:
    """The type of the file system that `path` lies on, or would; None where the kernel does not tell."""
    real = os.path.realpath(path)
    longest, found = -1, None
    for mount, kind in _mounts(mountinfo):
        below = real == mount or real.startswith(mount.rstrip("/") + "/")
        if below and len(mount) >= longest:  # of two mounts on one place the later one hides the earlier
            longest, found = len(mount), kind
    return found


def is_mounted(path: Path, mountinfo: Path) -> bool:
    """Whether something is mounted at this very path, which may be a single file."""
    real = os.path.realpath(path)
    return any(mount == real for mount, _ in _mounts(mountinfo))


def _mounts(mountinfo: Path) -> Iterator[tuple[str, str]]:
    """Yield where each file system is mounted, and its type; nothing where the kernel does not tell."""
    try:
        lines = mountinfo.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        before, separator, after = line.partition(b" - ")
        fields = before.split(b" ")
        if separator and len(fields) >= 5:
            mount = re.sub(rb"\\([0-7]{3})", lambda octal: bytes([int(octal[1], 8) & 255]), fields[4])
            yield os.fsdecode(mount), os.fsdecode(after.split(b" ")[0])


@contextmanager
def lock(ledger: Path) -> Iterator[None]:
    """Hold the pair of locations of this ledger, in both directions, until the block ends or the process dies.

    A forked child shares the lock, so workers should be spawned.

    Raises:
        LedgerBusy: If another process holds it.
        CannotStart: If the lock's file cannot be made or locked.
    """  # noqa: DOC501 made by _cannot_lock
    path = lock_path(ledger)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _cannot_lock(path, error) from error
    try:
        _acquire(descriptor, path)
        try:
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing alone leaves it held where a forked child lives on
    finally:
        os.close(descriptor)


def is_running(ledger: Path) -> bool:
    """Whether some process holds the lock now. Writes nothing; a run that starts at this very moment waits for it."""
    try:
        descriptor = os.open(lock_path(ledger), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EWOULDBLOCK, errno.EACCES)
    finally:
        os.close(descriptor)
    return False


def lock_path(ledger: Path) -> Path:
    """Return the lock's file: one for both directions of a pair, named by the part of the name before '-'."""
    return ledger.with_name(f"{ledger.stem.partition('-')[0]}.lock")


def _acquire(descriptor: int, path: Path) -> None:
    for attempt in range(LOCK_ATTEMPTS):
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise _cannot_lock(path, error) from error
        if attempt < LOCK_ATTEMPTS - 1:
            time.sleep(LOCK_PAUSE)  # `is_running` holds it for an instant
    raise LedgerBusy(
        "ledger-busy",
        "Another run holds the ledger of these two locations.",
        why=f"The lock on {path} is held.",
        cure="Wait for it, or see `bytes-migrator status`.",
    )


def _cannot_lock(path: Path, error: OSError) -> CannotStart:
    return CannotStart(
        "ledger-unlockable",
        f"The lock {path} cannot be taken: {error.strerror}.",
        why="Nothing would keep a second run away.",
        cure=f"Run this as the user who owns that file, {ELSEWHERE}.",
    )


def family(ledger: Path) -> list[Path]:
    """The ledger and what SQLite keeps beside it."""
    return [ledger, *(ledger.with_name(ledger.name + suffix) for suffix in SIDE_FILES)]


def set_aside(ledger: Path, now: float) -> Path:
    """Rename a ledger and its side files to ``….corrupt-<UTC>``, whatever they are; answers the ledger's new path."""
    stamp = datetime.fromtimestamp(now, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    name, number = f"{ledger.name}.corrupt-{stamp}", 1
    while any(os.path.lexists(path) for path in family(ledger.with_name(name))):
        number += 1
        name = f"{ledger.name}.corrupt-{stamp}-{number}"
    aside = ledger.with_name(name)
    for old, new in zip(family(ledger), family(aside), strict=True):
        with contextlib.suppress(FileNotFoundError):
            old.rename(new)
    sync_folder(ledger.parent)
    return aside


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make(folder: Path) -> None:
    missing: Sequence[Path] = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
