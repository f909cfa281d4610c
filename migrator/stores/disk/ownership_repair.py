"""Finds raw files and folders of a data folder that Bytes' user cannot use, and sets their owner and mode right.

Owner and mode are compared as the kernel would: see `doctor/bytes_user.py`. Only what carries Bytes' names is looked at: the data folder,
organizations, index folders and raw files. Links are never followed, and nothing is changed but through a descriptor of the file itself.
One ``stat`` for each raw file; none is opened but to be set right.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from migrator.core.entities import INDEX_LENGTH, RawFile, is_raw_id
from migrator.core.errors import CannotStart
from migrator.core.naming import is_organization
from migrator.core.notices import NoticeKind, Problem
from migrator.core.tally import Tally
from migrator.doctor.bytes_user import PASS, READ, SAVE, BytesUser, can_own, has_access_list
from migrator.stores.disk.source import FOLDER_FLAGS
from migrator.stores.disk.syscalls import sync_filesystem
from migrator.stores.reserved_names import is_index
from migrator.sync.messages import ProgressEvent

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
SEND_AFTER = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """Who becomes owner of what keeps Bytes' user out: `owner` is a user and a group id. Needs root's rights.

    Modes are Bytes' own, where those that are there keep even their owner out. `writes` False: a dry run, which counts
    what would be set right and changes nothing.
    """

    owner: tuple[int, int]
    folder_mode: int
    file_mode: int
    writes: bool = True


@dataclass(slots=True, kw_only=True)
class Access:
    """What was found. `lists`: folders with an access list; `inspected` raw files; `is_whole` False where the look was broken off."""

    tally: Tally = field(default_factory=Tally)
    first: list[str] = field(default_factory=list)
    lists: list[str] = field(default_factory=list)
    inspected: int = 0
    is_whole: bool = True


class AccessScan:
    """One walk over a data folder. `organizations` empty: all that are there. `stop` breaks it off."""

    def __init__(
        self,
        root: Path,
        user: BytesUser,
        organizations: Sequence[str] = (),
        *,
        correction: Correction | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.found = Access()
        self._root, self._user, self._organizations = root, user, organizations
        self._correction, self._stop = correction, stop
        self._changed = False

    def run(self) -> Iterator[ProgressEvent]:
        """Yield, for each organization, what is closed to Bytes' user and what was set right.

        Raises:
            CannotStart: If owners and modes cannot be read or set at all.
        """
        try:
            fd = os.open(self._root, _ROOT)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError:
            return  # a look at the target has told it
        try:
            event = ProgressEvent(organization="")
            is_open = self._folder(fd, str(self._root), event)
            if event.problems or event.tally.owner_corrected.files:
                yield self._counted(event)
            for name in self._organizations or self._named(fd, is_organization):
                yield from self._organization(fd, name, is_open=is_open)
            if self._changed:
                sync_filesystem(fd)
        except OSError as error:
            raise CannotStart(
                "access-look-failed",
                f"Owners and modes below {self._root} cannot be read or set ({os.strerror(error.errno or 0)}).",
                cure="Look at that disk: dmesg, mount. To skip this check: --force closed-to-bytes.",
            ) from error
        finally:
            os.close(fd)

    def _organization(self, root: int, name: str, *, is_open: bool) -> Iterator[ProgressEvent]:
        event = ProgressEvent(organization=name)
        fd = self._opened(root, name, f"{self._root}/{name}", event)
        if fd is None:
            if event.problems:
                yield self._counted(event)
            return
        try:
            is_open = self._folder(fd, f"{self._root}/{name}", event) and is_open
            for index in self._named(fd, is_index):
                self._index(fd, name, index, event, is_open=is_open)
                if len(event.problems) >= SEND_AFTER:
                    yield self._counted(event)
                    event = ProgressEvent(organization=name)
                if self._stop():
                    self.found.is_whole = False
                    break
        finally:
            os.close(fd)
        if event.problems or event.tally.owner_corrected.files:
            yield self._counted(event)

    def _index(self, parent: int, organization: str, index: str, event: ProgressEvent, *, is_open: bool) -> None:
        where = f"{self._root}/{organization}/{index}"
        fd = self._opened(parent, index, where, event)
        if fd is None:
            return
        try:
            is_open = self._folder(fd, where, event) and is_open
            user, count = self._user, 0
            for name in os.listdir(fd):
                if not is_raw_id(name) or name[:INDEX_LENGTH] != index:
                    continue
                count += 1
                try:
                    status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                except OSError:
                    continue  # gone by now, or the scan tells that the folder cannot be read
                if (is_open and user.may(status, READ)) or not stat.S_ISREG(status.st_mode):
                    continue
                self._raw_file(fd, RawFile(organization, name), status, event, is_open=is_open)  # type: ignore[arg-type]
            self.found.inspected += count
        finally:
            os.close(fd)

    def _raw_file(
        self, folder: int, raw_file: RawFile, status: os.stat_result, event: ProgressEvent, *, is_open: bool
    ) -> None:
        organization, raw_id = raw_file
        where = f"{self._root}/{organization}/{raw_id[:INDEX_LENGTH]}/{raw_id}"
        reason = ""
        if not self._user.may(status, READ):
            reason = self._corrected(folder, raw_id, status)
            if not reason:
                event.tally.owner_corrected.add(status.st_size)
        if not reason and not is_open:
            reason = "a folder above it does not let Bytes' user in"
        if reason:
            event.tally.closed.add(status.st_size)
            problem = Problem(NoticeKind.CLOSED.value, organization, where, reason, raw_id, status.st_size, where)
            event.problems.append(problem)

    def _corrected(self, folder: int, name: str, seen: os.stat_result) -> str:
        """Set a raw file right; why it stays closed, or an empty text."""
        why = f"{_mode(seen)} keeps {self._user} out"
        correction = self._correction
        if correction is None:
            return why
        if seen.st_nlink != 1:  # through another name, this could give away any file of this file system
            return f"{why}; it has another name (hard link) and is left as it is"
        if not correction.writes:
            return "" if can_own(seen.st_mode, READ) or can_own(correction.file_mode, READ) else why
        try:
            fd = os.open(name, _FILE, dir_fd=folder)
        except OSError as error:
            return f"{why}, and it cannot be opened ({os.strerror(error.errno or 0)})"
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or status.st_ino != seen.st_ino:
                return f"{why}; it changed meanwhile"
            return self._set_right(fd, status, READ, correction.owner, correction.file_mode)
        finally:
            os.close(fd)

    def _folder(self, fd: int, where: str, event: ProgressEvent) -> bool:
        """Look at an opened folder, and set it right; whether Bytes' user can pass it."""
        status = os.fstat(fd)
        if has_access_list(fd):
            self.found.lists.append(where)
        if self._user.may(status, SAVE):
            return True
        why = f"{_mode(status)} keeps {self._user} out"
        correction = self._correction
        if correction is not None and correction.writes:
            why = self._set_right(fd, status, SAVE, correction.owner, correction.folder_mode)
        elif correction is not None and (can_own(status.st_mode, SAVE) or can_own(correction.folder_mode, SAVE)):
            why = ""
        if not why:
            event.tally.owner_corrected.add(0)
            return True
        self._closed_folder(where, f"folder: {why}", event)
        return self._user.may(os.fstat(fd), PASS)

    def _opened(self, parent: int, name: str, where: str, event: ProgressEvent) -> int | None:
        try:
            return os.open(name, FOLDER_FLAGS, dir_fd=parent)
        except PermissionError:
            with suppress(OSError):
                status = os.stat(name, dir_fd=parent, follow_symlinks=False)
                if not self._user.may(status, SAVE):
                    self._closed_folder(where, f"folder: {_mode(status)} keeps {self._user} out", event)
        except OSError:
            return None  # not there, or a link or file in a folder's place: Bytes' files are not in it
        return None

    def _closed_folder(self, where: str, reason: str, event: ProgressEvent) -> None:
        event.tally.closed.add(0)
        event.problems.append(Problem(NoticeKind.CLOSED.value, event.organization, where, reason, target=where))

    def _set_right(self, fd: int, status: os.stat_result, wanted: int, owner: tuple[int, int], mode: int) -> str:
        """Give what is opened to Bytes' user, with `mode` where its own keeps even the owner out; why that did not help."""
        user = self._user
        try:
            if status.st_uid != user.uid:
                os.fchown(fd, *owner)
                self._changed = True
            now = os.fstat(fd)
            if not user.may(now, wanted):
                os.fchmod(fd, mode | (now.st_mode & stat.S_ISGID))
                self._changed = True
                now = os.fstat(fd)
        except OSError as error:
            return f"{_mode(status)} keeps {user} out, and cannot be changed ({os.strerror(error.errno or 0)})"
        return "" if user.may(now, wanted) else f"{_mode(now)} keeps {user} out"

    def _named(self, fd: int, is_one: Callable[[str], object]) -> list[str]:
        try:
            return sorted(name for name in os.listdir(fd) if is_one(name))
        except OSError:
            return []  # the scan tells that the folder cannot be read

    def _counted(self, event: ProgressEvent) -> ProgressEvent:
        self.found.tally.merge(event.tally)
        self.found.first += [problem.where for problem in event.problems[: 10 - len(self.found.first)]]
        return event


class AccessCheck:
    """Whether a user may read single raw files of a data folder. Best asked in the order of a scan; used by one thread.

    `folders_will_open`: `let_group_pass` comes before the user reads, so folders of its own group do not keep it out.
    """

    def __init__(self, root: Path, user: BytesUser, *, folders_will_open: bool = False) -> None:
        self._user, self._folders_will_open = user, folders_will_open
        try:
            self._fd = os.open(root, _ROOT)
        except OSError:
            self._fd = -1  # a look at the location tells why
        self._folders: tuple[str, str, str] = ("", "", "")

    def __enter__(self) -> AccessCheck:
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def why_closed(self, raw_file: RawFile) -> str:
        """Why not, in words; empty where it may, or where nothing is known."""
        if self._fd < 0:
            return ""
        organization, raw_id = raw_file
        index = raw_id[:INDEX_LENGTH]
        if self._folders[:2] != (organization, index):
            places = (".", organization, f"{organization}/{index}")
            whys = (self._why(place, PASS) for place in places)
            self._folders = (organization, index, next((f"a folder above it: {why}" for why in whys if why), ""))
        return self._folders[2] or self._why(f"{organization}/{index}/{raw_id}", READ)

    def _why(self, place: str, wanted: int) -> str:
        try:
            status = os.stat(place, dir_fd=self._fd, follow_symlinks=False)
        except OSError:
            return ""
        if wanted == PASS and self._folders_will_open and status.st_gid in self._user.groups:
            return ""
        return "" if self._user.may(status, wanted) else f"{_mode(status)} keeps {self._user} out"


def let_group_pass(root: Path, user: BytesUser) -> int:
    """Let the group pass those of Bytes' folders that keep this user out, where it is in their group; return how many that were.

    Links are not followed. What cannot be changed stays as it is: whoever reads there then tells.
    """
    opened = int(_let_group_pass(root, user))
    for organization in _folders_in(root, is_organization):
        opened += _let_group_pass(organization, user)
        opened += sum(_let_group_pass(one, user) for one in _folders_in(organization, is_index))
    return opened


def _folders_in(folder: Path, has_name: Callable[[str], object]) -> Iterator[Path]:
    with suppress(OSError), os.scandir(folder) as found:
        for one in found:
            if has_name(one.name) and one.is_dir(follow_symlinks=False):
                yield folder / one.name


def _let_group_pass(folder: Path, user: BytesUser) -> bool:
    with suppress(OSError):
        fd = os.open(folder, FOLDER_FLAGS)
        try:
            status = os.fstat(fd)
            if not user.may(status, PASS) and status.st_gid in user.groups and user.uid != status.st_uid:
                os.fchmod(fd, stat.S_IMODE(status.st_mode) | stat.S_IXGRP)
                return True
        finally:
            os.close(fd)
    return False


def _mode(status: os.stat_result) -> str:
    """As `ls -ln` shows it: owner, group and mode."""
    return f"owner {status.st_uid}:{status.st_gid}, mode {stat.S_IMODE(status.st_mode):o}"
