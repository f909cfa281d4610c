"""Deleting from a location on disk: only what is still as it was read, and then the folders that are empty."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from migrator.checks.prune import changed
from migrator.core.entities import INDEX_LENGTH, Entry, RawFile, RawId
from migrator.core.errors import StoreError
from migrator.stores.disk.source import FOLDER_FLAGS, DiskSource, entry_of, translate

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskRemover:
    """A data folder from which proven raw files are deleted. `run` tells its mark from another run's."""

    def __init__(self, root: Path, *, run: str) -> None:
        self._source = DiskSource(root)
        self._root = root
        self._run = run
        self._touched: set[tuple[str, str]] = set()

    def close(self) -> None:
        """Close the folders that are open."""
        self._source.close()

    def remove(self, proven: Sequence[tuple[RawFile, Entry]]) -> Iterator[tuple[RawFile, StoreError | None]]:
        """Delete each raw file that is still what was proven; ends at the first that is not."""
        for raw_file, entry in proven:
            try:
                with self._opened(raw_file) as folder:
                    self._refuse_changed(folder, raw_file, entry)
                    os.unlink(raw_file.raw_id, dir_fd=folder)
            except StoreError as error:
                yield raw_file, error
                return
            self._touched.add((raw_file.organization, raw_file.raw_id[:INDEX_LENGTH]))
            yield raw_file, None

    def mark(self, raw_file: RawFile) -> tuple[RawFile, Callable[[], None]]:
        """Put an empty file into its index folder; without room, which is why it is pruned, another link to the raw file.

        Raises:
            OSError: If neither can be made.
        """
        mark = RawFile(raw_file.organization, RawId(f"{raw_file.raw_id}.{self._run}.mark-of-bytes-migrator"))
        with self._opened(mark) as folder:
            try:
                os.close(os.open(mark.raw_id, _NEW, 0o600, dir_fd=folder))
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                names = raw_file.raw_id, mark.raw_id
                os.link(*names, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)

        def take_away() -> None:
            with self._opened(mark) as folder:
                os.unlink(mark.raw_id, dir_fd=folder)

        return mark, take_away

    def remove_empty_folders(self) -> int:
        """Remove index and organization folders that this run emptied; return how many."""
        removed = 0
        for organization, index in sorted(self._touched):
            removed += _removed(self._root / organization / index)
        for organization in sorted({organization for organization, _ in self._touched}):
            removed += _removed(self._root / organization)
        return removed

    @contextmanager
    def _opened(self, raw_file: RawFile) -> Iterator[int]:
        """Open its index folder for the block; what fails in the block is told as the raw file's.

        Raises:
            StoreError: If the folder cannot be opened, or the block fails.
        """  # noqa: DOC501 made by translate
        try:
            with _IndexFolder(self._root, raw_file) as folder:
                yield folder
        except OSError as error:
            raise translate(error, self._source.describe(raw_file)) from error

    def _refuse_changed(self, folder: int, raw_file: RawFile, entry: Entry) -> None:
        status = os.stat(raw_file.raw_id, dir_fd=folder, follow_symlinks=False)
        if entry_of(raw_file.raw_id, status) != entry:
            raise changed(self._source.describe(raw_file))


class _IndexFolder:
    """A raw file's index folder, opened without following links."""

    def __init__(self, root: Path, raw_file: RawFile) -> None:
        self._root = root
        self._raw_file = raw_file

    def __enter__(self) -> int:
        opened = [os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
        try:
            for name in (self._raw_file.organization, self._raw_file.raw_id[:INDEX_LENGTH]):
                opened.append(os.open(name, FOLDER_FLAGS, dir_fd=opened[-1]))
            self._fd = opened.pop()
        finally:
            for fd in opened:
                os.close(fd)
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _removed(folder: Path) -> bool:
    """Whether it was empty, and is gone. A link is no folder, and one that holds anything stays."""
    try:
        folder.rmdir()
    except OSError:
        return False
    return True
