"""The data folder itself: made with its mode and owner, and tried out before anything is written into it."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from migrator.core.errors import CannotStart
from migrator.core.findings import Finding
from migrator.doctor.finding_shorthands import warned
from migrator.stores.disk.source import FOLDER_FLAGS
from migrator.stores.disk.syscalls import rename_without_replacing, sync_filesystem
from migrator.stores.reserved_names import temporary_name

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_TRIED_OUT = [temporary_name("00000000-0000-0000-0000-000000000000", word) for word in ("probe", "named")]


def give_mode_and_owner(fd: int, mode: int, owner: tuple[int, int] | None) -> None:
    """Set a new folder's mode, whatever the umask, and its owner; a setgid bit that it inherited stays."""
    status = os.fstat(fd)
    if owner is not None and (status.st_uid, status.st_gid) != owner:
        os.fchown(fd, *owner)
    wanted = mode | (status.st_mode & stat.S_ISGID)
    if stat.S_IMODE(status.st_mode) != wanted:
        os.fchmod(fd, wanted)


def make_root(root: Path, mode: int, given: tuple[int, int] | None) -> None:
    """Make the data folder itself if it is missing; its parent must be there, so that a typing error makes no tree.

    Raises:
        CannotStart: If it cannot be made.
    """
    try:
        if root.is_dir():
            return
        parent = os.stat(root.parent)
        root.mkdir(mode=0o700)
        fd = os.open(root, FOLDER_FLAGS)
        owner = (given or (parent.st_uid, parent.st_gid)) if os.geteuid() == 0 else None
        try:
            give_mode_and_owner(fd, mode, owner)
        finally:
            os.close(fd)
    except OSError as error:
        raise CannotStart(
            "target-folder",
            f"The data folder {root} cannot be made ({os.strerror(error.errno or 0)}).",
            cure=f"Make {root.parent} first, or mount the volume that belongs there.",
        ) from error


def try_out(root: Path, owner: tuple[int, int] | None = None) -> tuple[Finding, ...]:
    """Prove that raw files can be published here and, as root, get their `owner`; make durable what an earlier run left in memory.

    An earlier run may have been killed between giving names and making them durable: what this one finds has to be
    durable before it counts as present. The caller holds the lock.

    Raises:
        CannotStart: If the folder cannot be opened, or an empty file in it cannot be made, given away, renamed or synced.
    """
    try:
        fd = os.open(root, FOLDER_FLAGS & ~os.O_NOFOLLOW)
    except OSError as error:
        raise CannotStart(
            "target-folder",
            f"The data folder {root} cannot be opened ({os.strerror(error.errno or 0)}).",
            cure="Run this as root, or as Bytes' user.",
        ) from error
    try:
        _publish_nothing(fd, root, owner if os.geteuid() == 0 else None)
        is_synced = sync_filesystem(fd)
    except OSError as error:
        raise CannotStart(
            "target-cannot-publish",
            f"Nothing can be published in {root} ({os.strerror(error.errno or 0)}).",
            why="It has neither a rename without replacing nor hard links, or cannot be synced.",
            cure="Check whether it is read-only, full or broken, or choose another.",
        ) from error
    finally:
        os.close(fd)
    if is_synced:
        return ()
    return (
        warned(
            "durability-unconfirmed",
            f"Durability is not confirmed by the file system of {root}: it does not offer syncfs.",
            "Copies may not have reached the medium.",
            "Run `sync` on the disk's machine before you give up the source.",
        ),
    )


def _publish_nothing(fd: int, root: Path, owner: tuple[int, int] | None) -> None:
    """Give an empty file a temporary name and its owner, then another name as raw files get theirs, and remove it.

    Raises:
        CannotStart: If its owner cannot be set.
        OSError: If the system refuses anything else.
    """
    for name in _TRIED_OUT:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=fd)
    probe, named = _TRIED_OUT
    new = os.open(probe, _NEW, 0o600, dir_fd=fd)
    try:
        _try_owner(new, root, owner)
    except CannotStart:
        os.unlink(probe, dir_fd=fd)
        raise
    finally:
        os.close(new)
    try:
        rename_without_replacing(fd, probe, named)
    except OSError:
        os.unlink(probe, dir_fd=fd)
        raise
    os.unlink(named, dir_fd=fd)


def _try_owner(fd: int, root: Path, owner: tuple[int, int] | None) -> None:
    said = ""
    if owner is not None and os.fstat(fd).st_uid != owner[0]:
        try:
            os.fchown(fd, *owner)
        except OSError as error:
            said = os.strerror(error.errno or 0)
    if owner is None or os.fstat(fd).st_uid == owner[0]:
        return
    raise CannotStart(
        "owner-not-kept",
        f"Files in {root} cannot be given to user id {owner[0]} ({said or 'the file system keeps another owner'}).",
        why=("Bytes could not read them. Causes: root_squash, or a file system without owners."),
        cure=("Run this as that user, or mount the file system for it. To copy anyway: --force service-user."),
    )
