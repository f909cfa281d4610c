"""Files that are replaced whole: a crash leaves the old one or the new one, never a part of one."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path


def write_like(path: Path, content: bytes, like: Path, *, mode: int = 0o600) -> None:
    """Write a new file durably, with owner, mode and extended attributes (ACLs, SELinux labels) of the file `like`.

    Where that does not exist, it gets `mode`. Raises OSError; nothing is left then.
    """
    with suppress(FileNotFoundError):
        path.unlink()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            _be_like(like, descriptor, mode)
            os.fsync(descriptor)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def _be_like(like: Path, descriptor: int, mode: int) -> None:
    try:
        status = like.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, mode)
        return
    os.fchown(descriptor, status.st_uid, status.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
    with suppress(OSError):
        for name in os.listxattr(like):
            with suppress(OSError):  # those that may not be set are left out
                os.setxattr(descriptor, name, os.getxattr(like, name))
