"""An env file that Bytes reads at its start, replaced whole: a crash leaves the old file or the new one, never a part of one."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from glob import escape
from pathlib import Path

from migrator.config.env_file import LARGEST_FILE, Setting
from migrator.config.environment import BACKUP_MARK
from migrator.core.errors import CannotStart, MustStop
from migrator.ledger.directory import sync_folder
from migrator.switch.settings_edit import Wanted, edited, settings_of
from migrator.switch.settings_store import backup_at, edited_meanwhile
from migrator.switch.whole_file import write_like


class SettingsFile:
    """`path` may be a link: the file that it leads to is replaced, and the link stays."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    @property
    def where(self) -> str:
        """Return the file's path."""
        return str(self.path)

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

    def stage(self, old: bytes, new: bytes, run: str) -> None:
        """Write the backup, and both contents under names that nobody reads: a full disk shows now, while Bytes runs.

        Neither the change nor its way back then needs any room.

        Raises:
            CannotStart: If it cannot be written; nothing is left then.
        """
        real = self._real()
        try:
            write_like(self._backup(run), old, real)
            for content in (new, old):
                write_like(self._temporary(run, content), content, real)
            sync_folder(real.parent)
        except OSError as error:
            self.tidy(run, keep_backup=False)
            raise CannotStart(
                "switch-settings-unwritable",
                f"{self.path} cannot be replaced: {error.strerror} ({error.filename or real.parent}).",
                why="A new file beside it takes its name. Bytes was not touched.",
                cure="Make room, or run this as that folder's owner (root for /etc/kat).",
            ) from error

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

    def _trouble(self, error: OSError) -> MustStop:
        is_mount = error.errno == errno.EBUSY
        return MustStop(
            "switch-settings-failed",
            f"{self.path} could not be replaced: {error.strerror}.",
            why="A file that is mounted alone cannot be replaced." if is_mount else "",
            cure="Run this on the host, where the file lies." if is_mount else "Check the disk and the rights there.",
        )
