"""A look at a data folder as a target, which writes nothing."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from migrator.doctor.bytes_user import NO_USER, PASS, BytesUser
from migrator.doctor.disk_checks import DiskSeen
from migrator.ledger.directory import NETWORK_FILE_SYSTEMS, file_system_of

_IGNORES_CASE = re.compile(r"v?fat|msdos|exfat|ntfs3?|fuseblk|hfs(plus)?|apfs")
_MOUNTS = Path("/proc/self/mountinfo")


_CONTAINERS = re.compile(r"/(docker|containers/storage|kubelet/pods/[^/]+)/(volumes|overlay2?)/")
"""Places of container engines: what lies there is mounted into containers, where no folder above it counts."""


def inspect_disk(
    root: Path, *, folder_mode: int, file_mode: int, user: BytesUser = NO_USER, mountinfo: Path = _MOUNTS
) -> DiskSeen:
    """What is known of the folder, or of the one above it where it is yet to be made. `user` is whom Bytes runs as."""
    exists = os.path.isdir(root)
    place = root if exists else root.parent
    trouble = _trouble(root, place, exists=exists)
    if trouble:
        return DiskSeen(path=str(root), exists=exists, trouble=trouble)
    space, status = os.statvfs(place), os.stat(place)
    owner, group = os.geteuid(), os.getegid()
    if owner == 0 and user.uid is not None:
        owner, group = user.uid, user.gid
    elif exists and status.st_mode & stat.S_ISGID:
        group = status.st_gid
    kind = file_system_of(place, mountinfo) or ""
    return DiskSeen(
        path=str(root),
        exists=exists,
        read_only=bool(space.f_flag & os.ST_RDONLY),
        free_bytes=space.f_bavail * space.f_frsize,
        free_inodes=space.f_favail if space.f_files else None,
        longest_name=space.f_namemax,
        file_system=kind,
        is_network=bool(NETWORK_FILE_SYSTEMS.fullmatch(kind)),
        ignores_case=bool(_IGNORES_CASE.fullmatch(kind)) or _finds_other_case(place),
        user=user,
        owner=owner,
        group=group,
        umask=_umask(),
        folder_mode=folder_mode,
        file_mode=file_mode,
    )


def _trouble(root: Path, place: Path, *, exists: bool) -> str:
    if os.path.lexists(root) and not exists:
        return f"{root} is no folder."
    if not os.path.isdir(place):
        return f"The folder {place}, in which {root.name} would be made, does not exist."
    if not os.access(place, os.W_OK | os.X_OK) and not os.statvfs(place).f_flag & os.ST_RDONLY:
        return f"User id {os.geteuid()} may not write to {place}."
    return ""


def _finds_other_case(place: Path) -> bool:
    """Whether the same folder is found by its name in the other case."""
    other = place.name.swapcase()
    if other == place.name:
        return False
    try:
        return os.path.samefile(place, place.with_name(other))
    except OSError:
        return False


def folders_above(user: BytesUser, root: Path) -> str:
    """The first folder above the data folder that this user cannot pass; empty for none, and where it belongs to a container engine."""
    real = Path(os.path.realpath(root))
    if user.uid in (None, 0) or _CONTAINERS.search(f"{real}/"):
        return ""
    for folder in reversed(real.parents):
        try:
            if not user.may(os.stat(folder), PASS):
                return str(folder)
        except OSError:
            return ""
    return ""


def _umask() -> int:
    """Without setting it: other threads may be making files."""
    try:
        with open("/proc/self/status") as lines:
            return next((int(line.split()[1], 8) for line in lines if line.startswith("Umask:")), 0o022)
    except OSError:
        return 0o022
