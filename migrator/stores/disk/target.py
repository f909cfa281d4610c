"""Writing to a location on disk: temporary files, batched durability, publishing that cannot replace.

The order that survives power cuts: content to a temporary file beside the target, one syncfs for the batch, the final names, one more
syncfs, and only then an outcome.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from migrator.core.entities import Entry, RawFile, RawId
from migrator.core.errors import (
    AlreadyThere,
    CannotStart,
    Interrupted,
    MustStop,
    StoreError,
    StoreFull,
    TargetBroken,
    Unavailable,
    Unreadable,
    Vanished,
)
from migrator.core.protocols import Content, Moved, Receipt, Source, ignore_moved
from migrator.stores.disk.data_folder_setup import give_mode_and_owner
from migrator.stores.disk.open_file import translate
from migrator.stores.disk.source import FOLDER_FLAGS, DiskSource
from migrator.stores.disk.syscalls import rename_without_replacing, sync_filesystem
from migrator.stores.reserved_names import OWN_TEMPORARY, is_partial, kind_of, partial_name, temporary_name
from migrator.transfer.throttle import Throttle

_CHUNK = 1 << 20
_WRITTEN_BACK_EVERY = 8 << 20
"""Bytes after which the disk begins to write: what is left for the sync at the end would all be waited for."""
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_PARTIAL = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BROKEN = (errno.EROFS, errno.EIO, errno.ENODEV, errno.ENXIO)


class DiskReceipt:
    """A complete temporary file of `size` bytes beside its final name."""

    __slots__ = ("replaces", "size", "temporary", "version")

    def __init__(self, temporary: str, version: str, size: int, *, replaces: str | None) -> None:
        self.temporary = temporary
        self.version = version
        self.size = size
        self.replaces = replaces


class DiskTarget(DiskSource):
    """A data folder opened for writing, with Bytes' modes and, as root, `owner` (user and group id) or else the data folder's owner.

    Raises CannotStart where raw files could not get that owner. `run` marks this run's temporary files; those of other runs are leftovers
    and removed when met. The caller holds the lock that makes that true. `throttle` limits the bytes written, where nothing on their way
    has been counted yet.
    """

    def __init__(
        self,
        root: Path,
        *,
        folder_mode: int,
        file_mode: int,
        run: str,
        throttle: Throttle | None = None,
        owner: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(root)
        self._throttle = throttle or Throttle()
        self._folder_mode = folder_mode
        self._file_mode = file_mode
        self._run = run
        self._partials: list[tuple[RawFile, str]] = []
        self._folders_are_missing = False
        self._owner = _owner_to_give(os.fstat(self._root_fd), owner)

    def prepare(self, organization: str) -> None:
        """Make the organization's folder with Bytes' mode and owner, if it is missing.

        Raises:
            StoreError: If it cannot be made.
        """
        try:
            os.close(self._open_below(self._root_fd, organization))
        except OSError as error:
            raise self._blocked(error, f"{self._root}/{organization}") from error

    def server_side_copy(
        self, raw_file: RawFile, source: Source, entry: Entry, moved: Moved = ignore_moved
    ) -> Receipt | None:
        """Return None: a disk copies nothing by itself."""
        return None

    def store(self, raw_file: RawFile, content: Content) -> DiskReceipt:
        """Write the content to a temporary file, checked; `publish` gives it its name."""
        return self._write(raw_file, content, replaces=None)

    def replace(self, raw_file: RawFile, content: Content, own_version: str) -> DiskReceipt:
        """Write as `store` does; `publish` replaces the copy of our own that still has this version."""
        return self._write(raw_file, content, replaces=own_version)

    def publish(self, receipts: Sequence[tuple[RawFile, Receipt]]) -> Iterator[tuple[RawFile, StoreError | None]]:
        """Sync what was stored, give the final names, and sync again: two calls of syncfs for a batch."""
        self._folders.forget()
        failed = self._sync()
        answers: list[tuple[RawFile, StoreError | None]] = []
        for raw_file, receipt in receipts:
            if not isinstance(receipt, DiskReceipt):
                continue
            if failed is not None:
                self._discard(raw_file, receipt)
            answers.append((raw_file, failed or self._give_final_name(raw_file, receipt)))
        failed = failed or self._sync()
        for raw_file, error in answers:
            yield raw_file, error or failed

    def _write(self, raw_file: RawFile, content: Content, *, replaces: str | None) -> DiskReceipt:
        try:
            with self._folders.opened(raw_file) as folder:
                if content.resume_unit and content.entry.size > content.resume_unit:
                    return self._write_resumable(folder, raw_file, content, replaces)
                return self._write_at_once(folder, raw_file, content, replaces)
        except OSError as error:
            raise self._blocked(error, self.describe(raw_file)) from error

    def _write_at_once(self, folder: int, raw_file: RawFile, content: Content, replaces: str | None) -> DiskReceipt:
        temporary = temporary_name(raw_file.raw_id, self._run)
        try:
            fd = os.open(temporary, _NEW, self._file_mode, dir_fd=folder)
        except FileExistsError:  # left by an attempt before this one
            os.unlink(temporary, dir_fd=folder)
            fd = os.open(temporary, _NEW, self._file_mode, dir_fd=folder)
        try:
            version = self._fill(fd, content)
        except BaseException:
            with suppress(OSError):  # what failed first is told; the next run removes the rest
                os.unlink(temporary, dir_fd=folder)
            raise
        finally:
            os.close(fd)
        return DiskReceipt(temporary, version, content.entry.size, replaces=replaces)

    def _write_resumable(self, folder: int, raw_file: RawFile, content: Content, replaces: str | None) -> DiskReceipt:
        """Write as `_write_at_once` does, but keep what arrived if the run is broken off.

        The temporary file has a name that only this content has.

        Raises:
            Interrupted: If the run is asked to stop; what arrived stays.
            MustStop: If the run ends; what arrived stays.
            Unavailable: If an end does not answer; what arrived stays.
        """
        temporary = partial_name(raw_file.raw_id, content.source_version)
        fd = _open_partial(folder, temporary)
        try:
            _claim(fd, self.describe(raw_file))
            self._refuse_another(folder, temporary, fd, raw_file)
            self._take_what_is_there(fd, content)
            version = self._fill(fd, content)
        except (Interrupted, MustStop, Unavailable):
            raise
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise
        finally:
            os.close(fd)
        return DiskReceipt(temporary, version, content.entry.size, replaces=replaces)

    def _refuse_another(self, folder: int, temporary: str, fd: int, raw_file: RawFile) -> None:
        """Check that the claimed file still has its temporary name; it may have got its final one before.

        Raises:
            StoreError: If it has not.
        """  # noqa: DOC501 made by _taken
        with suppress(FileNotFoundError):
            if os.path.samestat(os.stat(temporary, dir_fd=folder, follow_symlinks=False), os.fstat(fd)):
                return
        raise _taken(self.describe(raw_file))

    def _take_what_is_there(self, fd: int, content: Content) -> None:
        """Hand over whole units that an earlier run wrote; they are proven with the rest before anything is published."""
        unit = content.resume_unit
        whole = min(os.fstat(fd).st_size, content.entry.size - 1) // unit * unit
        if whole != os.fstat(fd).st_size:  # a file that was cut is flushed by ext4 when it is closed
            os.ftruncate(fd, whole)
        taken = 0
        while taken < whole and (data := os.read(fd, unit)):
            content.resume_with(data)
            taken += len(data)

    def _fill(self, fd: int, content: Content) -> str:
        """Write the content, give it owner and mode, and say the mark that the file will have."""
        fresh = 0
        while view := content.borrow(min(max(_CHUNK, content.resume_unit), self._throttle.slice)):
            if self._throttle.is_on:
                self._throttle.pay(len(view))
            fresh += len(view)
            while view:  # a write near a full disk is short and no error
                view = view[os.write(fd, view) :]
            if fresh >= _WRITTEN_BACK_EVERY:
                _begin_write_back(fd, fresh)
                fresh = 0
        content.finish()
        status = os.fstat(fd)
        if self._owner is not None and (status.st_uid, status.st_gid) != self._owner:
            os.fchown(fd, *self._owner)
        if stat.S_IMODE(status.st_mode) != self._file_mode:
            os.fchmod(fd, self._file_mode)
        return str(status.st_mtime_ns)

    def _give_final_name(self, raw_file: RawFile, receipt: DiskReceipt) -> StoreError | None:
        try:
            with self._folders.opened(raw_file) as folder:
                try:
                    self._rename(folder, raw_file, receipt)
                except OSError:
                    with suppress(OSError):
                        os.unlink(receipt.temporary, dir_fd=folder)
                    raise
        except FileExistsError:
            where = self.describe(raw_file)
            return AlreadyThere("already-there", f"{where} appeared meanwhile.")
        except OSError as error:
            return self._blocked(error, self.describe(raw_file))
        except StoreError as error:  # it stays: whoever goes on with it, or the next run, has to find it
            return error
        return None

    def _rename(self, folder: int, raw_file: RawFile, receipt: DiskReceipt) -> None:
        if not is_partial(receipt.temporary):
            self._rename_now(folder, raw_file, receipt)
            return
        try:
            fd = os.open(receipt.temporary, _PARTIAL, dir_fd=folder)
        except PermissionError:  # Bytes' mode lets not even its owner write
            fd = os.open(receipt.temporary, _PARTIAL & ~os.O_ACCMODE, dir_fd=folder)
        try:
            where = self.describe(raw_file)
            _claim(fd, where)
            if os.fstat(fd).st_size != receipt.size:
                raise _taken(where)
            self._rename_now(folder, raw_file, receipt)
        finally:
            os.close(fd)

    def _rename_now(self, folder: int, raw_file: RawFile, receipt: DiskReceipt) -> None:
        if receipt.replaces is None:
            rename_without_replacing(folder, receipt.temporary, raw_file.raw_id)
            return
        found = self.stat(raw_file)
        if found is None or found.version != receipt.replaces:
            raise FileExistsError(errno.EEXIST, "changed since this tool wrote it", raw_file.raw_id)
        os.rename(receipt.temporary, raw_file.raw_id, src_dir_fd=folder, dst_dir_fd=folder)

    def _discard(self, raw_file: RawFile, receipt: DiskReceipt) -> None:
        """What may not have reached the medium is of no use: reading it back would only show what is in memory."""
        with suppress(OSError), self._folders.opened(raw_file) as folder:
            os.unlink(receipt.temporary, dir_fd=folder)

    def _blocked(self, error: OSError, where: str) -> StoreError:
        """As `translate`, but a folder that is gone or has something else in its place is no raw file that vanished."""
        said = os.strerror(error.errno or 0)
        if error.errno in _BROKEN:
            return TargetBroken(
                "target-broken",
                f"{where} cannot be written ({said}).",
                cure="Look at that disk: dmesg, mount, its cables.",
            )
        fault = translate(error, where)
        if isinstance(fault, StoreFull):
            return StoreFull(fault.name, f"{fault.what} {self._room()}".strip())
        if isinstance(fault, Vanished):
            return Unreadable("target-blocked", f"{where} cannot be written ({self._obstacle(where) or said}).")
        return fault

    def _obstacle(self, where: str) -> str:
        """Return what lies in a folder's place on the way from the data folder to `where`, in words; "" if nothing does."""
        path = self._root
        for part in Path(where).relative_to(self._root).parts[:2]:
            path /= part
            with suppress(OSError):
                mode = os.lstat(path).st_mode
                if not stat.S_ISDIR(mode):
                    return f"{path} is {kind_of(mode)}, not a folder"
        return ""

    def _room(self) -> str:
        try:
            room = os.fstatvfs(self._root_fd)
        except OSError:
            return ""  # how much there is does not matter to whoever is told why it ends
        return f"On that file system {room.f_bavail * room.f_frsize:,} bytes and {room.f_favail:,} inodes are free."

    def _sync(self) -> StoreError | None:
        try:
            sync_filesystem(self._root_fd)
        except OSError as error:
            return self._blocked(error, str(self._root))
        return None

    def _open_below(self, parent: int, name: str) -> int:
        """Open a folder below `parent`, made with Bytes' mode if it is missing; never through a link.

        As the last one was, the next one mostly is: there, or missing.
        """
        if not self._folders_are_missing:
            with suppress(FileNotFoundError):
                return os.open(name, FOLDER_FLAGS, dir_fd=parent)
        try:
            os.mkdir(name, self._folder_mode, dir_fd=parent)
        except FileExistsError:
            self._folders_are_missing = False
            return os.open(name, FOLDER_FLAGS, dir_fd=parent)
        self._folders_are_missing = True
        fd = os.open(name, FOLDER_FLAGS, dir_fd=parent)
        give_mode_and_owner(fd, self._folder_mode, self._owner)
        return fd

    def clear_leftovers(self, source: Source) -> None:
        """Remove parts of raw files that the source does not have any more; what fails stays for the next run."""
        partials, self._partials = self._partials, []
        for raw_file, name in partials:
            with suppress(OSError, StoreError):
                if source.stat(raw_file) is not None:
                    continue
                with self._folders.opened(raw_file) as folder:
                    os.unlink(name, dir_fd=folder)

    def _met_own_temporary(self, parts: tuple[str, ...], fd: int) -> None:
        """Remove what a run that was broken off left, but for parts of a large raw file that may still be to come."""
        name = parts[-1]
        match = OWN_TEMPORARY.fullmatch(name)
        if match is None or match.group(2) == self._run:
            return
        if is_partial(name) and not _is_there(match.group(1), fd):
            self._partials.append((RawFile(parts[0], RawId(match.group(1))), name))
            return
        with suppress(OSError):
            os.unlink(name, dir_fd=fd)


def _is_there(raw_id: str, folder: int) -> bool:
    try:
        os.stat(raw_id, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return True


def _claim(fd: int, where: str) -> None:
    """Keep an attempt elsewhere that was given up, and does not know it yet, from writing to the same file; closing it lets go.

    Raises:
        StoreError: If that attempt still has it.
    """  # noqa: DOC501 made by _taken
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _taken(where) from error
    except OSError:
        return  # a file system without locks


def _taken(where: str) -> Unavailable:
    return Unavailable("partial-busy", f"{where} is being written by another worker of this run.")


def _begin_write_back(fd: int, size: int) -> None:
    """Have the last `size` bytes written to the medium, without waiting: Linux begins so with dirty pages that are not needed."""
    with suppress(OSError):  # a hint, which not every file system takes
        os.posix_fadvise(fd, os.lseek(fd, 0, os.SEEK_CUR) - size, size, os.POSIX_FADV_DONTNEED)


def _open_partial(folder: int, temporary: str) -> int:
    """Open what an earlier run left under this name, or begin; what lies there and is not surely ours alone is removed first."""
    raw_id = temporary[1:37]
    for name in os.listdir(folder):
        if is_partial(name) and name[1:37] == raw_id and name != temporary:
            os.unlink(name, dir_fd=folder)  # of another version of the source
    with suppress(FileNotFoundError):
        try:
            fd = os.open(temporary, _PARTIAL, dir_fd=folder)
        except PermissionError:
            pass  # whole, with a mode that lets nobody write: its run was killed before it got its name
        else:
            status = os.fstat(fd)
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_uid == os.geteuid():
                return fd
            os.close(fd)
        os.unlink(temporary, dir_fd=folder)
    return os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)


def _owner_to_give(root: os.stat_result, owner: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return the owner for new files; None where whoever makes them is it already.

    Raises:
        CannotStart: If it is another user's id, and this process is not root.
    """
    if os.geteuid() == 0:
        return owner or (root.st_uid, root.st_gid)
    if owner is not None and owner[0] != os.geteuid():  # a worker on another machine
        raise CannotStart(
            "owner-not-possible",
            f"Raw files must belong to user id {owner[0]}, and this process runs as user id {os.geteuid()}.",
            why="Only root can give files away.",
            cure="Run it, and each worker, as root or as that user.",
        )
    return None
