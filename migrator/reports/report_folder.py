"""The folder of ``--report``: files for their owner alone, that appear whole or not at all, and never within a data folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from migrator.core.errors import CannotStart, MustStop, SettingsError


class ReportFolder:
    """Where the files of a report go. Made with its parents where it is missing."""

    def __init__(self, path: Path, *, data_folders: Sequence[Path]) -> None:
        """Raises SettingsError for a place within a data folder, CannotStart for one that cannot be written."""
        self.path = path.absolute()
        refuse_within(path, data_folders, "--report")
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._refused(error) from error

    def write(self, name: str, text: str) -> Path:
        """One whole file; replaces an earlier one at once."""
        with self.growing(name) as file:
            file.write(text)
        return self.path / name

    @contextmanager
    def growing(self, name: str) -> Iterator[TextIO]:
        """Open a file that is written bit by bit and gets its name at the end of the block; an error leaves nothing.

        Raises:
            MustStop: If it cannot be written.
        """
        partial = self.path / f".{name}.partial"
        try:
            file = self._opened(partial)
        except OSError as error:
            raise self._refused(error) from error
        try:
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                partial.replace(self.path / name)
        except OSError as error:
            _remove(partial)
            raise MustStop(
                "report-unwritable",
                f"The report in {self.path} cannot be written ({error.strerror}).",
                cure="Make room or give the right, then run: bytes-migrator report RUN",
            ) from error
        except BaseException:
            _remove(partial)
            raise

    def _opened(self, path: Path) -> TextIO:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.fchmod(descriptor, 0o600)
            os.ftruncate(descriptor, 0)
        except OSError:
            os.close(descriptor)
            raise
        return os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="")

    def _refused(self, error: OSError) -> CannotStart:
        busy = isinstance(error, BlockingIOError)
        return CannotStart(
            "report-unwritable",
            f"The report's folder {self.path} cannot be written"
            + (": another run writes its report there." if busy else f" ({error.strerror})."),
            cure="Name another folder with --report.",
        )


def refuse_within(path: Path, data_folders: Sequence[Path], option: str) -> None:
    """Refuse a place within a data folder, whatever links lead there: it would be a stray among the raw files.

    Raises:
        SettingsError: If it is; it names the option.
    """
    real = Path(os.path.realpath(path))
    for folder in data_folders:
        if real.is_relative_to(os.path.realpath(folder)):
            raise SettingsError(
                "report-in-data-folder",
                f"{path} of {option} lies within the data folder {folder}.",
                why="It would be a stray among the raw files.",
                cure=f"Name a place elsewhere with {option}.",
            )


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
