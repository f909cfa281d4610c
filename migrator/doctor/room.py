"""Whether a data folder can take what is coming, and whether Bytes can read it there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from migrator.doctor import names
from migrator.doctor.words import failed, passed, warned
from migrator.model import Finding

SPARE = 1.05
"""Five percent more than is needed: file systems slow down and fragment when they are full."""
LONGEST_NAME = 80
"""Characters of a temporary file's name: a raw id and this program's mark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What is coming: raw files, bytes in whole blocks, new folders. `exact`: counted, not extrapolated."""

    files: int
    bytes: int
    folders: int
    exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSeen:
    """What was seen of a data folder, or of where it will be made. `free_inodes` None: the file system has no fixed number.

    `owner` is the user id that what is written will belong to, None if that cannot be told; `is_root`: this program may give files away.
    `closed_to_owner`: the folder on the way that this owner cannot pass, "" for none.
    """

    path: str
    exists: bool
    trouble: str = ""
    read_only: bool = False
    free_bytes: int = 0
    free_inodes: int | None = None
    longest_name: int = 255
    file_system: str = ""
    is_network: bool = False
    ignores_case: bool = False
    owner: int | None = None
    is_root: bool = False
    closed_to_owner: str = ""
    umask: int = 0
    folder_mode: int = 0o740
    file_mode: int = 0o640


def disk_findings(seen: DiskSeen, need: Need | None) -> Iterator[Finding]:
    """`need` None: it is not known what is coming."""
    if seen.trouble:
        yield failed(
            names.TARGET_FOLDER,
            seen.trouble,
            "A disk that is not mounted looks like this, and this program makes only the data folder itself.",
            "Mount the disk, make the folder above it, or name another place with --to.",
        )
        return
    state = "exists" if seen.exists else "will be made"
    yield passed(names.TARGET_FOLDER, f"{seen.path} {state}.")
    if seen.read_only:
        yield failed(
            names.READ_ONLY,
            f"{seen.path} is on a file system that is mounted read-only.",
            "Nothing can be written there.",
            f"mount -o remount,rw on its mount point: findmnt --target {seen.path} names it.",
        )
    else:
        yield passed(names.READ_ONLY, "Its file system is mounted for writing.")
    if need is not None:
        yield from _room(seen, need)
    yield _service_user(seen)
    yield _umask(seen)
    yield _file_system(seen)
    if seen.longest_name < LONGEST_NAME:
        yield failed(
            names.NAME_LENGTH,
            f"Names on this file system have at most {seen.longest_name} characters.",
            f"Files have names of {LONGEST_NAME} characters while they are written.",
            "Use another file system.",
        )
    else:
        yield passed(names.NAME_LENGTH, f"Names may have {seen.longest_name} characters, which is enough.")


def _room(seen: DiskSeen, need: Need) -> Iterator[Finding]:
    about = "" if need.exact else "about "
    wanted = int(need.bytes * SPARE)
    told = f"{about}{_size(wanted)} are needed, 5 % spare included, and {_size(seen.free_bytes)} are free."
    if wanted > seen.free_bytes:
        yield failed(
            names.DISK_SPACE,
            f"{seen.path} has too little room: {told}",
            "The run would stop halfway with a full disk, and Bytes could not save there either.",
            "Make room or name a larger disk with --to; or move some organizations only: --organization NAME.",
        )
    else:
        yield passed(names.DISK_SPACE, f"There is room: {told}")
    if seen.free_inodes is None:
        yield passed(names.DISK_INODES, "The file system has no fixed number of inodes.")
        return
    inodes = int((need.files + need.folders) * SPARE)
    told = f"{about}{inodes:,} inodes are needed, 5 % spare included, and {seen.free_inodes:,} are free."
    if inodes > seen.free_inodes:
        yield failed(
            names.DISK_INODES,
            f"{seen.path} has too few inodes: {told}",
            "The disk would count as full though it has bytes left: each raw file and each folder takes an inode.",
            "Use a file system with more inodes (mkfs.ext4 -i 8192, or xfs), or another disk.",
        )
    else:
        yield passed(names.DISK_INODES, f"There are inodes: {told}")


def _service_user(seen: DiskSeen) -> Finding:
    if seen.owner == 0:
        cure = f"install -d -o kat -g kat -m 750 {seen.path}" if not seen.exists else f"chown kat:kat {seen.path}"
        return warned(
            names.SERVICE_USER,
            f"What is written to {seen.path} will belong to root.",
            "Bytes runs as the user kat (Debian) or user id 1000 (containers), and its modes let nobody else in.",
            f"{cure}     (containers: 1000:1000). Files get the data folder's owner.",
        )
    if seen.closed_to_owner:
        return warned(
            names.SERVICE_USER,
            f"User id {seen.owner}, to whom the files will belong, cannot pass {seen.closed_to_owner}.",
            "Bytes could not read a single file.",
            f"chmod o+x {seen.closed_to_owner}",
        )
    missing = [
        word
        for mode, bit, word in ((seen.folder_mode, 0o700, "folders"), (seen.file_mode, 0o600, "files"))
        if mode & bit != bit
    ]
    if missing:
        return warned(
            names.SERVICE_USER,
            f"The modes for {' and '.join(missing)} ({seen.folder_mode:o}, {seen.file_mode:o}) do not let their own owner in.",
            "Bytes could not read what is written.",
            "Set BYTES_FOLDER_PERMISSION=740 and BYTES_FILE_PERMISSION=640",
        )
    return passed(names.SERVICE_USER, f"Files will belong to user id {seen.owner}, who can read them.")


def _umask(seen: DiskSeen) -> Finding:
    if seen.umask & 0o700:
        return failed(
            names.UMASK,
            f"The umask is {seen.umask:03o}: it takes the owner's own rights.",
            "Folders would be made that nobody can use.",
            "umask 022, then run this again.",
        )
    return passed(names.UMASK, f"The umask {seen.umask:03o} leaves the owner's rights.")


def _file_system(seen: DiskSeen) -> Finding:
    if seen.is_network:
        return warned(
            names.FILE_SYSTEM,
            f"{seen.path} is on a network file system ({seen.file_system}).",
            "Whether what was written survives a power cut depends on its server, and each file costs round trips.",
            "Use a local disk if you can.",
        )
    if seen.ignores_case:
        return warned(
            names.FILE_SYSTEM,
            f"{seen.path} is on a file system that ignores case ({seen.file_system}).",
            "Raw ids are lower-case and cannot collide, but owners and modes are often missing there too.",
            "Use ext4 or xfs.",
        )
    return passed(names.FILE_SYSTEM, f"The file system is {seen.file_system or 'local'}.")


def _size(count: float) -> str:
    """As operators' disks have it: units of 1000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"
