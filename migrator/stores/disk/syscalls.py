"""System calls that Python does not offer: syncfs, and renaming without replacing."""

from __future__ import annotations

import ctypes
import errno
import os

_RENAME_NOREPLACE = 1

_libc = ctypes.CDLL(None, use_errno=True)
_syncfs = getattr(_libc, "syncfs", None)
_renameat2 = getattr(_libc, "renameat2", None)
_NOT_OFFERED = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)
"""What a file system answers to a call that it does not have."""


def sync_filesystem(fd: int) -> bool:
    """Bring everything written to the file system of `fd` to its medium; return whether it confirms that.

    One call for a batch costs a quarter of an fsync a file. False where the file system does not offer syncfs:
    everything is asked to be written then, and nobody says whether it was.

    Raises:
        OSError: If it fails; of write-back errors, too (Linux 5.8 and later).
    """
    if _syncfs is not None:
        if _syncfs(fd) == 0:
            return True
        number = ctypes.get_errno()
        if number not in _NOT_OFFERED:
            raise OSError(number, os.strerror(number))
    os.sync()
    return False


def rename_without_replacing(folder_fd: int, old: str, new: str) -> None:
    """Give a file its final name in the same folder; nothing is ever replaced.

    Raises:
        FileExistsError: If the name is taken.
        OSError: If the system refuses.
    """
    if _renameat2 is not None:
        if _renameat2(folder_fd, os.fsencode(old), folder_fd, os.fsencode(new), _RENAME_NOREPLACE) == 0:
            return
        number = ctypes.get_errno()
        if number not in _NOT_OFFERED:
            raise OSError(number, os.strerror(number), new)
    os.link(old, new, src_dir_fd=folder_fd, dst_dir_fd=folder_fd, follow_symlinks=False)
    os.unlink(old, dir_fd=folder_fd)
