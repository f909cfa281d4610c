"""A look at a data folder as a target, which writes nothing."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from migrator.doctor.room import DiskSeen
from migrator.statefolder import NETWORK_FILE_SYSTEMS, file_system_of

_IGNORES_CASE = re.compile(r"v?fat|msdos|exfat|ntfs3?|fuseblk|hfs(plus)?|apfs")
_MOUNTS = Path("/proc/self/mountinfo")


def look_at_disk(root: Path, *, folder_mode: int, file_mode: int, mountinfo: Path = _MOUNTS) -> DiskSeen:
    """What is known of the folder, or of the one above it where it is yet to be made."""
    exists = os.path.isdir(root)
    place = root if exists else root.parent
    trouble = _trouble(root, place, exists=exists)
    if trouble:
        return DiskSeen(path=str(root), exists=exists, trouble=trouble)
    space, status = os.statvfs(place), os.stat(place)
    is_root = os.geteuid() == 0
    owner = (status.st_uid if exists else 0) if is_root else os.geteuid()
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
        owner=owner,
        is_root=is_root,
        closed_to_owner=_closed_to(owner, place),
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


def _closed_to(owner: int, place: Path) -> str:
    """The first folder from the root on that this user cannot pass; groups are not known here and given the benefit of the doubt."""
    if owner == 0:
        return ""
    real = Path(os.path.realpath(place))
    for folder in (*reversed(real.parents), real):
        mode = os.stat(folder)
        bit = stat.S_IXUSR if mode.st_uid == owner else stat.S_IXGRP | stat.S_IXOTH
        if not mode.st_mode & bit:
            return str(folder)
    return ""


def _umask() -> int:
    """Without setting it: other threads may be making files."""
    try:
        with open("/proc/self/status") as lines:
            return next((int(line.split()[1], 8) for line in lines if line.startswith("Umask:")), 0o022)
    except OSError:
        return 0o022
