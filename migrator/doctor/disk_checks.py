"""Whether a data folder can take what is coming, and whether Bytes can read it there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from migrator.core.findings import Finding
from migrator.core.tally import Tally
from migrator.doctor import finding_names
from migrator.doctor.bytes_user import NO_USER, READ, SAVE, SERVICE_NAME, BytesUser, user_exists
from migrator.doctor.finding_shorthands import failed, passed, some_of, warned

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

    `user` is whom Bytes runs as; `owner` and `group` are the ids that what is written will belong to. `is_for_bytes` as in `DiskLocation`.
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
    user: BytesUser = NO_USER
    owner: int = 0
    group: int = 0
    umask: int = 0
    folder_mode: int = 0o740
    file_mode: int = 0o640
    is_for_bytes: bool = True


def disk_findings(seen: DiskSeen, need: Need | None) -> Iterator[Finding]:
    """`need` None: it is not known what is coming."""
    if seen.trouble:
        yield failed(
            finding_names.TARGET_FOLDER,
            seen.trouble,
            "An unmounted disk looks like this; only the data folder itself is made.",
            "Mount the disk, make the folder above, or name another place with --to.",
        )
        return
    state = "exists" if seen.exists else "will be made"
    yield passed(finding_names.TARGET_FOLDER, f"{seen.path} {state}.")
    if seen.read_only:
        yield failed(
            finding_names.READ_ONLY,
            f"{seen.path} is on a file system that is mounted read-only.",
            "Nothing can be written there.",
            f"mount -o remount,rw on its mount point: findmnt --target {seen.path} names it.",
        )
    else:
        yield passed(finding_names.READ_ONLY, "Its file system is mounted for writing.")
    if need is not None:
        yield from _room(seen, need)
    yield _service_user(seen)
    yield _umask(seen)
    yield _file_system(seen)
    if seen.longest_name < LONGEST_NAME:
        yield failed(
            finding_names.NAME_LENGTH,
            f"Names on this file system have at most {seen.longest_name} characters.",
            f"Files have names of {LONGEST_NAME} characters while they are written.",
            "Use another file system.",
        )
    else:
        yield passed(finding_names.NAME_LENGTH, f"Names may have {seen.longest_name} characters, which is enough.")


def _room(seen: DiskSeen, need: Need) -> Iterator[Finding]:
    about = "" if need.exact else "about "
    wanted = int(need.bytes * SPARE)
    needs = f"{about}{_size(wanted)} are needed, 5 % spare included, and {_size(seen.free_bytes)} are free."
    if wanted > seen.free_bytes:
        yield failed(
            finding_names.DISK_SPACE,
            f"{seen.path} has too little room: {needs}",
            "The run would stop halfway, and Bytes could not save.",
            "Make room, name a larger disk with --to, or move some organizations only: --organization NAME.",
        )
    else:
        yield passed(finding_names.DISK_SPACE, f"There is room: {needs}")
    if seen.free_inodes is None:
        yield passed(finding_names.DISK_INODES, "The file system has no fixed number of inodes.")
        return
    inodes = int((need.files + need.folders) * SPARE)
    needs = f"{about}{inodes:,} inodes are needed, 5 % spare included, and {seen.free_inodes:,} are free."
    if inodes > seen.free_inodes:
        yield failed(
            finding_names.DISK_INODES,
            f"{seen.path} has too few inodes: {needs}",
            "Each raw file and each folder takes an inode.",
            "Use one with more inodes (mkfs.ext4 -i 8192, or xfs).",
        )
    else:
        yield passed(finding_names.DISK_INODES, f"There are inodes: {needs}")


def _service_user(seen: DiskSeen) -> Finding:
    user = seen.user
    if user.uid is None:
        make = failed if seen.is_for_bytes else warned
        return make(
            finding_names.SERVICE_USER,
            f"What is written to {seen.path} would belong to root, and Bytes could not read it.",
            "Bytes runs as the user kat (Debian) or as user id 1000 (containers), and its modes let nobody else in.",
            f"Name Bytes' user: {_owner_options()}. Or give it the data folder first: install -d -o USER -g GROUP -m 750 {seen.path}",
        )
    closed = [
        word
        for mode, wanted, word in ((seen.folder_mode, SAVE, "folders"), (seen.file_mode, READ, "files"))
        if not user.would(seen.owner, seen.group, mode, wanted)
    ]
    if not closed:
        return passed(
            finding_names.SERVICE_USER, f"Files will belong to user id {seen.owner}, and Bytes reads them as {user}."
        )
    if seen.owner != user.uid:
        return failed(
            finding_names.SERVICE_USER,
            f"What is written to {seen.path} would belong to user id {seen.owner}, and Bytes runs as {user}.",
            f"The modes of folders and files ({seen.folder_mode:o}, {seen.file_mode:o}) do not let Bytes in. "
            "Only root can give files away.",
            f"Run this as root, or as {user}; if Bytes runs as another user, name it with --owner.",
        )
    return failed(
        finding_names.SERVICE_USER,
        f"The modes for {' and '.join(closed)} ({seen.folder_mode:o}, {seen.file_mode:o}) do not let their own owner in.",
        "Bytes could not read or save there.",
        "Set BYTES_FOLDER_PERMISSION=740 and BYTES_FILE_PERMISSION=640",
    )


def _owner_options() -> str:
    """The options that are likely here: `kat` only where that user exists."""
    return f"--owner {SERVICE_NAME}" if user_exists(SERVICE_NAME) else "--owner 1000:1000"


def access_findings(
    path: str, user: BytesUser, tally: Tally, first: Sequence[str], lists: Sequence[str], above: str
) -> Iterator[Finding]:
    """What a look at owners and modes found in a data folder.

    `first` are closed places, `lists` folders with access lists, `above` is a closed folder above the data folder.
    """
    closed = tally.closed.files
    if closed:
        who = f"{user}" if user.uid is not None else "a user that is not root"
        yield failed(
            finding_names.CLOSED,
            f"Bytes cannot use {closed:,} raw files and folders at {path}: {some_of(first)}.",
            f"Their owner or mode, or that of a folder above, keeps {who} out.",
            f"As root, `bytes-migrator migrate` with --owner "
            f"{user.uid if user.uid is not None else '1000:1000'} corrects them; if Bytes runs as another user, name it with --owner.",
        )
    else:
        yield passed(finding_names.CLOSED, f"Owners and modes at {path} let {user} in.")
    if lists:
        yield warned(
            finding_names.ACCESS_LISTS,
            f"Folders at {path} have access lists (ACLs): {some_of(lists)}.",
            "Only owner and mode are read; Bytes' user may have other rights.",
            f"Look with: getfacl {lists[0]}",
        )
    yield from folder_above_findings(path, user, above)


def folder_above_findings(path: str, user: BytesUser, above: str) -> Iterator[Finding]:
    """`above`: the first folder on the way to the data folder that Bytes' user cannot pass, empty for none."""
    if not above:
        yield passed(finding_names.FOLDERS_ABOVE, f"{user} can pass the folders above {path}.")
        return
    seen = f"{user} cannot pass {above}, a folder above {path}."
    cure = f"chmod o+x {above}; or use another data folder."
    if user.is_local:
        yield failed(finding_names.FOLDERS_ABOVE, seen, "Bytes could not read a single raw file.", cure)
    else:
        yield warned(
            finding_names.FOLDERS_ABOVE,
            seen,
            "Bytes could not read any raw file, unless it runs in a container that mounts the data folder.",
            f"Without such a container: {cure}",
        )


def _umask(seen: DiskSeen) -> Finding:
    if seen.umask & 0o700:
        return failed(
            finding_names.UMASK,
            f"The umask is {seen.umask:03o}: it takes the owner's own rights.",
            "Nobody could use the new folders.",
            "umask 022, then run this again.",
        )
    return passed(finding_names.UMASK, f"The umask {seen.umask:03o} leaves the owner's rights.")


def _file_system(seen: DiskSeen) -> Finding:
    if seen.is_network:
        return warned(
            finding_names.FILE_SYSTEM,
            f"{seen.path} is on a network file system ({seen.file_system}).",
            "Its server decides what survives a power cut; each file costs round trips.",
            "Use a local disk if you can.",
        )
    if seen.ignores_case:
        return warned(
            finding_names.FILE_SYSTEM,
            f"{seen.path} is on a file system that ignores case ({seen.file_system}).",
            "Raw ids cannot collide, but owners and modes are often missing there too.",
            "Use ext4 or xfs.",
        )
    return passed(finding_names.FILE_SYSTEM, f"The file system is {seen.file_system or 'local'}.")


def _size(count: float) -> str:
    """As operators' disks have it: units of 1000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"
