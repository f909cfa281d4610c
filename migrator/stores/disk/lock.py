"""A data folder that is held at the folder itself: every other run sees it, whatever its state folder, path or mount.

On a local file system by ``flock``, which ends with its process. A network file system keeps the lock of a folder to one machine (Linux:
``flock`` on an NFS folder is local), so `prune` also puts a mark there: a file, created with ``O_EXCL``, that a kill leaves.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from migrator.core.errors import CannotStart, LedgerBusy
from migrator.ledger.directory import NETWORK_FILE_SYSTEMS, file_system_of
from migrator.stores.lock_mark import LockMark, read_mark
from migrator.stores.reserved_names import LOCK_FILE

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_OLD = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_LARGEST_MARK = 4_096
_MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A data folder that a run needs. `alone`: no other run may use it; else none may change it.

    `must`: a folder that cannot be locked is refused.
    """

    root: Path
    alone: bool
    must: bool = False


@contextmanager
def folders_held(holds: Sequence[Hold]) -> Iterator[None]:
    """Lock the folders until the block ends or the process dies; in the order of their inodes, so that of two runs one wins.

    Raises:
        LedgerBusy: If another run has one of them.
        CannotStart: If two are one folder under two names.
    """  # noqa: DOC501 made by _one_folder
    with ExitStack() as stack:
        opened = []
        for hold in holds:
            try:
                fd = os.open(hold.root, _FOLDER)
            except OSError:
                continue  # there is no folder, or this user may not read it: whoever reads it says so
            stack.callback(_close, fd)
            status = os.fstat(fd)
            opened.append(((status.st_dev, status.st_ino), fd, hold))
        if len({place for place, _, _ in opened}) < len(opened):
            raise _one_folder([hold.root for _, _, hold in opened])
        for _, fd, hold in sorted(opened, key=lambda one: one[0]):
            _lock(fd, hold)
        yield


def _close(fd: int) -> None:
    with suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_UN)  # closing alone leaves it held where a forked child lives on
    os.close(fd)


def _lock(fd: int, hold: Hold) -> None:
    try:
        fcntl.flock(fd, (fcntl.LOCK_EX if hold.alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LedgerBusy(
            "place-busy",
            f"Another run uses {hold.root}.",
            why="The folder is locked until that process ends." if hold.alone else "It writes or deletes there.",
            cure="Wait for it: `bytes-migrator status` shows it to the user who started it.",
        ) from error
    except OSError as error:
        if hold.must:
            raise CannotStart(
                "folder-not-lockable",
                f"{hold.root} cannot be locked ({error.strerror}).",
                why="A second prune could delete the other copy.",
                cure="Run prune on the machine that has the disk. Nothing was deleted.",
            ) from error
        # a file system without locks; the ledger's own lock still keeps runs of these two locations apart


def _one_folder(roots: Sequence[Path]) -> CannotStart:
    return CannotStart(
        "same-place",
        "Source and target are one place under two names.",
        why=f"{' and '.join(map(str, roots))} are the same folder: a link or a mount leads from one to the other.",
        cure="Check --from and --to and the mounts. Nothing was moved or deleted.",
    )


class FolderMark:
    """The mark of one run in a data folder. Every method raises OSError."""

    def __init__(self, root: Path, mark: LockMark, mountinfo: Path = _MOUNTS) -> None:
        self.root, self._mark = root, mark
        self._path = root / LOCK_FILE
        self.is_needed = bool(NETWORK_FILE_SYSTEMS.fullmatch(file_system_of(root, mountinfo) or ""))

    @property
    def where(self) -> str:
        """Return the data folder that is marked."""
        return str(self.root)

    def take(self) -> LockMark | None:
        """Put the mark; returns None when it is there, else the mark of the run that has the folder."""
        try:
            fd = os.open(self._path, _NEW, 0o644)
        except FileExistsError:
            found = mark_in(self.root)
            return found if found is not None and found.run != self._mark.run else None
        try:
            os.write(fd, self._mark.as_bytes())
            os.fsync(fd)
        finally:
            os.close(fd)
        return None

    def is_held(self) -> bool:
        """Return True if the mark is there and is this run's."""
        found = mark_in(self.root)
        return found is not None and found.run == self._mark.run

    def release(self) -> None:
        """Remove the mark if it is this run's; what cannot be removed stays, and is told at the next run."""
        with suppress(OSError):
            if self.is_held():
                self._path.unlink()


def mark_in(root: Path) -> LockMark | None:
    """Return the mark in a data folder; None where there is none.

    Raises:
        OSError: If it cannot be read.
    """
    try:
        fd = os.open(root / LOCK_FILE, _OLD)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise
    try:
        return read_mark(os.read(fd, _LARGEST_MARK), LOCK_FILE)
    finally:
        os.close(fd)


def remove_mark(root: Path, run: str) -> int:
    """Remove the mark of a run; returns how many there were. Raises OSError."""
    found = mark_in(root)
    if found is None or found.run != run:
        return 0
    (root / LOCK_FILE).unlink()
    return 1
