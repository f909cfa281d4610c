"""Index folders kept open for a moment: raw files come in order, so the next one mostly lies in the folder of the last."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager

from migrator.core.entities import INDEX_LENGTH, RawFile
from migrator.core.open_files import folders_that_fit

_KEPT = 64


class _OpenFolder:
    """A descriptor that stays open until `users` have left it: each leaves by the end of its with block.

    Not by `contextlib.contextmanager`, whose generator costs 5 % of what reading a small raw file does.
    """

    __slots__ = ("_lock", "fd", "users")

    def __init__(self, fd: int, lock: threading.Lock) -> None:
        self.fd = fd
        self.users = 0
        self._lock = lock

    def __enter__(self) -> int:
        return self.fd

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.users -= 1


class OpenFolders:
    """Descriptors of organizations' index folders, opened one below the other by `open_below` and shared by all threads."""

    def __init__(self, root_fd: int, open_below: Callable[[int, str], int]) -> None:
        self._root_fd = root_fd
        self._open_below = open_below
        self._lock = threading.Lock()
        self._folders: OrderedDict[tuple[str, str], _OpenFolder] = OrderedDict()
        self._parent: tuple[str, int] | None = None
        self._kept = folders_that_fit(_KEPT)

    def opened(self, raw_file: RawFile) -> AbstractContextManager[int]:
        """The raw file's index folder, for a with block, and as long as that lasts. Raises OSError."""
        organization, raw_id = raw_file
        index = raw_id[:INDEX_LENGTH]
        key = (organization, index)
        with self._lock:
            folder = self._folders.get(key)
            if folder is None:
                folder = self._folders[key] = _OpenFolder(self._open(organization, index), self._lock)
                if len(self._folders) > self._kept:
                    self._close_unused(self._kept // 2)
            else:
                self._folders.move_to_end(key)
            folder.users += 1
        return folder

    def forget(self) -> None:
        """Open everything anew from here on: what is kept for long may have been moved meanwhile."""
        with self._lock:
            self._close_unused(0)
            self._close_parent()

    def _open(self, organization: str, index: str) -> int:
        if self._parent is None or self._parent[0] != organization:
            self._close_parent()
            self._parent = (organization, self._open_below(self._root_fd, organization))
        return self._open_below(self._parent[1], index)

    def _close_parent(self) -> None:
        if self._parent is not None:
            os.close(self._parent[1])
            self._parent = None

    def _close_unused(self, kept: int) -> None:
        for key in list(self._folders)[: max(0, len(self._folders) - kept)]:
            if not self._folders[key].users:
                os.close(self._folders.pop(key).fd)
