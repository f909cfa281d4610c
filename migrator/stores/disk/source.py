"""A location on disk: ``<data folder>/<organization>/<first 3 characters of id>/<id>``.

Every folder is opened by descriptor, below its parent, without following links: no link leads in or out of the tree. Reading is
`DiskSource`; `target` beside it adds writing.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from migrator.core.entities import (
    INDEX_LENGTH,
    Entry,
    Fingerprint,
    Folder,
    RawFile,
    RawId,
    Shard,
    is_raw_id,
    length_for,
)
from migrator.core.errors import SourceChanged, StoreError
from migrator.core.naming import disk_path_of, is_organization
from migrator.core.notices import LINKED_FILE, LINKED_FOLDER, OTHER_FOLDER_WITH_RAW_FILES, Notice, NoticeKind, Notify
from migrator.core.protocols import Promise
from migrator.stores.disk.dir_cache import OpenFolders
from migrator.stores.disk.index_listing import IndexFolders
from migrator.stores.disk.open_file import GONE, DiskContent, entry_of, translate
from migrator.stores.disk.syscalls import sync_filesystem
from migrator.stores.reserved_names import (
    FILE_SYSTEMS_OWN,
    LINKED_FOLDER_REASON,
    LOCK_FILE,
    OWN_TEMPORARY,
    disk_reason,
    is_index,
    link_hides,
)

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_SAMPLED_FOLDERS = 8


class DiskSource:
    """A data folder opened for reading."""

    def __init__(self, root: Path) -> None:
        self._root = root
        try:
            self._root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            self._root_fd = -1
        except OSError as error:
            raise translate(error, str(root)) from error
        self._folders = OpenFolders(self._root_fd, self._open_below)
        self._indexes = IndexFolders()
        self._scanned: tuple[str, os.stat_result | None, dict[tuple[int, int, int], bool]] = ("", None, {})

    def close(self) -> None:
        """Close all folders; calling it twice is harmless."""
        self._folders.forget()
        if self._root_fd >= 0:
            os.close(self._root_fd)
            self._root_fd = -1

    def settle(self) -> None:
        """Bring everything here to the medium, whoever wrote it, and open each folder anew from here on.

        Raises:
            StoreError: If the medium fails, also for what was written earlier.
        """  # noqa: DOC501 made by translate
        self._folders.forget()
        if self._root_fd < 0:
            return
        try:
            sync_filesystem(self._root_fd)
        except OSError as error:
            raise translate(error, str(self._root)) from error

    def describe(self, raw_file: RawFile) -> str:
        """Return the raw file's path."""
        return f"{self._root}/{disk_path_of(raw_file)}"

    def organizations(self, notify: Notify) -> Iterator[str]:
        """Yield the names of folders that can be organizations, ascending; all else is a stray."""
        with self._opened(".") as fd:  # of its own: threads that list one descriptor share its position
            found = self._listed(fd, str(self._root)) if fd is not None else []
        for name, is_folder in found:
            if is_folder and is_organization(name):
                yield name
            elif not (is_folder and name == FILE_SYSTEMS_OWN):
                self._report_stray(notify, (name,), self._root_fd, "", is_folder=is_folder)

    def shard_length(self, organization: str) -> int:
        """Estimate from some index folders; 0 where they cannot be read, which the scan tells."""
        try:
            with self._opened(organization) as fd:
                return length_for(self._estimated_files(organization, fd)) if fd is not None else 0
        except (OSError, StoreError):
            return 0  # the scan tells what cannot be read

    def _estimated_files(self, organization: str, fd: int) -> float:
        indexes = self._indexes.below(organization, fd, "")
        sampled = indexes[:: max(1, len(indexes) // _SAMPLED_FOLDERS)]
        found = 0
        for name in sampled:
            with self._opened_below(fd, name) as folder:
                found += len(os.listdir(folder)) if folder is not None else 0
        return found * len(indexes) / max(1, len(sampled))

    def folders(self, shard: Shard) -> Sequence[Folder]:
        """Return the shard's index folders with their present state; nothing where they cannot be read."""
        try:
            with self._opened(shard.organization) as fd:
                if fd is None:
                    return ()
                names = self._indexes.below(shard.organization, fd, shard.prefix)
                found = [os.stat(name, dir_fd=fd, follow_symlinks=False) for name in names]
                states = (Fingerprint(one.st_ino, one.st_mtime_ns, one.st_ctime_ns) for one in found)
                return list(map(Folder, names, states))
        except (OSError, StoreError):
            return ()  # no short cut then: the scan tells what cannot be read

    def scan(self, shard: Shard, notify: Notify) -> Iterator[Entry]:
        """Yield the shard's raw files, one index folder in memory at a time.

        Raises:
            StoreError: If the organization's folder cannot be listed; an index folder that cannot is told as a notice.
        """  # noqa: DOC501 made by translate
        organization, prefix = shard
        with self._opened_or_reported(organization, notify) as fd:
            if fd is None:
                return
            if not prefix:
                self._scan_strays(organization, fd, notify)
            try:
                indexes = self._indexes.below(organization, fd, prefix)
            except OSError as error:
                raise translate(error, f"{self._root}/{organization}") from error
            for index in indexes:
                yield from self._scan_folder(fd, organization, index, notify)

    def scan_strays(self, organization: str, notify: Notify, *, length: int = 1) -> None:
        """Tell what lies in the organization's folder beside its index folders."""
        with self._opened(organization) as fd:
            if fd is not None:
                self._scan_strays(organization, fd, notify)

    def is_empty(self, organization: str) -> bool:
        """Return True if the organization's folder is missing or has no entry at all.

        Raises:
            StoreError: If it cannot be listed.
        """  # noqa: DOC501 made by translate
        with self._opened(organization) as fd:
            if fd is None:
                return True
            try:
                with os.scandir(fd) as found:
                    return next(found, None) is None
            except OSError as error:
                raise translate(error, f"{self._root}/{organization}") from error

    def stat(self, raw_file: RawFile) -> Entry | None:
        """Return the raw file's present entry; None if it, or a folder above, is missing.

        Raises:
            StoreError: If the system refuses.
        """  # noqa: DOC501 made by translate
        with self._opened(raw_file.organization) as organization:
            if organization is None:
                return None
            with self._opened_below(organization, raw_file.raw_id[:INDEX_LENGTH], raw_file.organization) as folder:
                if folder is None:
                    return None
                try:
                    status = os.stat(raw_file.raw_id, dir_fd=folder, follow_symlinks=False)
                except FileNotFoundError:
                    return None
                except OSError as error:
                    raise translate(error, self.describe(raw_file)) from error
                return entry_of(raw_file.raw_id, status)

    def is_listed(self, raw_file: RawFile) -> bool:
        """Return True if a listing of the index folder has the name, read anew."""
        with self._opened(raw_file.organization) as organization:
            if organization is None:
                return False
            with self._opened_below(organization, raw_file.raw_id[:INDEX_LENGTH], raw_file.organization) as folder:
                return folder is not None and raw_file.raw_id in self._names_in(folder)

    def _names_in(self, folder: int) -> list[str]:
        """Return the names in an opened folder at this moment.

        Raises:
            StoreError: If the system refuses.
        """  # noqa: DOC501 made by translate
        try:
            return os.listdir(folder)
        except OSError as error:
            raise translate(error, str(self._root)) from error

    def promise(self, raw_file: RawFile) -> Promise | None:
        """Return None: a disk says nothing of contents."""
        return None

    def can_read(self, raw_file: RawFile) -> bool:
        """Return True if this process's effective user may read the file, by access(2).

        Of the raw file that a scan has just yielded, owner and mode are known: in an index folder, the first one with them answers for all
        that have the same. Asking for each would cost half as much as the scan.
        """
        raw_id, status, answers = self._scanned
        if raw_id != raw_file.raw_id or status is None:
            return self._may_read(raw_file)
        kind = status.st_mode, status.st_uid, status.st_gid
        known = answers.get(kind)
        if known is None:
            known = answers[kind] = self._may_read(raw_file)
        return known

    def _may_read(self, raw_file: RawFile) -> bool:
        return os.access(disk_path_of(raw_file), os.R_OK, dir_fd=self._root_fd, effective_ids=True)

    @contextmanager
    def open(self, raw_file: RawFile, entry: Entry) -> Iterator[DiskContent]:
        """Open the raw file without following links, and close it behind the block."""
        where = self.describe(raw_file)
        fd = self._open_file(raw_file)
        try:
            yield DiskContent(fd, raw_file.raw_id, where)
        finally:
            os.close(fd)

    def read_whole(self, raw_file: RawFile, largest: int) -> tuple[bytes, Entry]:
        """Return the content of a small raw file, and the file as it was read; `largest` is in bytes.

        What `open` and `DiskContent` do, in one go: this is called for each small raw file, and costs half of them.

        Raises:
            SourceChanged: If it is larger, or changed while it was read.
            StoreError: If the system refuses.
        """  # noqa: DOC501 made by translate
        fd = self._open_file(raw_file)
        try:
            status = os.fstat(fd)
            is_small = stat.S_ISREG(status.st_mode) and status.st_size <= largest
            data = (
                os.read(fd, status.st_size + 1) if is_small else b""
            )  # a larger buffer would cost more than the reading
            after = os.fstat(fd)
        except OSError as error:
            raise translate(error, self.describe(raw_file)) from error
        finally:
            os.close(fd)
        entry = entry_of(raw_file.raw_id, status)
        if not is_small or len(data) != entry.size or entry_of(raw_file.raw_id, after) != entry or not after.st_nlink:
            where = self.describe(raw_file)
            raise SourceChanged("source-changed", f"{where} is not what was listed, or changed while it was read.")
        return data, entry

    def _open_below(self, parent: int, name: str) -> int:
        return os.open(name, FOLDER_FLAGS, dir_fd=parent)

    def _open_file(self, raw_file: RawFile) -> int:
        try:
            with self._folders.opened(raw_file) as folder:
                return os.open(raw_file.raw_id, _FILE, dir_fd=folder)
        except OSError as error:
            raise translate(error, self.describe(raw_file)) from error

    def _scan_folder(self, parent: int, organization: str, index: str, notify: Notify) -> Iterator[Entry]:
        try:
            fd = os.open(index, FOLDER_FLAGS, dir_fd=parent)
        except OSError as error:
            if error.errno not in GONE or (error.errno == errno.ENOENT and index in self._names_in(parent)):
                notify(self._unreadable(error, organization, index))
            return  # a link or file in a folder's place was told with the organization's strays
        try:
            try:
                names = sorted(os.listdir(fd))
            except OSError as error:
                notify(self._unreadable(error, organization, index))
                return
            answers: dict[tuple[int, int, int], bool] = {}
            for name in names:
                if not is_raw_id(name) or name[:INDEX_LENGTH] != index:
                    self._report_stray(notify, (organization, index, name), fd, organization)
                    continue
                try:
                    status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                except FileNotFoundError:
                    if name in self._names_in(fd):  # listed still: whoever opens it finds out that it has not vanished
                        yield Entry(RawId(name), 0)
                    continue
                except OSError as error:  # a folder may be listed without being let into it
                    notify(self._unreadable(error, organization, index))
                    return
                if stat.S_ISREG(status.st_mode):
                    self._scanned = name, status, answers
                    yield entry_of(RawId(name), status)
                else:
                    self._report_stray(notify, (organization, index, name), fd, organization)
        finally:
            os.close(fd)

    def _scan_strays(self, organization: str, fd: int, notify: Notify) -> None:
        for name, is_folder in self._listed(fd, f"{self._root}/{organization}"):
            if not (is_folder and is_index(name)):
                self._report_stray(notify, (organization, name), fd, organization, is_folder=is_folder)

    def _listed(self, fd: int, where: str) -> list[tuple[str, bool]]:
        try:
            with os.scandir(fd) as found:
                return sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in found)
        except OSError as error:
            raise translate(error, where) from error

    def _report_stray(
        self, notify: Notify, parts: tuple[str, ...], fd: int, organization: str, *, is_folder: bool = False
    ) -> None:
        if parts == (LOCK_FILE,):
            return  # the mark of a run of prune
        if OWN_TEMPORARY.fullmatch(parts[-1]):
            self._met_own_temporary(parts, fd)
            return
        where = "/".join((str(self._root), *parts))
        try:
            status = os.stat(parts[-1], dir_fd=fd, follow_symlinks=False)
        except OSError:
            return
        if stat.S_ISLNK(status.st_mode) and self._report_link(notify, parts, fd):
            return
        size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        is_folder = is_folder or stat.S_ISDIR(status.st_mode)
        reason = disk_reason(parts, status.st_mode, is_folder=is_folder)
        if len(parts) == 1 and is_folder and self._resembles_organization(parts[0]):
            reason = OTHER_FOLDER_WITH_RAW_FILES
        notify(Notice(NoticeKind.STRAY, where, reason, organization, size))

    def _resembles_organization(self, name: str) -> bool:
        """Return True if one of the first index folders below this folder holds a name in the form of a raw id."""
        try:
            with self._opened(name) as fd:
                if fd is None:
                    return False
                for index in self._indexes.below(name, fd, "")[:_SAMPLED_FOLDERS]:
                    with self._opened_below(fd, index, name) as folder:
                        if folder is not None and any(map(is_raw_id, self._names_in(folder))):
                            return True
        except (OSError, StoreError):
            return False
        return False

    def _report_link(self, notify: Notify, parts: tuple[str, ...], fd: int) -> bool:
        """Report a link through which Bytes reads raw files; return False for any other link."""
        try:
            hidden = link_hides(parts, os.stat(parts[-1], dir_fd=fd).st_mode)
        except OSError:
            return False  # it leads nowhere
        if not hidden:
            return False
        where = "/".join((str(self._root), *parts))
        if hidden == "folder":
            reason, kind = LINKED_FOLDER_REASON, NoticeKind.UNREADABLE_FOLDER
            notify(Notice(kind, where, reason, parts[0], code=LINKED_FOLDER))
        else:
            notify(Notice(NoticeKind.STRAY, where, LINKED_FILE, parts[0]))
        return True

    def _met_own_temporary(self, parts: tuple[str, ...], fd: int) -> None:
        """A reader leaves them alone: they may belong to a run that is under way."""

    def _unreadable(self, error: OSError, organization: str, index: str = "") -> Notice:
        where = "/".join(part for part in (str(self._root), organization, index) if part)
        reason = f"the folder cannot be read ({os.strerror(error.errno or 0)})"
        return Notice(NoticeKind.UNREADABLE_FOLDER, where, reason, organization)

    @contextmanager
    def _opened(self, organization: str) -> Iterator[int | None]:
        """The organization's folder; None where there is none. Raises Unreadable."""
        if self._root_fd < 0:
            yield None
            return
        with self._opened_below(self._root_fd, organization) as fd:
            yield fd

    @contextmanager
    def _opened_or_reported(self, organization: str, notify: Notify) -> Iterator[int | None]:
        """As `_opened`, but a folder that cannot be read is told and then treated as having nothing."""
        try:
            fd = os.open(organization, FOLDER_FLAGS, dir_fd=self._root_fd) if self._root_fd >= 0 else None
        except OSError as error:
            if error.errno not in GONE or (error.errno == errno.ENOENT and self._is_in_root(organization)):
                notify(self._unreadable(error, organization))
            fd = None
        try:
            yield fd
        finally:
            if fd is not None:
                os.close(fd)

    def _is_in_root(self, organization: str) -> bool:
        """Whether a fresh listing of the data folder names it."""
        with self._opened(".") as fd:
            return fd is not None and organization in self._names_in(fd)

    @contextmanager
    def _opened_below(self, parent: int, name: str, organization: str = "") -> Iterator[int | None]:
        # A folder of the data folder, or of an organization in it; None where there is none. An error has its whole path.
        try:
            fd = os.open(name, FOLDER_FLAGS, dir_fd=parent)
        except OSError as error:
            if error.errno in GONE:
                yield None
                return
            raise translate(error, str(self._root.joinpath(organization, name))) from error
        try:
            yield fd
        finally:
            os.close(fd)
