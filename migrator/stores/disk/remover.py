"""Deleting from a location on disk: only what is still as it was read, and then the folders that are empty."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from migrator.checks.prune.deletion_errors import changed
from migrator.core.entities import INDEX_LENGTH, Entry, RawFile, RawId
from migrator.core.errors import StoreError
from migrator.stores.disk.open_file import entry_of, translate
from migrator.stores.disk.source import FOLDER_FLAGS, DiskSource

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskRemover:
    """A data folder from which proven raw files are deleted. `run` tells its mark from another run's."""

    deletes_one_by_one = False

    def __init__(self, root: Path, *, run: str) -> None:
        self._source = DiskSource(root)
        self._root = root
        self._run = run
        self._touched: set[tuple[str, str]] = set()

    def close(self) -> None:
        """Close the folders that are open."""
        self._source.close()

    def remove(self, proven: Sequence[tuple[RawFile, Entry]]) -> Iterator[tuple[RawFile, StoreError | None]]:
        """Delete each raw file that is still what was proven; ends at the first that is not.

        An index folder is opened once for those that follow each other in it.
        """
        for (organization, index), group in groupby(
            proven, key=lambda one: (one[0].organization, one[0].raw_id[:INDEX_LENGTH])
        ):
            self._touched.add((organization, index))
            files = list(group)
            try:
                folder = self._index_folder(files[0][0])
            except StoreError as error:
                yield files[0][0], error
                return
            try:
                for raw_file, entry in files:
                    fault = self._delete(folder, raw_file, entry)
                    yield raw_file, fault
                    if fault is not None:
                        return
            finally:
                os.close(folder)

    def _delete(self, folder: int, raw_file: RawFile, entry: Entry) -> StoreError | None:
        """Delete it if it is still what was proven; return what kept it."""
        try:
            status = os.stat(raw_file.raw_id, dir_fd=folder, follow_symlinks=False)
            if entry_of(raw_file.raw_id, status) != entry:
                return changed(self._source.describe(raw_file))
            os.unlink(raw_file.raw_id, dir_fd=folder)
        except OSError as error:
            return translate(error, self._source.describe(raw_file))
        return None

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
        """Remove index and organization folders that deletions since the last call emptied; return how many."""
        touched, self._touched = self._touched, set()
        removed = 0
        for organization, index in sorted(touched):
            removed += _removed(self._root / organization / index)
        for organization in sorted({organization for organization, _ in touched}):
            removed += _removed(self._root / organization)
        return removed

    @contextmanager
    def _opened(self, raw_file: RawFile) -> Iterator[int]:
        """Open its index folder for the block; what fails in the block is told as the raw file's.

        Raises:
            StoreError: If the folder cannot be opened, or the block fails.
        """  # noqa: DOC501 made by translate
        folder = self._index_folder(raw_file)
        try:
            yield folder
        except OSError as error:
            raise translate(error, self._source.describe(raw_file)) from error
        finally:
            os.close(folder)

    def _index_folder(self, raw_file: RawFile) -> int:
        """Open a raw file's index folder, below its parents and without following links.

        Raises:
            StoreError: If it cannot be opened.
        """  # noqa: DOC501 made by translate
        opened: list[int] = []
        try:
            opened.append(os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            for name in (raw_file.organization, raw_file.raw_id[:INDEX_LENGTH]):
                opened.append(os.open(name, FOLDER_FLAGS, dir_fd=opened[-1]))
            return opened.pop()
        except OSError as error:
            raise translate(error, self._source.describe(raw_file)) from error
        finally:
            for fd in opened:
                os.close(fd)


def _removed(folder: Path) -> bool:
    """Whether it was empty, and is gone. A link is no folder, and one that holds anything stays."""
    try:
        folder.rmdir()
    except OSError:
        return False
    return True
