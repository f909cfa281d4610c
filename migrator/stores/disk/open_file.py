"""A raw file on disk that is opened for reading, and what the system says of it: its state, or its errors."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO, cast

from migrator.core.entities import Entry, RawId
from migrator.core.errors import SourceChanged, StoreError, StoreFull, Unavailable, Unreadable, Vanished
from migrator.stores.positioned_file import PositionedFile
from migrator.stores.reserved_names import kind_of

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class DiskContent:
    """A raw file on disk, opened for reading."""

    resume_unit = 0

    def __init__(self, fd: int, raw_id: RawId, where: str) -> None:
        self._fd = fd
        self._where = where
        status = _status(fd, where)
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("not-a-file", f"{where} is {kind_of(status.st_mode)}, not a file.")
        self._read = 0
        self.entry = entry_of(raw_id, status)
        self.source_version = f"{status.st_size} {status.st_mtime_ns} {status.st_ino}"

    def resume_with(self, data: bytes) -> None:
        """Refuse: reading a disk again costs less than resuming would.

        Raises:
            NotImplementedError: Always; `resume_unit` is 0.
        """
        raise NotImplementedError("reading a disk again costs less than resuming would")

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer only at the end; network file systems give less at a time.

        Raises:
            StoreError: If the system refuses, as Unreadable, Vanished or Unavailable.
        """  # noqa: DOC501 made by translate
        try:
            data = os.read(self._fd, size)
            while len(data) < size and (more := os.read(self._fd, size - len(data))):
                data += more
        except OSError as error:
            raise translate(error, self._where) from error
        self._read += len(data)
        return data

    def borrow(self, size: int) -> memoryview:
        """Return what `read` does."""
        return memoryview(self.read(size))

    def part(self, size: int) -> BinaryIO | None:
        """Return the next bytes as a file of their own.

        Raises:
            StoreError: If the system refuses another descriptor.
        """  # noqa: DOC501 made by translate
        try:
            fd = os.dup(self._fd)
            self._read = os.lseek(self._fd, size, os.SEEK_CUR)
        except OSError as error:
            raise translate(error, self._where) from error
        return cast("BinaryIO", _FilePart(fd, self._read - size, self._where))

    def finish(self) -> None:
        """Check that the file was read whole, and is in the state in which it was opened.

        Raises:
            SourceChanged: If size, times or inode differ, or it was deleted.
        """
        now = _status(self._fd, self._where)
        is_same = entry_of(self.entry.raw_id, now) == self.entry and now.st_nlink > 0
        if not is_same or self._read != self.entry.size:
            raise SourceChanged("source-changed", f"{self._where} changed while it was read.")


class _FilePart(PositionedFile):
    """A file read from an offset of its own: descriptors that are duplicates share the kernel's."""

    def __init__(self, fd: int, offset: int, where: str) -> None:
        super().__init__(offset)
        self._fd = fd
        self._where = where

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes.

        Raises:
            SourceChanged: If the file ended before them.
            StoreError: If the system refuses.
        """  # noqa: DOC501 made by translate
        try:
            data = os.pread(self._fd, size, self._offset)
        except OSError as error:
            raise translate(error, self._where) from error
        if size and not data:
            raise SourceChanged("source-changed", f"{self._where} ended early while it was read.")
        self._offset += len(data)
        return data

    def close(self) -> None:
        if not self.closed:
            os.close(self._fd)
        super().close()


def _status(fd: int, where: str) -> os.stat_result:
    """Return the state of an opened file; a server that keeps files may have forgotten it (ESTALE).

    Raises:
        StoreError: If the system refuses.
    """  # noqa: DOC501 made by translate
    try:
        return os.fstat(fd)
    except OSError as error:
        raise translate(error, where) from error


def entry_of(raw_id: RawId, status: os.stat_result) -> Entry:
    """Return the entry of a file: size, modification and change time in ns, inode; a disk has no ETag."""
    return Entry(raw_id, status.st_size, None, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def translate(error: OSError, where: str) -> StoreError:
    """An operating system's error in the words of this program; classified by number, never by text."""
    number = error.errno or 0
    said = os.strerror(number) if number else str(error)
    if number in GONE:
        return Vanished("vanished", f"{where} is gone ({said}).")
    if number in _FULL:
        return StoreFull("target-full", f"Nothing more can be written to {where} ({said}).")
    if number in (errno.EMFILE, errno.ENFILE, errno.EINTR, errno.EAGAIN):
        return Unavailable("too-many-files", f"{where} could not be opened for the moment ({said}).")
    return Unreadable(
        "unreadable",
        f"{where} cannot be used ({said}).",
        cure="Give this user the right, or run this as Bytes' user.",
    )
