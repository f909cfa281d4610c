"""An env file that Bytes reads at its start, replaced whole: a crash leaves the old file or the new one, never a part of one."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shlex
import stat
import struct
from array import array
from collections.abc import Mapping
from contextlib import suppress
from glob import escape
from pathlib import Path

from migrator.config.env_file import LARGEST_FILE, Setting
from migrator.config.environment import BACKUP_MARK
from migrator.core.errors import CannotStart, MustStop
from migrator.ledger.directory import is_mounted, sync_folder
from migrator.switch.settings_edit import Wanted, edited, settings_of
from migrator.switch.settings_store import backup_at, edited_meanwhile
from migrator.switch.whole_file import write_like

_AS_OWNER = "Make room, or run this as that folder's owner (root for /etc/kat)."
_ON_THE_HOST = "Run this on the host, where the file lies."
_GET_FLAGS = 0x80006601 | struct.calcsize("l") << 16
"""FS_IOC_GETFLAGS of ioctl_iflags(2), as most kinds of machine have it; the others refuse it."""
_IMMUTABLE = 0x10


class SettingsFile:
    """`path` may be a link: the file that it leads to is replaced, and the link stays. `mountinfo`: where the kernel lists its mounts."""

    def __init__(self, path: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> None:
        self.path, self._mountinfo = path.absolute(), mountinfo

    @property
    def where(self) -> str:
        """Return the file's path."""
        return str(self.path)

    @property
    def folder(self) -> Path:
        """Return the folder of the file itself, where `path` may be a link to it."""
        return self._real().parent

    def spec(self) -> Mapping[str, str]:
        """Return what the journal keeps to make this again."""
        return {"kind": "file", "path": str(self.path)}

    def read(self) -> bytes:
        """Return the file's bytes.

        Raises:
            CannotStart: If it cannot be read, is no regular file, or is larger than 1 MiB.
        """
        try:
            with self._real().open("rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise self._unusable("It is not a regular file.")
                content = file.read(LARGEST_FILE + 1)
        except OSError as error:
            raise self._unusable(f"The system says: {error.strerror}.") from error
        if len(content) > LARGEST_FILE:
            raise self._unusable("It is larger than 1 MiB, so it is no env file.")
        return content

    def settings(self, content: bytes) -> list[Setting]:
        """Return the settings in this content, in order."""
        return settings_of(self.path, content)

    def edited(self, content: bytes, wanted: Wanted) -> bytes:
        """Return the content with these settings changed, and all other lines as they are."""
        return edited(self.path, content, wanted)

    def refuse_unwritable(self) -> None:
        """Look whether the file can be replaced. Writes nothing.

        Raises:
            CannotStart: If its folder is closed or read-only, it is mounted as a single file, or it is immutable.
        """
        real = self._real()
        if not os.access(real.parent, os.W_OK | os.X_OK):
            raise self._unwritable(
                f"user id {os.geteuid()} may not write to {real.parent}, or that is read-only", _AS_OWNER
            )
        if is_mounted(real, self._mountinfo):
            raise self._unwritable("it is mounted alone, as a single file", _ON_THE_HOST)
        if _is_immutable(real):
            raise self._unwritable("it is immutable", f"Run `chattr -i {shlex.quote(str(real))}` first.")

    def stage(self, old: bytes, new: bytes, run: str) -> None:
        """Write the backup, and both contents under names that nobody reads: a full disk shows now, while Bytes runs.

        Neither the change nor its way back then needs any room.

        Raises:
            CannotStart: If it cannot be written; nothing is left then.
        """
        self.refuse_unwritable()
        real = self._real()
        try:
            write_like(self._backup(run), old, real)
            for content in (new, old):
                write_like(self._temporary(run, content), content, real)
            sync_folder(real.parent)
        except OSError as error:
            self.tidy(run, keep_backup=False)
            raise self._unwritable(f"{error.strerror} ({error.filename or real.parent})", _AS_OWNER) from error

    def backup(self, run: str) -> bytes | None:
        """Return the backup's content; None if there is none."""
        return backup_at(self._backup(run))

    def backup_name(self, run: str) -> str:
        """Return the backup's path."""
        return str(self._backup(run))

    def replace(self, old: bytes, new: bytes, run: str) -> None:
        """Give the staged content the file's name.

        Raises:
            MustStop: If the file has not the `old` content any more, or the system refuses.
        """  # noqa: DOC501 made by edited_meanwhile
        real, temporary = self._real(), self._temporary(run, new)
        try:
            if self._content_of(temporary) != new:
                write_like(temporary, new, real)
            if self.read() != old:
                raise edited_meanwhile(self.where)
            temporary.replace(real)
            sync_folder(real.parent)
        except OSError as error:
            raise self._trouble(error) from error

    def tidy(self, run: str, *, keep_backup: bool) -> None:
        """Remove what was staged, and the backup unless it is kept; what cannot be removed stays."""
        real = self._real()
        with suppress(OSError):
            for path in real.parent.glob(f"{escape(self._temporary_name(run))}*"):
                path.unlink()
        if not keep_backup:
            with suppress(OSError):
                self._backup(run).unlink()

    def _real(self) -> Path:
        return Path(os.path.realpath(self.path))

    def _backup(self, run: str) -> Path:
        """A name whose suffix keeps the file's syntax: bytes.conf.before-switch-20260101-… is read as bytes.conf is."""
        real = self._real()
        return real.with_name(f"{real.name}{BACKUP_MARK}{run}")

    def _temporary_name(self, run: str) -> str:
        return f".{self._real().name}.switch-{run}"

    def _temporary(self, run: str, content: bytes) -> Path:
        """Return where this content is staged."""
        real = self._real()
        return real.with_name(f"{self._temporary_name(run)}-{hashlib.sha256(content).hexdigest()[:8]}")

    def _content_of(self, path: Path) -> bytes | None:
        try:
            return path.read_bytes()
        except OSError:
            return None

    def _unusable(self, why: str) -> CannotStart:
        return CannotStart(
            "switch-settings-unreadable",
            f"Bytes' settings in {self.path} cannot be read.",
            why=why,
            cure="Name the file that Bytes starts with by --settings, and run this as a user who may read it.",
        )

    def _unwritable(self, reason: str, cure: str) -> CannotStart:
        return CannotStart(
            "switch-settings-unwritable",
            f"{self.path} cannot be replaced: {reason}.",
            why="A new file beside it takes its name. Bytes was not touched.",
            cure=cure,
        )

    def _trouble(self, error: OSError) -> MustStop:
        is_mount = error.errno == errno.EBUSY
        return MustStop(
            "switch-settings-failed",
            f"{self.path} could not be replaced: {error.strerror}.",
            why="A file that is mounted alone cannot be replaced." if is_mount else "",
            cure=_ON_THE_HOST if is_mount else "Check the disk and the rights there.",
        )


def _is_immutable(path: Path) -> bool:
    """Return whether not even root may replace it (``chattr +i``); False where the file system has no such flag."""
    flags = array("i", [0, 0])  # the kernel writes an int, whatever the call is named
    with suppress(OSError), path.open("rb") as file:
        fcntl.ioctl(file, _GET_FLAGS, flags)
    return bool(flags[0] & _IMMUTABLE)
